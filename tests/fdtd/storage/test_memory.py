"""How much memory we may fill."""

from __future__ import annotations

from pathlib import Path

import pytest

from fdtd.storage.memory import allowed_memory, read_allowed

HOST = "MemTotal:       24684084 kB\nMemFree: 1 kB\n"


def host(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "allowed"),
    [
        ({}, 4 << 30),
        ({"proc/meminfo": "MemFree: 1 kB\n"}, 4 << 30),
        ({"proc/meminfo": HOST}, 24684084 << 10),
        # Version 2, also where it is beside version 1; any group above ours may be the one that is limited.
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, 24684084 << 10),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "1000\n"}, 1000),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/unified/memory.max": "2000\n"}, 2000),
        # Version 1.
        (
            {
                "proc/self/cgroup": "9:name=systemd:/\n4:memory:/a\n0::/\n",
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "3000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            3000,
        ),
        ({"proc/self/cgroup": "what is this\n"}, 24684084 << 10),
    ],
)
def test_the_least_of_what_counts_is_allowed(tmp_path: Path, files: dict[str, str], allowed: int) -> None:
    assert read_allowed(str(host(tmp_path, {"proc/meminfo": HOST, **files} if files else {}))) == allowed


def test_this_host_has_some() -> None:
    assert allowed_memory() > 64 << 20
