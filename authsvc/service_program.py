"""`authsvc serve`: the site's account service as a program in the foreground.

Decides the order of start and how it leaves.  There is nothing to reload: certificate, CAs and maps are read anew when
they change.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from authsvc.accountmap import AccountMap
from authsvc.channel import Acceptor, own_pyro_settings
from authsvc.credentials import Credential
from authsvc.recognition import SiteRules
from authsvc.service import Service
from authsvc.service_config import Settings
from fdtcp.errors import BadSettings

_log: Final = logging.getLogger("authsvc.service")

LEAVE: Final = (signal.SIGTERM, signal.SIGINT)
FORMAT: Final = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s %(message)s"


def make_acceptor(settings: Settings) -> Acceptor:
    """Put the service together without listening yet.  Raises what a start would meet."""
    if not settings.service.callers:
        raise BadSettings(
            "[service] callers: nobody may ask", remedy="list the DNs of the host certificates of the site's daemons"
        )
    service = Service(AccountMap(settings.accounts.gridmap, settings.accounts.fqanmap), settings.service.callers)
    return Acceptor(
        listen=settings.service.listen,
        credential=Credential(settings.security.certificate, settings.security.key),
        ca_dir=settings.security.ca_dir,
        authorise=service.authorise,
        handler_for=service.handler_for,
        version=version("fdtcp"),
        rules=SiteRules(trust=settings.security.trust),
    )


def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` hears where it listens.  Raises FdtError if it cannot start."""
    own_pyro_settings()
    _log_to_stderr(settings.service.log_level)
    # Blocked before the first thread is made, so that all inherit it: signals come to `sigwait` and nowhere else.
    signal.pthread_sigmask(signal.SIG_BLOCK, (*LEAVE, signal.SIGHUP))
    acceptor = make_acceptor(settings)
    acceptor.start()
    try:
        where = ", ".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in acceptor.addresses)
        _log.info("event=ready listen=%r callers=%d", where, len(settings.service.callers))
        ready(where)
        while signal.sigwait((*LEAVE, signal.SIGHUP)) == signal.SIGHUP:
            _log.info("event=nothing-to-reload files are read anew when they change")
    finally:
        acceptor.stop()
    _log.info("event=left")


def _log_to_stderr(level: str) -> None:
    """Log to standard error: the journal of systemd keeps it, with times and rotation of its own."""
    formatter = logging.Formatter(FORMAT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
