"""Pyro5's process-wide settings, taken over by programs and left alone by libraries.

The guard makes the channel safe whatever the settings are; this is the second wall.  Only a program's `main` may call
it: a user's notebook may use Pyro5 for something else in the same process.
"""

from __future__ import annotations

import os

from authsvc.channel.limits import MAX_MESSAGE_BYTES


def own_pyro_settings() -> None:
    """Make Pyro5 ours in this process: no PYRO_* variables, msgpack only, small messages, no extras.

    Call it before anything imports Pyro5: an unknown PYRO_ variable makes that import itself fail.
    """
    for name in [name for name in os.environ if name.startswith("PYRO_")]:
        del os.environ[name]
    import Pyro5
    from Pyro5 import serializers

    Pyro5.config.reset(use_environment=False)
    Pyro5.config.SERIALIZER = "msgpack"
    Pyro5.config.MAX_MESSAGE_SIZE = MAX_MESSAGE_BYTES
    Pyro5.config.ITER_STREAMING = False
    for number in [n for n, serializer in serializers.serializers_by_id.items() if serializer.serializer_id != 4]:
        del serializers.serializers_by_id[number]
    for name in [name for name in serializers.serializers if name != "msgpack"]:
        del serializers.serializers[name]
