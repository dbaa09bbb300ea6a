"""Plays the daemon: starts real mover processes and talks to them through their pipes."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar

from fdtcp.model.order import (
    Action,
    Connect,
    Describe,
    Described,
    DestinationFile,
    Ended,
    Endpoint,
    Expect,
    Expected,
    Finals,
    Found,
    Kept,
    Listen,
    Listening,
    Mapped,
    Message,
    Order,
    Outcome,
    Policy,
    Progress,
    Release,
    ReleasedFile,
    Role,
    Setup,
    SourceFile,
    Verdict,
)
from fdtcp.model.pipe import Lines, decode_message_line, encode_line
from fdtd.live.ephemeral import make_ephemeral

M = TypeVar("M", bound=Message)
T = TypeVar("T")

DEADLINE_S = 30.0
SECRET = bytes(range(32))


class Mover:
    """One mover process; a context manager that leaves no process behind."""

    def __init__(
        self,
        setup: Setup,
        log: IO[bytes] | None = None,
        command: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.setup = setup
        self.log = log or tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self.messages: list[Message] = []
        self._lines = Lines()
        self.process = subprocess.Popen(
            [*command, sys.executable, "-I", "-m", "fdtd.mover.program"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd="/",
            env=environment or {},
            bufsize=0,
        )
        self.say(setup)

    def __enter__(self) -> Mover:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        if kind is not None:
            sys.stderr.write(self.read_log())
        self.log.close()

    def say(self, order: Order) -> None:
        assert self.process.stdin is not None
        data = encode_line(order)
        while data:
            data = data[self.process.stdin.write(data) or 0 :]

    def hear(self, timeout: float = DEADLINE_S) -> Message | None:
        """Return the next message; None at the end of them."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout
        while (line := self._lines.take()) is None:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError(f"no message within {timeout} s; log:\n{self.read_log()}")
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            if not data:
                return None
            self._lines.feed(data)
        message = decode_message_line(line)
        self.messages.append(message)
        return message

    def wait_for(self, kind: type[M], timeout: float = DEADLINE_S) -> M:
        deadline = time.monotonic() + timeout
        while True:
            message = self.hear(deadline - time.monotonic())
            if isinstance(message, kind):
                return message
            if message is None or isinstance(message, Ended):
                raise AssertionError(f"{message} instead of {kind.__name__}; log:\n{self.read_log()}")

    def wait_end(self, timeout: float = DEADLINE_S) -> Ended:
        deadline = time.monotonic() + timeout
        while True:
            message = self.hear(deadline - time.monotonic())
            if isinstance(message, Ended):
                self.process.wait(5)
                return message
            if message is None:
                raise AssertionError(f"no Ended; log:\n{self.read_log()}")

    def wait_until(self, condition: Callable[[Progress], bool], timeout: float = DEADLINE_S) -> Progress:
        deadline = time.monotonic() + timeout
        while True:
            progress = self.wait_for(Progress, deadline - time.monotonic())
            if condition(progress):
                return progress

    @property
    def outcomes(self) -> dict[int, Outcome]:
        """All outcomes so far; each file may be final only once."""
        found: dict[int, Outcome] = {}
        for message in self.messages:
            if isinstance(message, Finals):
                for outcome in message.outcomes:
                    assert outcome.index not in found, f"two outcomes for file {outcome.index}"
                    found[outcome.index] = outcome
        return found

    @property
    def kept(self) -> list[tuple[bytes, int]]:
        return [(one.path, one.size) for said in self.messages if isinstance(said, Kept) for one in said.partials]

    def read_log(self) -> str:
        self.log.seek(0)
        return self.log.read().decode()


Pair = tuple[bytes | Path, bytes | Path]


