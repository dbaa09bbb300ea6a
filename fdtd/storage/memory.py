"""How much memory the files of this process may fill.

Decides what "large for this host" means: the page cache of a file that does not fit cannot be of use to anybody, and
filling it takes memory from everything else that runs.  A control group counts, and all groups above it do: the cache
of what we write is charged to us.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Final

# A host that does not say is taken for a small one.
_UNKNOWN: Final = 4 << 30


@cache
def allowed_memory() -> int:
    """Return the bytes of memory of this host, or of the control group that this process is in."""
    return read_allowed("/")


def read_allowed(root: str) -> int:
    """Return it for the host whose files lie below `root`."""
    return min([_host_bytes(root), *_group_limits(root)])


def _host_bytes(root: str) -> int:
    lines = _read(root, "proc/meminfo").splitlines()
    found = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemTotal:")]
    return found[0] if found else _UNKNOWN


def _group_limits(root: str) -> list[int]:
    """Return the limits of the groups, version 1 and 2: those that are not there say nothing."""
    limits = []
    lines = _read(root, "proc/self/cgroup").splitlines()
    for controllers, group in (line.split(":", 2)[1:] for line in lines if line.count(":") >= 2):
        if controllers == "":
            tops, name = ["sys/fs/cgroup", "sys/fs/cgroup/unified"], "memory.max"
        elif "memory" in controllers.split(","):
            tops, name = [f"sys/fs/cgroup/{controllers}"], "memory.limit_in_bytes"
        else:
            continue
        parts = group.split("/")
        for depth in range(len(parts), 0, -1):
            above = "/".join(parts[1:depth])
            texts = (_read(root, top, above, name).strip() for top in tops)
            limits += [int(text) for text in texts if text.isdigit() and int(text) > 0]
    return limits


def _read(root: str, *parts: str) -> str:
    """Return what a file says; nothing if it is not there."""
    try:
        with open(os.path.join(root, *parts), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
