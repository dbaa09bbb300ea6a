"""What can go wrong, as classes with codes, and as values that travel between programs.

This module decides the vocabulary of failure: whose fault something is, on which side and in which phase it
happened, whether trying again can help, and which status a PhEDEx-like caller reads from it.  The classes here are
those that more than one package raises; `authsvc.errors` and `fdtd.errors` add their own.  It leaves to the callers
what is done about an error.

Inside a program errors are exceptions (`FdtError`).  Between programs (mover to daemon, daemon to client, client to
report) they are values (`Problem`): a peer never names a class of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import ClassVar, Final

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


# --- the user's input ------------------------------------------------------------------------------------------


class UsageError(FdtError):
    """A command line, a configuration or a file list that cannot be acted on; nothing was moved."""

    code = "usage"
    fault = Fault.USER
    status = Status.USAGE


class BadPfn(UsageError):
    """A physical file name that is not of the form fdt://host:port/path."""

    code = "bad-pfn"
    remedy_text = "write it as fdt://host:port/path"


class BadCopyjob(UsageError):
    """A copyjobfile that cannot be read or has a malformed line."""

    code = "bad-copyjob"
    remedy_text = "each line is FROM_PFN TO_PFN with one blank between; nothing was moved"


class BadSettings(UsageError):
    """A configuration file with an unknown or bad value; the text names file, line, key and what is allowed."""

    code = "bad-settings"


class OptionRefused(FdtError):
    """A transfer option outside of what the site allows."""

    code = "option-refused"
    fault = Fault.USER
    remedy_text = "choose a value within the site's limits"


class Interrupted(FdtError):
    """The user or the caller stopped fdtcp; files that were not final then are not in the report."""

    code = "interrupted"
    fault = Fault.USER
    retryable = True
    remedy_text = "run the same command again; files that are done are skipped"


# --- reaching the daemons --------------------------------------------------------------------------------------


class Unreachable(FdtError):
    """A daemon could not be reached, or did not answer, within the time that the user allows."""

    code = "unreachable"
    fault = Fault.SITE
    retryable = True
    remedy_text = "check that fdtd runs there and that its port is open from here"


class RemoteProblem(FdtError):
    """A daemon answered a call with a problem of its own; `problem` returns that one, seen at the daemon's side."""

    code = "remote"
    fault = Fault.PEER

    def __init__(self, remote: Problem) -> None:
        super().__init__(remote.reason, remedy=remote.remedy)
        self.remote = remote

    def problem(self, side: Side, phase: Phase) -> Problem:  # noqa: ARG002  # the remote problem knows its phase
        """Return the remote problem; only `side` is ours to say."""
        return self.remote.on(side)


class DaemonLost(FdtError):
    """A daemon that had answered went away in mid-transfer and did not come back within the grace."""

    code = "daemon-lost"
    fault = Fault.SITE
    retryable = True
    remedy_text = "look at fdtd's log on that host, then run the same command again"


# --- one file, at its source -----------------------------------------------------------------------------------


class SourceMissing(FdtError):
    """The source file does not exist."""

    code = "source-missing"
    fault = Fault.USER
    remedy_text = "check the path"


class SourceUnreadable(FdtError):
    """The account that the user is mapped to may not read the source file."""

    code = "source-unreadable"
    fault = Fault.USER
    status = Status.PERMISSION
    remedy_text = "let the mapped account read it"


class SourceNotAFile(FdtError):
    """The source is a directory, a socket, a pipe or a device: only regular files are moved."""

    code = "source-not-a-file"
    fault = Fault.USER
    remedy_text = "name the files one by one"


class SourceChanged(FdtError):
    """The source file grew, shrank or was rewritten while it was read."""

    code = "source-changed"
    fault = Fault.USER
    retryable = True
    remedy_text = "wait until its writer has finished, then run the same command again"


class SourceFailed(FdtError):
    """The source's storage failed while reading."""

    code = "source-failed"
    fault = Fault.SITE
    retryable = True
    remedy_text = "look at the storage of the source host"


# --- one file, at its destination ------------------------------------------------------------------------------


class DestinationExists(FdtError):
    """Something else exists at the destination; it was left untouched."""

    code = "destination-exists"
    fault = Fault.USER
    status = Status.EXISTS
    remedy_text = "remove it, choose another name, or say --on-exists overwrite"


class DestinationUnwritable(FdtError):
    """The mapped account may not write there, or the file system is read-only."""

    code = "destination-unwritable"
    fault = Fault.USER
    status = Status.PERMISSION
    remedy_text = "let the mapped account write to the directory"


class DestinationFull(FdtError):
    """No space, no inodes or no quota left at the destination."""

    code = "destination-full"
    fault = Fault.SITE
    retryable = True
    remedy_text = "free space at the destination, then run the same command again"


class DestinationBusy(FdtError):
    """Another transfer is writing this destination file right now."""

    code = "destination-busy"
    fault = Fault.USER
    retryable = True
    remedy_text = "wait for the other transfer to end, then run the same command again"


class DestinationVanished(FdtError):
    """Somebody else removed or replaced our temporary file before it was put in place."""

    code = "destination-vanished"
    fault = Fault.SITE
    retryable = True
    remedy_text = "keep cleaning jobs away from names like .NAME.fdt-KEY.part"


class DestinationBlocked(FdtError):
    """A symlink, or something that is no directory, stands where a directory of the path should be."""

    code = "destination-blocked"
    fault = Fault.USER
    remedy_text = "give a path without symlinks below the allowed prefix"


class DestinationFailed(FdtError):
    """The destination's storage failed while writing or making safe."""

    code = "destination-failed"
    fault = Fault.SITE
    retryable = True
    remedy_text = "look at the storage of the destination host"


class PathRefused(FdtError):
    """The site does not let transfers touch this path, or the path could not be a file's name."""

    code = "path-refused"
    fault = Fault.USER
    status = Status.PERMISSION
    remedy_text = "use a path below one of the prefixes that the site allows"


# --- the data plane --------------------------------------------------------------------------------------------


class DataConnectFailed(FdtError):
    """No data stream could be opened; details are in the source daemon's log only (it may not be a port scanner)."""

    code = "data-connect-failed"
    fault = Fault.SITE
    retryable = True
    remedy_text = "check the data interfaces and the firewall between them; the daemons' logs have the addresses"


class StreamsLost(FdtError):
    """All data streams broke or stalled, and opening them anew did not help."""

    code = "streams-lost"
    fault = Fault.SITE
    retryable = True
    remedy_text = "check the data network, then run the same command again"


class ChecksumMismatch(FdtError):
    """What arrived is not what was read, even after it was sent again; the file was not put in place."""

    code = "checksum-mismatch"
    fault = Fault.SITE
    retryable = True
    remedy_text = "suspect memory, network cards or a file that changes while it is read"


class MoverDied(FdtError):
    """A reader or writer process ended before its work did."""

    code = "mover-died"
    fault = Fault.SITE
    retryable = True
    remedy_text = "look at the transfer's log on that host, then run the same command again"


class Abandoned(FdtError):
    """The transfer was stopped before this file was final: by its client, its administrator or a deadline."""

    code = "abandoned"
    fault = Fault.USER
    retryable = True
    remedy_text = "run the same command again; files that are done are skipped"


def all_error_classes(root: type[FdtError] = FdtError) -> list[type[FdtError]]:
    """Return `root` and all classes below it that are imported by now, sorted by code; docs/ has the table of them."""
    found = {root}
    for child in root.__subclasses__():
        found.update(all_error_classes(child))
    return sorted(found, key=lambda cls: cls.code)