@dataclass
class Job:
    """One reader and one writer, as a third party drives them."""

    pairs: Sequence[Pair]
    policy: Policy = field(default_factory=Policy)
    prefixes: tuple[bytes, ...] = (b"/",)
    addresses: tuple[str, ...] = ("127.0.0.1",)
    addresses_of_connector: tuple[str, ...] | None = None  # if they are not the listener's
    reader_command: Sequence[str] = ()
    writer_command: Sequence[str] = ()
    through: Callable[[tuple[Endpoint, ...]], tuple[Endpoint, ...]] = lambda endpoints: (
        endpoints
    )  # a link may stand between
    secret_of_connector: bytes = SECRET
    ports: tuple[int, ...] = (0,)
    storage: tuple[Mapped, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    reverse: bool = False  # the writer connects
    encrypt: bool = False
    fingerprint: bytes | None = None  # that the connector is told, if it is not the listener's

    def __post_init__(self) -> None:
        self.ephemeral = make_ephemeral() if self.encrypt else None
        self.job = uuid.uuid4().hex
        self.found: dict[int, Found] = {}
        self.verdicts: dict[int, Verdict] = {}

    def __enter__(self) -> Job:
        self.reader = Mover(
            Setup(Role.READER, self.job, self.prefixes, self.policy, None, self.storage),
            command=self.reader_command,
            environment=self.environment,
        )
        self.writer = Mover(
            Setup(Role.WRITER, self.job, self.prefixes, self.policy, None, self.storage),
            command=self.writer_command,
            environment=self.environment,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.reader.__exit__(kind, value, trace)
        finally:
            self.writer.__exit__(kind, value, trace)

    def describe(self) -> dict[int, Found]:
        files = [SourceFile(index, _bytes(source)) for index, (source, _) in enumerate(self.pairs)]
        for seq, chunk in enumerate(_chunks(files)):
            self.reader.say(Describe(seq, chunk))
            for found in self.reader.wait_for(Described).found:
                self.found[found.index] = found
        return self.found

    def expect(self) -> dict[int, Verdict]:
        files = [
            DestinationFile(index, _bytes(target), found.size, found.mtime_ns, found.mode, b"fdt://s" + _bytes(source))
            for index, (source, target) in enumerate(self.pairs)
            if (found := self.found[index]).problem is None
        ]
        chunks = list(_chunks(files)) or [()]
        for seq, chunk in enumerate(chunks):
            self.writer.say(Expect(seq, chunk, last=seq == len(chunks) - 1))
            for verdict in self.writer.wait_for(Expected).verdicts:
                self.verdicts[verdict.index] = verdict
        return self.verdicts

    def connect(self) -> None:
        listener, connector = (self.reader, self.writer) if self.reverse else (self.writer, self.reader)
        credential = self.ephemeral.credential if self.ephemeral is not None else b""
        fingerprint = self.ephemeral.fingerprint if self.ephemeral is not None else b""
        listener.say(Listen(self.addresses, self.ports, SECRET, (), credential))
        endpoints = self.through(listener.wait_for(Listening).endpoints)
        if self.fingerprint is not None:
            fingerprint = self.fingerprint
        local = self.addresses if self.addresses_of_connector is None else self.addresses_of_connector
        connector.say(Connect(endpoints, local, self.secret_of_connector, fingerprint))

    def release(self) -> None:
        files = [
            ReleasedFile(verdict.index, verdict.action, verdict.kept, verdict.window, verdict.device, verdict.writers)
            for verdict in self.verdicts.values()
            if verdict.problem is None
        ]
        chunks = list(_chunks(files)) or [()]
        for seq, chunk in enumerate(chunks):
            self.reader.say(Release(chunk, last=seq == len(chunks) - 1))

    def start(self) -> None:
        """Do all that comes before the bytes."""
        self.describe()
        if any(verdict.action is not Action.SKIP for verdict in self.expect().values()):
            self.connect()
        self.release()

    def run(self) -> dict[int, Outcome]:
        """Move everything; returns the outcomes."""
        self.start()
        self.writer_end = self.writer.wait_end()
        self.reader_end = self.reader.wait_end()
        return self.writer.outcomes


def _chunks(items: Sequence[T]) -> Iterable[tuple[T, ...]]:
    for start in range(0, len(items), 1000):
        yield tuple(items[start : start + 1000])


def _bytes(path: bytes | Path) -> bytes:
    return os.fsencode(path)
