"""What has to be known of the machine to read the figures later.

Decides nothing; whatever cannot be learnt is left out.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_DPKG_WITHIN_S: Final = 20.0


def facts() -> dict[str, str | int | float]:
    """Return facts by name: kernel, cores, memory, congestion control, load at the beginning."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "kernel": platform.release(),
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": memory,
        "congestion_control": _read("/proc/sys/net/ipv4/tcp_congestion_control"),
        "load": os.getloadavg()[0],
        "fdtcp": _commit(),
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those Debian packages that are installed."""
    wanted = sorted(set(packages))
    query = ["dpkg-query", "--show", "--showformat=${Package} ${Version} ${db:Status-Status}\n", *wanted]
    try:
        # It fails for packages that it has never heard of, after it has told of the others.
        done = subprocess.run(query, capture_output=True, text=True, timeout=_DPKG_WITHIN_S, check=False)
    except FileNotFoundError:
        return {}
    lines = [line.split() for line in done.stdout.splitlines()]
    return {words[0]: words[1] for words in lines if words[-1] == "installed"}


def _processor() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _commit() -> str:
    """Return the commit of the tree that is measured, with a + if it was changed since."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DPKG_WITHIN_S, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
