"""The end of the host certificate, told while there is time: at the start, and in the log once a day.

Decides when it is told; the words are `authsvc.expiry`'s.  A daemon whose certificate has ended does not start: every
client would refuse it.  One that runs goes on, because a new certificate is taken without a restart.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from authsvc import expiry
from authsvc.credentials import Credential
from authsvc.errors import CredentialExpired

_log: Final = logging.getLogger("fdtd")

EVERY_S: Final = 86400.0


class CertificateWatch:
    """Tells of one certificate."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential
        self._next = 0.0

    def start(self) -> None:
        """Warn if the certificate ends soon.  Raises CredentialExpired if it has ended."""
        self._next = time.monotonic() + EVERY_S
        if (warning := expiry.warning(self._credential, time.time())) is not None:
            _log.warning("event=certificate-ends reason=%r", warning)

    def tick(self) -> None:
        """Look again if a day has passed."""
        if time.monotonic() < self._next:
            return
        try:
            self.start()
        except CredentialExpired as exc:
            _log.error("event=certificate-expired reason=%r", str(exc))
