"""What a mover asks of its kernel before it has threads: descriptors, its place among other processes, no core files.

Decides nothing about transfers.  What is done here is cheap once and dear later, or cannot be done later at all.
"""

from __future__ import annotations

import fcntl
import gc
import os
import resource
from contextlib import suppress
from typing import Final

from fdtd.storage.kernel import forbid_dumps

# No mover has more files open (`fdtd.mover.safekeeping`); a table of so many takes the kernel 256 KiB.
_MOST_OPEN: Final = 1 << 15


def prepare() -> int:
    """Prepare this process to be a mover, before its first thread; returns the umask that it had.  Raises OSError."""
    forbid_dumps()
    umask = os.umask(0)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _grow_table(min(hard, _MOST_OPEN))
    _prefer_throughput()
    # Jobs of a million files live as long as the job does: looking through them for cycles finds nothing.
    gc.disable()
    return umask


def _grow_table(descriptors: int) -> None:
    """Make the kernel's table of open files as large as it will be.

    Once there are threads each doubling waits until no CPU can be reading the old table, 15 ms on two of them; on the
    way to 20,000 small files that was a tenth of their time.
    """
    with suppress(OSError):  # it is only slower without
        os.close(fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, descriptors - 1))


def _prefer_throughput() -> None:
    """Be scheduled as what works for long: who is woken waits until who has the CPU has done his share.

    Two movers of one host wake each other with each packet, and else push each other off the same CPU while another one
    has nothing to do (decision 64).  Where an administrator has chosen how fdtd is scheduled, it stays.
    """
    with suppress(OSError):  # a sandbox may forbid it; then transfers within a host are slower
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
