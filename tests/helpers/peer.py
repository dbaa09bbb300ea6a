"""A peer of a real writer that knows the secret, and whose frames are made by hand."""

from __future__ import annotations

import os
import random
import socket
import time
import zlib
from pathlib import Path

from fdtcp.model.order import (
    DestinationFile,
    Expect,
    Expected,
    Finals,
    Listen,
    Listening,
    Outcome,
    Policy,
    Role,
    Setup,
    State,
    Verdict,
)
from fdtd.mover import frames
from fdtd.mover.frames import End, Header, Kind, decode_header, encode_header
from fdtd.mover.greeting import Greeting, greet
from tests.helpers.movers import SECRET, Mover

SIZE = 2 << 20
MTIME = 10**18
BLOCK = 64 << 10
PIECE = 256 << 20  # as long as kept parts get
CONTENT = random.Random(7).randbytes(SIZE)  # noqa: S311  # only has to look random
JOB = "00112233445566778899aabbccddeeff"
POLICY = Policy(connect_timeout=1.0, stall_timeout=3.0)
GREETING = Greeting(Role.READER, bytes.fromhex(JOB), POLICY.checksum, SECRET)


class Peer:
    """One authenticated stream, by hand."""

    def __init__(self, port: int, number: int) -> None:
        self.stream = socket.create_connection(("127.0.0.1", port))
        greet(self.stream, number, GREETING, time.monotonic() + 5)
        self.stream.settimeout(5)

    def send(self, data: bytes) -> None:
        self.stream.sendall(data)

    def block(self, offset: int, length: int = BLOCK, *, content: bytes = CONTENT, file: int = 0) -> None:
        """Send a block with the checksum that the right content has."""
        right = zlib.adler32(CONTENT[offset : offset + length])
        payload = content[offset : offset + length]
        self.send(frames.encode_block(file, offset, length) + payload + frames.encode_trailer(right))

    def sum(self, offset: int, length: int, value: int | None = None) -> None:
        right = zlib.adler32(CONTENT[offset : offset + length]) if value is None else value
        self.send(frames.encode_sum(0, offset, length, right, 0))

    def end(self, checksum: int | None = None, *, file: int = 0, size: int = SIZE, mtime: int = MTIME) -> None:
        value = zlib.adler32(CONTENT) if checksum is None else checksum
        self.send(frames.encode_end(file, End(size, mtime, 1, value)))

    def bye(self) -> None:
        self.send(encode_header(Header(Kind.BYE)))

    def hear(self) -> Header | None:
        """Return the next answer; None when the writer has ended the stream."""
        data = b""
        try:
            while len(data) < frames.HEADER_BYTES:
                more = self.stream.recv(frames.HEADER_BYTES - len(data))
                if not more:
                    return None
                data += more
        except ConnectionResetError:
            return None
        return decode_header(data)

    def answers(self, count: int) -> list[Kind]:
        return [header.kind for _ in range(count) if (header := self.hear()) is not None]

    def wait_ended(self) -> None:
        """Wait until the writer has ended the stream."""
        while self.hear() is not None:
            pass


class Stage:
    """A real writer that expects one file, and its peers."""

    def __init__(self, directory: Path, *, size: int = SIZE) -> None:
        self.target = directory / "to" / "file"
        self.size = size
        self.writer = Mover(Setup(Role.WRITER, JOB, (b"/",), POLICY))
        self.peers: list[Peer] = []
        self.port = 0

    def expect(self) -> Verdict:
        file = DestinationFile(0, os.fsencode(self.target), self.size, MTIME, 0o644, b"fdt://s/file")
        self.writer.say(Expect(0, (file,), last=True))
        return self.writer.wait_for(Expected).verdicts[0]

    def listen(self) -> None:
        self.writer.say(Listen(("127.0.0.1",), (0,), SECRET))
        self.port = self.writer.wait_for(Listening).endpoints[0].port

    def peer(self) -> Peer:
        peer = Peer(self.port, len(self.peers) + 1)
        self.peers.append(peer)
        return peer

    def close(self) -> None:
        for peer in self.peers:
            peer.stream.close()
        self.writer.__exit__(None, None, None)

    def outcome(self) -> Outcome:
        self.writer.wait_for(Finals)
        for peer in self.peers:
            peer.stream.close()  # the writer waits a second for those who do not
        self.writer.wait_end()
        return self.writer.outcomes[0]

    def check_done(self) -> None:
        outcome = self.outcome()
        assert outcome.state is State.DONE, (outcome, self.writer.read_log())
        assert self.target.read_bytes() == CONTENT
        assert os.listdir(self.target.parent) == ["file"]

    def check_failed(self, *codes: str) -> None:
        outcome = self.outcome()
        assert outcome.problem is not None and outcome.problem.code in codes, outcome
        assert not self.target.exists()
        assert not self.target.parent.exists() or os.listdir(self.target.parent) == []
