"""A loopback of our own: a network namespace in which every program has the same congestion control.

Decides that the comparison is fair where the kernel's default paces (bbr): fdtcp takes cubic within a host, and most of
its peers cannot be told.  So the whole benchmark lives where the routes of loopback ask for cubic; a namespace may not
have a default that the host does not allow to everybody.  It also keeps its ports away from everybody else's.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from typing import Final

# unshare(2); Python has it from 3.12 on.
_CLONE_NEWNET: Final = 0x40000000
# What the kernel makes when the interface comes up.
_ROUTES: Final = ("127.0.0.0/8", "127.0.0.1")
_WITHIN_S: Final = 10.0

KEEP: Final = "kernel"


def enter(congestion: str) -> str:
    """Move this process and all its later children there; returns where it is in words.

    Without root, or if asked to keep the kernel's, it stays in the host's network.
    """
    if congestion == KEEP or os.geteuid() != 0:
        return "the host's"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        return f"the host's: {os.strerror(ctypes.get_errno())}"
    _ip("link", "set", "lo", "up")
    for route in _ROUTES:
        where = ("table", "local", "proto", "kernel", "scope", "host", "src", "127.0.0.1")
        _ip("route", "change", "local", route, "dev", "lo", *where, "congctl", congestion)
    return f"a namespace of its own, {congestion}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=_WITHIN_S)
