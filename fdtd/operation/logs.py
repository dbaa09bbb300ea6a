"""Where the daemon's log goes.

Decides the format and the handlers.  A WatchedFileHandler notices that logrotate moved the file; so nobody has to send
SIGHUP, which means "leave when idle" here.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fdtcp.errors import BadSettings
from fdtd.site.config import ServiceSettings

FORMAT: Final = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s %(message)s"
DATE_FORMAT: Final = "%Y-%m-%dT%H:%M:%S"


@contextmanager
def logging_to(settings: ServiceSettings) -> Iterator[None]:
    """Log to `log_dir`/fdtd.log, and to standard error if a person sits there.  Raises BadSettings."""
    formatter = logging.Formatter(FORMAT, DATE_FORMAT)
    formatter.converter = time.gmtime
    path = os.path.join(settings.log_dir, "fdtd.log")
    try:
        handlers: list[logging.Handler] = [logging.handlers.WatchedFileHandler(path, encoding="utf-8")]
    except OSError as exc:
        raise BadSettings(f"[service] log_dir: cannot write {path}: {exc.strerror}") from exc
    if sys.stderr.isatty():
        handlers.append(logging.StreamHandler())
    root = logging.getLogger()
    before = root.level
    root.setLevel(settings.log_level)
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    try:
        yield
    finally:
        root.setLevel(before)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
