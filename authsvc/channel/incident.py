"""Unexpected failures: the peer gets an id, the log gets the rest.

A traceback tells a stranger more about us than he should know, and an operator nothing if it is on the other side.
"""

from __future__ import annotations

import logging
import uuid
from typing import Final

from fdtcp.errors import InternalError

_log: Final = logging.getLogger("authsvc.channel")


def note_incident(where: str, error: Exception) -> InternalError:
    """Log an unexpected failure with its traceback, and return the error that may travel."""
    incident = uuid.uuid4().hex[:12]
    _log.error("incident=%s %s", incident, where, exc_info=error)
    return InternalError(f"unexpected failure, incident {incident}")
