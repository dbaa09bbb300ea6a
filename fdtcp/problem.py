"""What every failure has: a code, a side, a phase and somebody at fault; as exceptions, and as values that travel.

This module decides the vocabulary of failure: whose fault something is, on which side and in which phase it
happened, whether trying again can help, and which status a PhEDEx-like caller reads from it.  The single errors are
in `fdtcp.errors`, `authsvc.errors` and `fdtd.errors`; what is done about one is left to the callers.

Inside a program errors are exceptions (`FdtError`).  Between programs (mover to daemon, daemon to client, client to
report) they are values (`Problem`): a peer never names a class of ours.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum, StrEnum
from typing import ClassVar, Final

from fdtcp.value import dataclass

# A reason is one line that a person reads; a peer that sends more is cut off here.
MAX_REASON_CHARS: Final = 500


class Side(StrEnum):
    """Where it happened, in the words of the user."""

    CLIENT = "client"
    SOURCE = "source"
    DESTINATION = "destination"


class Phase(StrEnum):
    """When it happened, in the order in which a transfer lives."""

    USAGE = "usage"
    CONNECT = "connect"
    AUTHENTICATE = "authenticate"
    PREFLIGHT = "pre-flight"
    PREPARE = "prepare"
    TRANSFER = "transfer"
    VERIFY = "verify"
    COMMIT = "commit"
    CLEANUP = "clean-up"
    SERVICE = "service"


class Fault(StrEnum):
    """Whose fault it is, that is: who can mend it."""

    USER = "user"
    SITE = "site"
    PEER = "peer"
    BUG = "bug"


class Status(IntEnum):
    """The STATUS column of the report (BACKEND_CONTRACT.md); usage errors never reach a report, only the exit code."""

    GOOD = 0
    GENERAL = 1
    EXISTS = 2
    PERMISSION = 3
    USAGE = 64


def one_line(text: str) -> str:
    """Return `text` printable, on one line and at most MAX_REASON_CHARS long; peers' texts pass through here."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_REASON_CHARS else line[: MAX_REASON_CHARS - 1] + "…"


@dataclass(frozen=True, slots=True)
class Problem:
    """One failure as a value: everything that a user, a report or a retry policy needs to know of it."""

    code: str
    reason: str
    remedy: str
    side: Side
    phase: Phase
    fault: Fault
    retryable: bool
    status: Status

    def __str__(self) -> str:
        """Say side, phase, reason, what to do, and the code: the one form in which people see a problem."""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.side}, {self.phase}: {self.reason}{remedy} [{self.code}]"

    def encode(self) -> dict[str, object]:
        """Return the problem as plain values (text, bool, int) for JSON or msgpack."""
        return {
            "code": self.code,
            "reason": self.reason,
            "remedy": self.remedy,
            "side": self.side.value,
            "phase": self.phase.value,
            "fault": self.fault.value,
            "retryable": self.retryable,
            "status": int(self.status),
        }

    @classmethod
    def decode(cls, value: object) -> Problem:
        """Read what `encode` made.  Raises ProtocolViolation: the value comes from another program."""
        if not isinstance(value, dict):
            raise ProtocolViolation(f"a problem must be a map, not {type(value).__name__}")
        texts = [value.get(key) for key in ("code", "reason", "remedy")]
        retryable = value.get("retryable")
        if not all(isinstance(text, str) for text in texts) or not isinstance(retryable, bool):
            raise ProtocolViolation("a problem lacks its code, reason, remedy or retryable")
        code, reason, remedy = (one_line(str(text)) for text in texts)
        status = value.get("status")
        try:
            return cls(
                code,
                reason,
                remedy,
                Side(str(value.get("side"))),
                Phase(str(value.get("phase"))),
                Fault(str(value.get("fault"))),
                retryable,
                Status(status if isinstance(status, int) else -1),
            )
        except ValueError as exc:
            raise ProtocolViolation(f"a problem with an unknown word: {exc}") from exc

    def on(self, side: Side) -> Problem:
        """Return the same problem seen at `side`: a daemon's own errors do not know which end it serves."""
        return replace(self, side=side)


class FdtError(Exception):
    """The root of all errors that we raise on purpose.

    `reason` says what happened with names and numbers in it; `remedy` what the reader can do (default: the class's).
    `side` and `phase` are filled in where they are known, at the latest by `problem()`.
    """

    code: ClassVar[str] = "error"
    fault: ClassVar[Fault] = Fault.BUG
    retryable: ClassVar[bool] = False
    status: ClassVar[Status] = Status.GENERAL
    remedy_text: ClassVar[str] = ""

    def __init__(
        self, reason: str, *, remedy: str | None = None, side: Side | None = None, phase: Phase | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = one_line(reason)
        self.remedy = self.remedy_text if remedy is None else remedy
        self.side = side
        self.phase = phase

    def __str__(self) -> str:
        """Reason and remedy; side and phase are added by whoever prints a Problem."""
        return f"{self.reason}; {self.remedy}" if self.remedy else self.reason

    def problem(self, side: Side, phase: Phase) -> Problem:
        """Return this error as a value; `side` and `phase` are used where the raiser did not know them."""
        return Problem(
            self.code,
            self.reason,
            self.remedy,
            self.side or side,
            self.phase or phase,
            self.fault,
            self.retryable,
            self.status,
        )


# --- our own bugs, and peers that break the protocol -----------------------------------------------------------


class InternalError(FdtError):
    """A bug of ours; the log of the side that is named holds the traceback under the incident id."""

    code = "internal"
    remedy_text = "report it with the log of that side"


class ProtocolViolation(FdtError):
    """A peer said something that the protocol does not allow; the connection is closed."""

    code = "protocol-violation"
    fault = Fault.PEER
    remedy_text = "check that both ends run compatible versions of fdtcp"


def all_error_classes(root: type[FdtError] = FdtError) -> list[type[FdtError]]:
    """Return `root` and all classes below it that are imported by now, sorted by code; docs/ has the table of them."""
    found = {root}
    for child in root.__subclasses__():
        found.update(all_error_classes(child))
    return sorted(found, key=lambda cls: cls.code)
