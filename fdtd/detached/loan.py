"""The proxy that a user lent to one job: its file, its end, and that it is given back.

Decides that there is a file exactly as long as the job runs, also when it is renewed in the moment in which the job
ends.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Final

from authsvc import delegation
from authsvc.credentials import Credential
from authsvc.delegation import Delegated
from fdtd.errors import StateFailed

_log: Final = logging.getLogger("fdtd.detached")


class Loan:
    """One job's proxy; safe to use from all threads."""

    def __init__(self, directory: str, delegated: Delegated) -> None:
        """Write the file, under a name that nobody knows.  Raises StateFailed."""
        path = os.path.join(directory, f"{os.urandom(16).hex()}.pem")
        self.credential = Credential(path, path)
        self.not_after = 0.0
        self._lock = threading.Lock()
        self._is_over = False
        self.renew(delegated)

    def renew(self, delegated: Delegated) -> bool:
        """Replace the proxy; False if the job needs none any more.  Raises StateFailed, and the old one stays."""
        with self._lock:
            if self._is_over:
                return False
            try:
                delegation.store(self.credential.key_path, delegated)
            except OSError as exc:
                raise StateFailed(f"cannot write {self.credential.key_path}: {exc.strerror}") from exc
            self.not_after = delegated.not_after
            return True

    def end(self) -> None:
        """Remove the file for good."""
        with self._lock:
            self._is_over = True
            try:
                os.unlink(self.credential.key_path)
            except OSError as exc:
                _log.error("event=proxy-stays path=%s reason=%r", self.credential.key_path, str(exc))
