from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

import pytest

from authsvc.credentials import Credential
from authsvc.errors import BadCredential, BadTrust
from authsvc.tls import ServerContexts, client_context, presented_certificate, server_context, verified_chain
from tests.authsvc.listening import Listening
from tests.helpers.pki import Pki


def test_the_server_takes_proxies_and_resumes_nothing(pki: Pki) -> None:
    context = server_context(pki.host, pki.certificates)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.verify_flags & ssl.VERIFY_ALLOW_PROXY_CERTS
    assert context.num_tickets == 0
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_the_client_takes_no_proxies_and_checks_names(pki: Pki) -> None:
    context = client_context(pki.proxy, pki.certificates)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert not context.verify_flags & ssl.VERIFY_ALLOW_PROXY_CERTS
    assert context.check_hostname
    assert not context.hostname_checks_common_name


def test_the_systems_cas_are_not_trusted(pki: Pki) -> None:
    for context in (server_context(pki.host, pki.certificates), client_context(pki.proxy, pki.certificates)):
        assert context.cert_store_stats()["x509"] == 0, "everything comes from the directory, when it is needed"


def test_the_verified_chain_runs_from_the_peer_to_the_root(pki: Pki, listening: Listening) -> None:
    with listening.tls(pki.proxy) as tls:
        chain = verified_chain(tls)
        assert len(chain) == 2
        assert chain[0] == tls.getpeercert(binary_form=True)
        assert presented_certificate(tls) == chain[0]


@pytest.fixture
def own(tmp_path: Path) -> tuple[Pki, Credential]:
    pki = Pki(tmp_path / "own")
    return pki, pki.make_host("127.0.0.2")


def test_a_context_lasts_until_something_changes(own: tuple[Pki, Credential]) -> None:
    pki, credential = own
    contexts = ServerContexts(credential, pki.certificates, os.getuid())
    first = contexts.current()
    assert contexts.current() is first
    pki.make_host("127.0.0.2")
    second = contexts.current()
    assert second is not first
    Path(pki.certificates, "00000000.0").touch()
    assert contexts.current() is not second


def test_a_half_renewed_certificate_keeps_the_old_one_in_use(
    own: tuple[Pki, Credential], caplog: pytest.LogCaptureFixture
) -> None:
    pki, credential = own
    contexts = ServerContexts(credential, pki.certificates, os.getuid())
    first = contexts.current()
    other = pki.make_host("127.0.0.3")
    Path(credential.cert_path).write_bytes(Path(other.cert_path).read_bytes())
    with caplog.at_level(logging.WARNING, "authsvc.tls"):
        assert contexts.current() is first
    assert "does not belong" in caplog.text
    Path(credential.key_path).write_bytes(Path(other.key_path).read_bytes())
    assert contexts.current() is not first


def test_a_removed_ca_is_not_trusted_on_because_of_a_bad_certificate(own: tuple[Pki, Credential]) -> None:
    pki, credential = own
    contexts = ServerContexts(credential, pki.certificates, os.getuid())
    os.truncate(credential.cert_path, 20)
    Path(pki.certificates, "00000000.0").touch()
    with pytest.raises(BadCredential):
        contexts.current()


def test_a_ca_directory_that_is_emptied_lets_nobody_in(own: tuple[Pki, Credential]) -> None:
    pki, credential = own
    contexts = ServerContexts(credential, pki.certificates, os.getuid())
    for path in Path(pki.certificates).iterdir():
        path.unlink()
    with pytest.raises(BadTrust):
        contexts.current()


def test_an_open_key_is_refused_at_the_start(own: tuple[Pki, Credential]) -> None:
    pki, credential = own
    os.chmod(credential.key_path, 0o640)
    with pytest.raises(BadCredential, match="open to others"):
        ServerContexts(credential, pki.certificates, os.getuid())
