"""What can go wrong in a daemon, beyond what all programs share.

Decides the codes that a user sees when a daemon refuses or fails as a whole; what happens to single files has its
words in `fdtcp.errors`.
"""

from __future__ import annotations

from fdtcp.errors import Fault, FdtError, Phase, Problem, Side, Status


class UnknownSession(FdtError):
    """No session of this owner has that job's UUID here; another owner's looks the same."""

    code = "unknown-session"
    fault = Fault.USER
    remedy_text = "the job was finished or has expired; run the same command again"


class SessionOver(FdtError):
    """A call came for a transfer that has stopped; where the reason is known, that is what the user hears."""

    code = "session-over"
    fault = Fault.SITE
    retryable = True
    remedy_text = "run the same command again"

    def __init__(self, reason: str, *, cause: Problem | None = None) -> None:
        super().__init__(reason)
        self.cause = cause

    def problem(self, side: Side, phase: Phase) -> Problem:
        """Return why the transfer stopped."""
        return self.cause or super().problem(side, phase)


class TooManySessions(FdtError):
    """The daemon, or the user at this daemon, has as many sessions as the site allows."""

    code = "too-many-sessions"
    fault = Fault.SITE
    retryable = True
    remedy_text = "retry when other transfers have ended, or widen [session] in fdtd.conf"


class MemoryFull(FdtError):
    """What the daemon knows of this user's files, or of all files, takes as much memory as the site allows."""

    code = "memory-full"
    fault = Fault.SITE
    retryable = True
    remedy_text = "retry when other jobs have ended, cut the job into smaller ones, or widen [session] in fdtd.conf"


class StateFull(FdtError):
    """As much is written down of this user's jobs, until he has read their outcomes, as the site allows."""

    code = "state-full"
    fault = Fault.SITE
    retryable = True
    remedy_text = "attach to earlier jobs to read their outcomes, or wait until those are forgotten"


class DelegatingTooFast(FdtError):
    """This user has begun more delegations of late than a daemon makes keys for."""

    code = "delegating-too-fast"
    fault = Fault.USER
    retryable = True
    remedy_text = "wait for so long, then run the same command again"


class DaemonLeaving(FdtError):
    """The daemon finishes what it has and takes nothing new."""

    code = "daemon-leaving"
    fault = Fault.SITE
    retryable = True
    remedy_text = "retry when the daemon has been started again"


class NoDataAddress(FdtError):
    """None of the configured data interfaces has an address now."""

    code = "no-data-address"
    fault = Fault.SITE
    retryable = True
    remedy_text = "check [data] interfaces in fdtd.conf against the host's interfaces"


class EndpointRefused(FdtError):
    """The site's rules do not let a source connect there; which rule it was is in the daemon's log only."""

    code = "endpoint-refused"
    fault = Fault.SITE
    status = Status.PERMISSION
    remedy_text = "let the site allow the destination's data network under [data] peers"


class MoverNotStarted(FdtError):
    """No reader or writer could be started under the mapped account."""

    code = "mover-not-started"
    fault = Fault.SITE
    remedy_text = "look at fdtd's log on that host; fdtd --check tries what it can"


class MoverSlow(FdtError):
    """The mover has not answered in time; its storage may hang."""

    code = "mover-slow"
    fault = Fault.SITE
    retryable = True
    remedy_text = "look at the storage of that host, then run the same command again"


class StateFailed(FdtError):
    """The daemon's own state directory cannot be written."""

    code = "state-failed"
    fault = Fault.SITE
    retryable = True
    remedy_text = "look at the space and the rights of [service] state_dir"


class AlreadyRunning(FdtError):
    """Another fdtd uses the same state directory."""

    code = "already-running"
    fault = Fault.SITE
    remedy_text = "stop the other daemon, or give this one a [service] state_dir of its own"


class NotServing(FdtError):
    """The daemon asked for its status does not answer on its control socket."""

    code = "not-serving"
    fault = Fault.SITE
    remedy_text = "check that fdtd runs and that your account may use [service] run_dir"
