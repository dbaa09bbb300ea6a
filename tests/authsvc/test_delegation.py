"""Delegation: what is accepted, what is not, and what the grid's own tools say of the result."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from authsvc import delegation, issuing
from authsvc.credentials import Credential, check_files
from authsvc.delegation import Delegated, Delegation
from authsvc.errors import DelegationRefused
from authsvc.identity import IdentityRules
from authsvc.recognition import SiteRules
from tests.authsvc.listening import Listening
from tests.authsvc.vomsing import VomsServer
from tests.helpers.detachedroom import caller_with
from tests.helpers.pki import Pki


def ders(credential: Credential) -> list[bytes]:
    chain, _ = issuing.read(credential)
    return [one.public_bytes(serialization.Encoding.DER) for one in chain]


def delegate(pki: Pki, credential: Credential, *, hours: float = 0.5, limited: bool = False) -> Delegated:
    daemon = Delegation(caller_with(pki, credential))
    return daemon.finish(delegation.sign(daemon.begin(), credential, hours=hours, limited=limited))


def stored(pki: Pki, credential: Credential, path: Path, **how: bool) -> Credential:
    return delegation.store(str(path), delegate(pki, credential, **how))


def test_a_delegated_proxy_opens_connections_as_its_user(pki: Pki, listening: Listening, tmp_path: Path) -> None:
    proxy = stored(pki, pki.proxy, tmp_path / "delegated")
    with listening.open(proxy) as connection:
        assert connection.hello.dn == pki.user_dn
        assert connection.call("echo", {"x": 1}, 5) == {"x": 1}
    assert listening.callers[0].identity.depth == 2


def test_delegation_works_over_a_real_connection(pki: Pki, listening: Listening) -> None:
    with listening.open() as connection:
        connection.call("echo", {}, 5)
        daemon = Delegation(listening.callers[-1])
        made = daemon.finish(delegation.sign(daemon.begin(), pki.proxy, hours=0.5))
    assert made.not_after <= time.time() + 1801
    # Leaf, key, chain; the root is left out.
    kinds = [line for line in made.content.decode().splitlines() if line.startswith("-----BEGIN")]
    assert [kind.strip("-").removeprefix("BEGIN ") for kind in kinds] == [
        "CERTIFICATE",
        "RSA PRIVATE KEY",
        *["CERTIFICATE"] * 2,
    ]


def test_attributes_of_a_vo_survive_delegation(tmp_path: Path) -> None:
    server = VomsServer(Pki(tmp_path / "pki"), tmp_path / "vomsdir")
    chain = server.chain(server.grant())
    proxy = server.pki.store(str(tmp_path / "voms"), chain[:2], server.forge.key)
    with Listening(server.pki, rules=SiteRules(voms_dir=str(server.voms_dir))) as daemon:
        for credential in (proxy, stored(server.pki, proxy, tmp_path / "lent")):
            assert daemon.verdict(credential) == ("ok", server.pki.user_dn)
    own, lent = (caller.identity for caller in daemon.callers)
    assert own.fqans
    assert (lent.fqans, lent.fqan_problem, lent.depth) == (own.fqans, "", own.depth + 1)


def test_a_proxy_is_stored_for_the_daemon_alone(pki: Pki, tmp_path: Path) -> None:
    made = delegate(pki, pki.proxy)
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "proxy").symlink_to(tmp_path / "victim")
    credential = delegation.store(str(tmp_path / "proxy"), made)
    check_files(credential, os.geteuid())
    assert stat.S_IMODE((tmp_path / "proxy").lstat().st_mode) == 0o600
    assert (tmp_path / "victim").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["proxy", "victim"]
    with pytest.raises(OSError):
        delegation.store(str(tmp_path / "nowhere" / "proxy"), made)


def test_a_limited_proxy_delegates_limited_ones(pki: Pki) -> None:
    assert delegate(pki, pki.make_proxy("limited", limited=True)).limited
    assert delegate(pki, pki.proxy, limited=True).limited
    assert not delegate(pki, pki.proxy).limited


def test_the_caller_decides_how_long_it_lasts_up_to_his_own_end(pki: Pki) -> None:
    parent = caller_with(pki, pki.proxy).identity.not_after
    assert delegate(pki, pki.proxy, hours=1 / 60).not_after < time.time() + 61
    assert delegate(pki, pki.proxy, hours=1000).not_after == parent


def test_finishing_needs_a_beginning_and_works_once(pki: Pki) -> None:
    daemon = Delegation(caller_with(pki, pki.proxy))
    answer = delegation.sign(daemon.begin(), pki.proxy, hours=0.5)
    assert daemon.finish(answer)
    for chain in (answer, [], ders(pki.proxy)):
        with pytest.raises(DelegationRefused, match="had not begun"):
            daemon.finish(chain)
    # A new beginning makes the answer to an older one worthless.
    daemon.begin()
    with pytest.raises(DelegationRefused, match="another key"):
        daemon.finish(answer)
    with pytest.raises(DelegationRefused, match="had not begun"):
        Delegation(caller_with(pki, pki.proxy)).finish(answer)


def request_key(request: bytes) -> rsa.RSAPublicKey:
    key = x509.load_der_x509_csr(request).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    return key


Answer = Callable[[Pki, bytes], Sequence[bytes]]


def other_key(pki: Pki, _request: bytes) -> Sequence[bytes]:
    return [forge(pki, pki.proxy, pki.proxy_key.public_key()), *ders(pki.proxy)]


def other_user(pki: Pki, request: bytes) -> Sequence[bytes]:
    """Answer with a chain of another user of the same CA."""
    return delegation.sign(request, pki.make_proxy("mallory", pki.make_user("Mallory")), hours=0.5)


def other_chain_of_the_same_user(pki: Pki, request: bytes) -> Sequence[bytes]:
    return delegation.sign(request, pki.make_proxy("second"), hours=0.5)


def signed_by_another(pki: Pki, request: bytes) -> Sequence[bytes]:
    """Sign with a key of mine, but say that the victim's chain did."""
    return [
        delegation.sign(request, pki.make_proxy("mallory-2", pki.make_user("Mallory2")), hours=0.5)[0],
        *ders(pki.proxy),
    ]


