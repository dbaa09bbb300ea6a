"""Memory at hand before a copy begins: what the copy will write to has been found by us, not by whoever comes first.

Under a hypervisor that takes back what is free, memory has to be found anew when it is written for the first time.
That costs as much as two copies, not each time and not everybody.

Decides how much is taken and given back, and where.  A CPU keeps what it frees in a list of its own and allocates from
there first; all lists together may hold an eighth of all memory.  So what one CPU has given back is not what a program
on another one gets: `cp` of 2 GiB was two and a half times as slow when it ran on the other one.  Therefore every CPU
takes its share, all of them hold theirs at the same time, and each gives its own back.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from typing import Final

from fdtcp.units import GIB

# Beside the copy itself something has to be left for everybody, and a little more than the copy is used.
_LEFT_BYTES: Final = 2 * GIB
_MORE: Final = 1.125
# The lists of all CPUs together hold at most that part of the memory (MIN_PERCPU_PAGELIST_HIGH_FRACTION of the kernel).
_LISTS: Final = 8


def find_memory(size: int) -> None:
    """Take memory for a copy of `size` bytes on every CPU that we may use, and give it back there."""
    cpus = sorted(os.sched_getaffinity(0))
    share = share_of(size, len(cpus))
    if share <= 0:
        return
    try:
        taken = [_take(cpu, share) for cpu in cpus]
        _give_back(cpus, taken)
    finally:
        os.sched_setaffinity(0, cpus)


def share_of(size: int, cpus: int) -> int:
    """Return the bytes for each CPU: with every list full, or on any one alone, there is enough for the copy.

    To leave out the list of the one CPU that writes saves a second, and `cp` was slow again in half of the rounds.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    need = int(size * _MORE)
    lists = page * os.sysconf("SC_PHYS_PAGES") // _LISTS
    free = page * os.sysconf("SC_AVPHYS_PAGES") - _LEFT_BYTES
    return min(need * cpus, need + lists, free) // cpus


def _take(cpu: int, size: int) -> mmap.mmap:
    os.sched_setaffinity(0, {cpu})
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)


def _give_back(cpus: Sequence[int], taken: Sequence[mmap.mmap]) -> None:
    for cpu, memory in zip(cpus, taken, strict=True):
        os.sched_setaffinity(0, {cpu})
        memory.close()
