"""The errors that more than one package raises: each a class with a code of its own.

Decides what can go wrong for a file, a job or a call.  What all of them share (side, phase, fault, status) is decided
in `fdtcp.problem`; its words can be had from here too, so that a raiser needs one import.
"""

from __future__ import annotations

from fdtcp.problem import (
    Fault,
    FdtError,
    InternalError,
    Phase,
    Problem,
    ProtocolViolation,
    Side,
    Status,
    all_error_classes,
    one_line,
)

__all__ = [
    "Abandoned",
    "BadCopyjob",
    "BadPfn",
    "BadSettings",
    "ChecksumMismatch",
    "DaemonLost",
    "DataConnectFailed",
    "DestinationBlocked",
    "DestinationBusy",
    "DestinationExists",
    "DestinationFailed",
    "DestinationFull",
    "DestinationHangs",
    "DestinationUnwritable",
    "DestinationVanished",
    "DiskMismatch",
    "Fault",
    "FdtError",
    "InternalError",
    "Interrupted",
    "MoverDied",
    "OptionRefused",
    "PathRefused",
    "Phase",
    "PortsExhausted",
    "Problem",
    "ProtocolViolation",
    "RemoteProblem",
    "ResumeRefused",
    "Side",
    "SourceChanged",
    "SourceFailed",
    "SourceHangs",
    "SourceMissing",
    "SourceNotAFile",
    "SourceUnreadable",
    "Status",
    "StorageUnavailable",
    "StreamsLost",
    "Unreachable",
    "UsageError",
    "all_error_classes",
    "one_line",
]


# --- the user's input ------------------------------------------------------------------------------------------


class UsageError(FdtError):
    """A command line, a configuration or a file list that cannot be acted on; nothing was moved.

    `details`: what is wrong, item by item, where a user should see all of it at once.
    """

    code = "usage"
    fault = Fault.USER
    status = Status.USAGE

    def __init__(
        self,
        reason: str,
        *,
        remedy: str | None = None,
        side: Side | None = None,
        phase: Phase | None = None,
        details: tuple[str, ...] = (),
    ) -> None:
        super().__init__(reason, remedy=remedy, side=side, phase=phase)
        self.details = tuple(one_line(detail) for detail in details)


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


class SourceHangs(FdtError):
    """The source's storage gave no answer about this file, neither bytes nor an error; the job went on without it."""

    code = "source-hangs"
    fault = Fault.SITE
    retryable = True
    remedy_text = "look for a mount on the source host that hangs, then run the same command again"


# --- one file, at its destination ------------------------------------------------------------------------------


class DestinationHangs(FdtError):
    """The destination's storage gave no answer; what was to be there has failed, and all else went on."""

    code = "destination-hangs"
    fault = Fault.SITE
    retryable = True
    remedy_text = "look for a mount on the destination host that hangs, then run the same command again"


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


class ResumeRefused(FdtError):
    """An earlier attempt has left safe bytes that this one cannot continue, and must not lose."""

    code = "resume-refused"
    fault = Fault.USER
    remedy_text = "use the source and the checksum that it was begun with, or say --resume auto to start it over"


class DestinationBusy(FdtError):
    """Another transfer is writing this destination file right now."""

    code = "destination-busy"
    fault = Fault.USER
    retryable = True
    remedy_text = "wait for the other transfer to end, then run the same command again"


class DestinationVanished(FdtError):
    """Somebody else removed or replaced our temporary file, or moved its directory away, before it was safe."""

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


class StorageUnavailable(FdtError):
    """The site has put a storage behind this path whose software is not installed on that host."""

    code = "storage-unavailable"
    fault = Fault.SITE
    remedy_text = "have fdtcp[fsspec] installed there: docs/howto-storage.md"


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


class PortsExhausted(FdtError):
    """No port of the data range could be bound: all are taken by other transfers or programs."""

    code = "ports-exhausted"
    fault = Fault.SITE
    retryable = True
    remedy_text = "retry in a minute, or widen [data] port_range in fdtd.conf"


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


class DiskMismatch(FdtError):
    """What the destination's disk gives back is not what was written; the file was not put in place."""

    code = "disk-mismatch"
    fault = Fault.SITE
    retryable = True
    remedy_text = "tell the site of the destination: its disk, its controller or its memory changes what is written"


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