def name_of_another(pki: Pki, request: bytes) -> Sequence[bytes]:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name) for name in ("Victim", "1")])
    return [forge(pki, pki.proxy, request_key(request), subject=name), *ders(pki.proxy)]


def no_proxy_at_all(pki: Pki, request: bytes) -> Sequence[bytes]:
    return [forge(pki, pki.proxy, request_key(request), extensions=False), *ders(pki.proxy)]


def longer_than_its_parent(pki: Pki, request: bytes) -> Sequence[bytes]:
    return [forge(pki, pki.proxy, request_key(request), life=dt.timedelta(days=2)), *ders(pki.proxy)]


def not_valid_yet(pki: Pki, request: bytes) -> Sequence[bytes]:
    return [forge(pki, pki.proxy, request_key(request), start=dt.timedelta(minutes=10)), *ders(pki.proxy)]


def unknown_critical_extension(pki: Pki, request: bytes) -> Sequence[bytes]:
    return [forge(pki, pki.proxy, request_key(request), strange=True), *ders(pki.proxy)]


def without_the_users_certificate(pki: Pki, request: bytes) -> Sequence[bytes]:
    return delegation.sign(request, pki.proxy, hours=0.5)[:-1]


def garbage(pki: Pki, _request: bytes) -> Sequence[bytes]:
    return [b"\x30\x03\x02\x01\x00", *ders(pki.proxy)]


def far_too_much(pki: Pki, _request: bytes) -> Sequence[bytes]:
    return ders(pki.proxy) * 20


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (other_key, "another key"),
        (other_user, "not the one of this connection"),
        (other_chain_of_the_same_user, "not the one of this connection"),
        (signed_by_another, "not signed by"),
        (name_of_another, "not acceptable"),
        (no_proxy_at_all, "not acceptable|not a proxy"),
        (longer_than_its_parent, "outlive"),
        (not_valid_yet, "not valid yet"),
        (unknown_critical_extension, "unknown critical extension"),
        (without_the_users_certificate, "not the one of this connection"),
        (garbage, "malformed|not acceptable"),
        (far_too_much, "sensible sizes"),
    ],
)
def test_hostile_answers_are_refused(pki: Pki, answer: Answer, why: str) -> None:
    daemon = Delegation(caller_with(pki, pki.proxy))
    with pytest.raises(DelegationRefused, match=why):
        daemon.finish(answer(pki, daemon.begin()))


