"""The credential that lives as long as one job."""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from fdtd.live.ephemeral import make_ephemeral


def test_the_fingerprint_is_that_of_the_certificate() -> None:
    made = make_ephemeral()
    certificate = x509.load_pem_x509_certificate(made.credential)
    assert certificate.fingerprint(hashes.SHA256()) == made.fingerprint


def test_each_job_has_its_own_and_the_key_is_not_shown() -> None:
    one, other = make_ephemeral(), make_ephemeral()
    assert one.fingerprint != other.fingerprint and one.credential != other.credential
    assert b"PRIVATE KEY" in one.credential and "PRIVATE" not in repr(one)
    assert len(one.fingerprint) == hashlib.sha256().digest_size
