"""The secured channel: Pyro5 calls over mutual TLS, between programs that do not trust each other.

Names are loaded when they are used: a client must not pay for what only a server needs (cryptography).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authsvc.channel.acceptor import Acceptor
    from authsvc.channel.caller import Caller, Handler
    from authsvc.channel.client import Connection
    from authsvc.channel.hello import Hello
    from authsvc.channel.limits import ChannelLimits
    from authsvc.channel.pyro import own_pyro_settings
    from authsvc.channel.values import Value

__all__ = ["Acceptor", "Caller", "ChannelLimits", "Connection", "Handler", "Hello", "Value", "own_pyro_settings"]

_HOMES = {
    "Acceptor": "acceptor",
    "Caller": "caller",
    "ChannelLimits": "limits",
    "Connection": "client",
    "Handler": "caller",
    "Hello": "hello",
    "Value": "values",
    "own_pyro_settings": "pyro",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