def test_a_full_proxy_of_a_limited_one_is_refused(pki: Pki) -> None:
    limited = pki.make_proxy("limited-2", limited=True)
    daemon = Delegation(caller_with(pki, limited))
    with pytest.raises(DelegationRefused, match="limited proxies only"):
        daemon.finish([forge(pki, limited, request_key(daemon.begin())), *ders(limited)])


def test_a_path_length_of_the_parent_is_respected(pki: Pki) -> None:
    last = pki.make_proxy("last", path_length=0)
    daemon = Delegation(caller_with(pki, last))
    with pytest.raises(DelegationRefused, match="further proxies"):
        daemon.finish(delegation.sign(daemon.begin(), last, hours=0.5))


def test_a_proxy_that_the_sites_rules_refuse_is_refused(pki: Pki) -> None:
    caller = caller_with(pki, pki.proxy)
    for rules, limited in (
        (IdentityRules(max_proxies=caller.identity.depth), False),
        (IdentityRules(limited_proxies=False), True),
    ):
        daemon = Delegation(caller, rules)
        with pytest.raises(DelegationRefused, match="not acceptable"):
            daemon.finish(delegation.sign(daemon.begin(), pki.proxy, hours=0.5, limited=limited))


def test_hostile_requests_are_not_signed(pki: Pki) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505  # weak on purpose
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(weak, hashes.SHA256())
    good = Delegation(caller_with(pki, pki.proxy)).begin()
    broken = good[:-1] + bytes([good[-1] ^ 1])
    for hostile in (request.public_bytes(serialization.Encoding.DER), broken, b"", b"x" * 10_000):
        with pytest.raises(DelegationRefused, match="request"):
            delegation.sign(hostile, pki.proxy, hours=1)


def forge(
    pki: Pki,
    parent: Credential,
    key: rsa.RSAPublicKey,
    *,
    subject: x509.Name | None = None,
    extensions: bool = True,
    start: dt.timedelta = -dt.timedelta(minutes=1),
    life: dt.timedelta = dt.timedelta(minutes=10),
    strange: bool = False,
) -> bytes:
    """Sign with the parent's key what our own client would not."""
    chain, parent_key = issuing.read(parent)
    made = issuing.issue([pki_user(pki)], parent_key, key, life=dt.timedelta(hours=1))
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    last = x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "7")])
    builder = x509.CertificateBuilder().subject_name(subject or x509.Name([*chain[0].subject.rdns, last]))
    builder = builder.issuer_name(chain[0].subject).public_key(key).serial_number(7)
    builder = builder.not_valid_before(now + start).not_valid_after(now + max(start, dt.timedelta()) + life)
    for extension in made.extensions if extensions else []:
        builder = builder.add_extension(extension.value, extension.critical)
    if strange:
        builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
    assert isinstance(parent_key, rsa.RSAPrivateKey)
    return builder.sign(parent_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def pki_user(pki: Pki) -> x509.Certificate:
    return issuing.read(pki.user)[0][0]


# --- the judges ---


def run(pki: Pki, *command: str) -> str:
    environment = os.environ | {"X509_CERT_DIR": pki.certificates, "HOME": pki.directory}
    environment.pop("X509_USER_PROXY", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize("limited", [False, True])
def test_openssl_verifies_it(pki: Pki, tmp_path: Path, limited: bool) -> None:
    proxy = stored(pki, pki.proxy, tmp_path / "proxy", limited=limited).cert_path
    told = run(pki, "openssl", "verify", "-allow_proxy_certs", "-CApath", pki.certificates, "-untrusted", proxy, proxy)
    assert told.strip().endswith("OK")


@pytest.mark.skipif(shutil.which("grid-proxy-info") is None, reason="needs grid-proxy-info (globus-proxy-utils)")
@pytest.mark.parametrize(("limited", "kind"), [(False, "RFC 3820 compliant impersonation"), (True, "limited")])
def test_grid_proxy_info_knows_it(pki: Pki, tmp_path: Path, limited: bool, kind: str) -> None:
    proxy = stored(pki, pki.proxy, tmp_path / "proxy", limited=limited).cert_path
    told = run(pki, "grid-proxy-info", "-f", proxy)
    assert f"identity : {pki.user_dn}" in told
    assert kind in told
    run(pki, "grid-proxy-info", "-f", proxy, "-exists", "-valid", "0:20")
