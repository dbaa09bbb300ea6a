"""Third-party transfers between storage hosts: the client, and the words that all its programs share.

`from fdtcp import Client` is the Python API; whoever imports a module below this package loads nothing of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fdtcp.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> object:
    if name == "Client":
        from fdtcp.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
