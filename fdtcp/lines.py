"""A line: the thread that holds one connection to one daemon and waits for its answers.

Decides how what happens on a connection is told: an answer, a daemon's refusal, or the loss of the connection.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol

from fdtcp.contract import Reply, Request, decode_reply, encode_request
from fdtcp.errors import FdtError, InternalError, Phase, Problem, ProtocolViolation, RemoteProblem, Side, Unreachable
from fdtcp.model.pfn import Address
from fdtcp.value import dataclass


class Channel(Protocol):
    """What a line needs of a connection; `authsvc.channel.Connection` is one."""

    def call(self, name: str, argument: dict[str, Any], timeout: float) -> dict[str, Any]:  # Any: plain values
        """Call and return the answer within `timeout` seconds, or raise FdtError."""

    def close(self) -> None:
        """Close the connection, also while another thread waits in a call."""


# Connects to the daemon of a side before a deadline (monotonic), or raises FdtError.
Opener = Callable[[Side, Address, float], Channel]


@dataclass(frozen=True, slots=True)
class Opened:
    """The daemon has let us in."""


@dataclass(frozen=True, slots=True)
class NotOpened:
    """It has not, or could not be reached."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to the call."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Refused:
    """The daemon answered with a problem, or with something that is no answer."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Failed:
    """The connection broke; whether the call was carried out is not known."""

    problem: Problem


Report = Opened | NotOpened | Answered | Refused | Failed | None


class Line(threading.Thread):
    """Opens its connection when it is started, then carries out the calls that it is asked for, one by one."""

    def __init__(
        self,
        side: Side,
        address: Address,
        opener: Opener,
        deadline: float,
        post: Callable[[tuple[Line, Report]], None],
    ) -> None:
        # A daemon thread: one that hangs in the network must not keep the program from ending.
        super().__init__(name=f"line-{side}", daemon=True)
        self.side = side
        self._address = address
        self._opener = opener
        self._deadline = deadline
        self._post = post
        self._calls: queue.SimpleQueue[tuple[Request, float] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._channel: Channel | None = None
        self._is_given_up = False

    def ask(self, request: Request, timeout: float) -> None:
        """Make this call next; the answer is posted."""
        self._calls.put((request, timeout))

    def give_up(self) -> None:
        """Close the connection now, whatever it waits for."""
        with self._lock:
            self._is_given_up = True
            channel = self._channel
        self._calls.put(None)
        if channel is not None:
            channel.close()

    def run(self) -> None:
        """Live as a thread."""
        try:
            channel = self._opener(self.side, self._address, self._deadline)
        except Exception as exc:  # noqa: BLE001  # a thread's boundary: the job learns of it as a problem
            self._post((self, NotOpened(self._tell(exc, Phase.AUTHENTICATE))))
            return
        with self._lock:
            self._channel = channel
            is_given_up = self._is_given_up
        if is_given_up:
            channel.close()
            return
        self._post((self, Opened()))
        while (call := self._calls.get()) is not None:
            self._post((self, self._carry_out(channel, *call)))

    def _carry_out(self, channel: Channel, request: Request, timeout: float) -> Report:
        try:
            name, argument = encode_request(request)
            return Answered(decode_reply(request, channel.call(name, argument, timeout)))
        except (RemoteProblem, ProtocolViolation) as exc:
            return Refused(self._tell(exc, Phase.TRANSFER))
        except FdtError as exc:
            return Failed(self._tell(exc, Phase.TRANSFER))
        except Exception as exc:  # noqa: BLE001  # a thread's boundary: the job learns of it as a problem
            return Refused(self._tell(exc, Phase.TRANSFER))

    def _tell(self, error: Exception, phase: Phase) -> Problem:
        if isinstance(error, Unreachable):
            phase = Phase.CONNECT
        if not isinstance(error, FdtError):
            error = InternalError(f"{type(error).__name__}: {error}", remedy="report it")
        return error.problem(self.side, phase)
