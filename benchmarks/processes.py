"""What the kernel knows of processes: who descends from whom, CPU seconds, and the peak of their memory.

Decides nothing; a process that ends while one looks at it counts as one that has ended before.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
# What `clear_refs` takes as the order to forget the peak of resident memory (proc(5)).
_FORGET_PEAK: Final = "5"


def descendants(roots: Iterable[int]) -> set[int]:
    """Return those of the processes `roots` that live, and all that descend from them."""
    children: dict[int, list[int]] = {}
    alive = set()
    for pid, fields in _all():
        alive.add(pid)
        children.setdefault(int(fields[1]), []).append(pid)
    found: set[int] = set()
    new = [pid for pid in roots if pid in alive]
    while new:
        pid = new.pop()
        found.add(pid)
        new += [child for child in children.get(pid, ()) if child not in found]
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds, user and system, of these processes and of all children that they have waited for."""
    # utime, stime, cutime and cstime of proc(5), counted from the state, which is what comes first after the name.
    return sum(sum(map(int, fields[11:15])) for fields in map(_stat, pids) if fields) / _TICKS


def peak(pid: int) -> int:
    """Return the largest resident memory that the process has had, in bytes; 0 if it is gone."""
    try:
        status = (_PROC / str(pid) / "status").read_bytes()
    except OSError:
        return 0
    _, found, rest = status.partition(b"\nVmHWM:")
    return int(rest.split(None, 1)[0]) * 1024 if found else 0


def forget_peak(pid: int) -> None:
    """Let the peak of a process be what it has right now."""
    try:
        (_PROC / str(pid) / "clear_refs").write_text(_FORGET_PEAK)
    except OSError:
        pass  # gone, or somebody else's: its peak is then that of its life


def _all() -> Iterator[tuple[int, list[bytes]]]:
    for name in os.listdir(_PROC):
        if name.isdigit() and (fields := _stat(int(name))):
            yield int(name), fields


def _stat(pid: int) -> list[bytes]:
    """Return the fields of a process from its state on; none if it is gone."""
    try:
        content = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return []
    # The name may hold blanks and brackets.
    return content.rpartition(b")")[2].split()
