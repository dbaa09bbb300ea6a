"""The ceilings of storage: what one program on one host does, with no network, no second side and no questions."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO, Final

from benchmarks.metering import Command, Meter
from benchmarks.peers.base import HOST, Peer, measured, wait_announced
from benchmarks.work import DESTINATION, SOURCE, Copy, Measurement, Work

# What dd is usually told; it makes no difference from 256 KiB on.
_DD_BLOCK: Final = "bs=4M"


class Cp(Peer):
    """`cp`, with the kernel's help but never by reflink: the bytes are the point.  And `sync -f` if need be."""

    programs = ("cp", "sync")
    packages = ("coreutils",)

    def __init__(self, label: str = "cp") -> None:
        super().__init__(label)

    def run(self, work: Work) -> Measurement:
        """Copy one file, or the directory with all files."""
        assert isinstance(work, Copy)
        what: list[str | Path] = ["-rT", work.source, work.destination]
        if work.files == 1:
            what = [work.source / work.names[0], work.destination]
        with Meter() as meter:
            meter.run(SOURCE, ["cp", "--reflink=never", *what])
            if work.is_durable:
                meter.run(SOURCE, ["sync", "-f", work.destination])
        return measured(meter, work)


class Dd(Peer):
    """`dd` of one file; `flags` say how it writes, such as oflag=direct."""

    programs = ("dd",)
    packages = ("coreutils",)

    def __init__(self, label: str = "dd", flags: tuple[str, ...] = ()) -> None:
        super().__init__(label)
        self._flags = flags

    def run(self, work: Work) -> Measurement:
        """Copy the only file."""
        assert isinstance(work, Copy)
        (name,) = work.names
        flags = (*self._flags, "conv=fsync") if work.is_durable else self._flags
        with Meter() as meter:
            meter.run(SOURCE, ["dd", f"if={work.source / name}", f"of={work.destination / name}", _DD_BLOCK, *flags])
        return measured(meter, work)


class TarNc(Peer):
    """`tar | nc` to `nc | tar`: the oldest way to move a directory, and still hard to beat."""

    programs = ("tar", "nc")
    packages = ("tar", "netcat-openbsd")

    def __init__(self, label: str = "tar | nc") -> None:
        super().__init__(label)

    def run(self, work: Work) -> Measurement:
        """Copy all files of the directory."""
        assert isinstance(work, Copy)
        with Meter() as meter:
            accept = meter.start(DESTINATION, ["nc", "-v", "-l", "-N", HOST, "0"], stdout=subprocess.PIPE)
            unpack = meter.start(DESTINATION, ["tar", "-x", "-C", work.destination, "-f", "-"], stdin=_output(accept))
            pack = meter.start(SOURCE, ["tar", "-c", "-C", work.source, "-f", "-", "."], stdout=subprocess.PIPE)
            port = wait_announced(accept.errors, r"Listening on \S+ (\d+)\s", accept.process)
            send = meter.start(SOURCE, ["nc", "-N", HOST, str(port)], stdin=_output(pack))
            for command in (pack, send, accept, unpack):
                # A pipe's end that we keep would hide that the other program has left.
                if command.process.stdout is not None:
                    command.process.stdout.close()
            for command in (pack, send, accept, unpack):
                meter.wait(command)
            if work.is_durable:
                meter.run(DESTINATION, ["sync", "-f", work.destination])
        return measured(meter, work)


def _output(command: Command) -> IO[bytes]:
    assert command.process.stdout is not None, "it was asked for"
    return command.process.stdout
