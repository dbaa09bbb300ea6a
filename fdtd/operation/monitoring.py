"""What the daemon says of its transfers to those who watch: one record for each word of a mover.

Decides which figures those are.  How they are written and sent is decided by `fdtmon.sinks`; that nothing here can
slow a transfer down, by its `Emitter`.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Final

from fdtcp.errors import Side
from fdtcp.model.order import Progress
from fdtd.site.config import Settings
from fdtmon.record import Record, Source
from fdtmon.sinks.apmon import ApmonSink
from fdtmon.sinks.base import Emitter, Sink
from fdtmon.sinks.statsd import StatsdSink

_log: Final = logging.getLogger("fdtd")

Emit = Callable[[Record], None]


def open_emitter(settings: Settings) -> Emitter:
    """Return an emitter to the configured receivers; one that cannot be found is left out and logged."""
    sinks: list[Sink] = []
    for name, receiver, sink in (
        ("statsd", settings.monitoring.statsd, StatsdSink),
        ("apmon", settings.monitoring.apmon, ApmonSink),
    ):
        if receiver is None:
            continue
        try:
            sinks.append(sink(*receiver))
        except OSError as exc:
            # A name server that is down must not keep a storage host from serving.
            _log.warning("event=monitoring-left-out sink=%s receiver=%s:%d reason=%r", name, *receiver, str(exc))
    return Emitter(sinks)


def host_name(settings: Settings) -> str:
    """Return this host's name in messages and monitoring."""
    return settings.service.advertise or socket.gethostname()


def progress_record(host: str, job: str, side: Side, progress: Progress, when: float) -> Record:
    """Return what a mover's progress is to a watcher; `when` in epoch seconds."""
    values = (
        ("moved_bytes", float(progress.moved)),
        ("files", float(progress.files)),
        ("streams", float(sum(stream.alive for stream in progress.streams))),
    )
    return Record(Source.READER if side is Side.SOURCE else Source.WRITER, host, job, when, values)
