"""A mover that does as its one argument says, in a process of its own; standard library and the orders only.

obedient   answers everything, stops when told, ends when all expected files are released or stopped
committer  obedient, and calls each expected file done as soon as it listens
silent     answers nothing, but goes when its input ends
deaf       answers, but neither stops nor goes
dead       ends with status 7 at the first Expect or Describe
liar       ends a file that nobody expects
babbler    says a line without end
noisy      says what is no message
wordy      keeps more of each file than it has
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

from fdtcp.model.order import (
    Action,
    Describe,
    Described,
    Ended,
    Endpoint,
    Expect,
    Expected,
    Extent,
    Finals,
    Found,
    Kept,
    Listen,
    Listening,
    Message,
    Order,
    Outcome,
    Release,
    Role,
    Setup,
    State,
    Stop,
    Sweep,
    Verdict,
)
from fdtcp.model.pipe import Lines, decode_order_line, encode_line


def say(message: Message) -> None:
    sys.stdout.buffer.write(encode_line(message))
    sys.stdout.buffer.flush()


def heard() -> Iterator[Order]:
    lines = Lines()
    while data := os.read(0, 65536):
        lines.feed(data)
        while (line := lines.take()) is not None:
            yield decode_order_line(line)


def answer_expect(order: Expect, manner: str) -> None:
    if manner == "liar":
        say(Finals((Outcome(99, State.DONE, 1),)))
    if manner == "babbler":
        while True:
            os.write(1, b"x" * 65536)
    if manner == "noisy":
        os.write(1, b"hello?\n")
    kept = (Extent(0, 1, 0),) * (20_000 if manner == "wordy" else 0)
    say(Expected(order.seq, tuple(Verdict(file.index, Action.SEND, kept) for file in order.files)))


def main(manner: str) -> int:  # noqa: C901, PLR0912  # a script: one case for each order
    expected: list[Outcome] = []
    if manner == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for order in heard():
        if manner == "silent":
            continue
        if manner == "dead" and not isinstance(order, Setup):
            if isinstance(order, Sweep):
                say(Ended())
            return 7
        match order:
            case Setup(role=Role.SWEEPER):
                manner = "dead" if manner == "dead" else "obedient"
            case Describe(seq=seq, files=files):
                say(Described(seq, tuple(Found(file.index, 100, 0, 0o644) for file in files)))
            case Expect(files=files):
                answer_expect(order, manner)
                expected += [Outcome(file.index, State.DONE, file.size) for file in files]
            case Listen(addresses=addresses, ports=ports):
                say(Listening(tuple(Endpoint(address, ports[0]) for address in addresses)))
                if manner == "committer":
                    say(Finals(tuple(expected)))
                    say(Ended())
                    return 0
            case Release(last=True):
                say(Ended())
                return 0
            case Sweep():
                say(Kept(()))
                say(Ended())
                return 0
            case Stop() if manner != "deaf":
                say(Ended())
                return 0
            case _:
                continue
    while manner == "deaf":
        signal.pause()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
