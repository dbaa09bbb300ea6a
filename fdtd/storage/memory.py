"""How much memory the files of this process may fill.

Decides what "large for this host" means: the page cache of a file that does not fit cannot be of use to anybody, and
filling it takes memory from everything else that runs.  A control group counts, and all groups above it do: the cache
of what we write is charged to us.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

# A host that does not say is taken for a small one.
_UNKNOWN: Final = 4 << 30


@cache
def allowed_memory() -> int:
    """Return the bytes of memory of this host, or of the control group that this process is in."""
    return read_allowed(Path("/"))


def read_allowed(root: Path) -> int:
    """Return it for the host whose files lie below `root`."""
    return min([_host_bytes(root), *_group_limits(root)])


def _host_bytes(root: Path) -> int:
    try:
        lines = (root / "proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return _UNKNOWN
    found = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemTotal:")]
    return found[0] if found else _UNKNOWN


def _group_limits(root: Path) -> list[int]:
    """Return the limits of the groups, version 1 and 2: those that are not there say nothing."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []
    limits = []
    for controllers, group in (line.split(":", 2)[1:] for line in lines if line.count(":") >= 2):
        if controllers == "":
            tops, name = ["sys/fs/cgroup", "sys/fs/cgroup/unified"], "memory.max"
        elif "memory" in controllers.split(","):
            tops, name = [f"sys/fs/cgroup/{controllers}"], "memory.limit_in_bytes"
        else:
            continue
        path = PurePosixPath(group)
        for directory in (path, *path.parents):
            limits += [_read_limit(root / top / str(directory).lstrip("/") / name) for top in tops]
    return [limit for limit in limits if limit > 0]


def _read_limit(path: Path) -> int:
    """Return a limit; 0 for none."""
    try:
        text = path.read_text("ascii").strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0
