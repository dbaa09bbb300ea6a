"""The words for each way in which TLS fails; real failures are in channel/test_client.py."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from authsvc.errors import CredentialExpired, CredentialRefused, NotAuthentic
from authsvc.refusals import from_handshake
from fdtcp.errors import FdtError, Unreachable
from tests.helpers.pki import Pki


def tell(pki: Pki, error: OSError, presented: bytes | None = None) -> FdtError:
    return from_handshake(error, "storage.example.org", pki.proxy, "/ca", presented)


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


def verify_error(code: int, message: str = "odd") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, message)
    settable: Any = error
    settable.verify_code, settable.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("reason", "cls", "words"),
    [
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", CredentialExpired, "check both clocks"),
        ("TLSV1_ALERT_UNKNOWN_CA", CredentialRefused, "does not know the CA"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", CredentialRefused, "bad certificate"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", CredentialRefused, "certificate required"),
        ("WRONG_VERSION_NUMBER", Unreachable, "does not speak TLS"),
        ("SOMETHING_NEW", Unreachable, "SOMETHING_NEW"),
    ],
)
def test_an_alert_is_told_in_words(reason: str, cls: type[FdtError], words: str, pki: Pki) -> None:
    found = tell(pki, tls_error(reason))
    assert type(found) is cls
    assert words in found.reason
    assert "storage.example.org" in found.reason


def test_our_own_file_explains_an_alert_better_than_the_alert(pki: Pki) -> None:
    expired = pki.expired_proxy("refusal")
    found = from_handshake(tls_error("SSLV3_ALERT_BAD_CERTIFICATE"), "h", expired, "/ca", None)
    assert isinstance(found, CredentialExpired)
    assert expired.cert_path in found.reason


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (62, "names no host at all"),
        (64, "names no host at all"),
        (20, "from a CA that is not in /ca"),
        (19, "from a CA that is not in /ca"),
        (10, "has expired"),
        (9, "not valid yet"),
        (1, "does not hold: odd"),
    ],
)
def test_a_host_that_does_not_prove_itself_is_told_in_words(code: int, words: str, pki: Pki) -> None:
    found = tell(pki, verify_error(code))
    assert isinstance(found, NotAuthentic)
    assert words in found.reason
    assert found.remedy


@pytest.mark.parametrize("presented", [None, b"", b"junk"])
def test_what_a_hostile_host_presents_cannot_break_the_explanation(presented: bytes | None, pki: Pki) -> None:
    for code in (20, 62):
        assert isinstance(tell(pki, verify_error(code), presented), NotAuthentic)


def test_silence_and_a_closed_connection_are_unreachable(pki: Pki) -> None:
    assert "in time" in tell(pki, TimeoutError()).reason
    assert "closed the connection" in tell(pki, ConnectionResetError(104, "Connection reset by peer")).reason
    assert tell(pki, TimeoutError()).retryable
