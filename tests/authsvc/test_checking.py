from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from authsvc import ca
from authsvc.authorities import Need, TrustRules
from authsvc.checking import Patience, check_authorities, check_caller_list, check_credential
from authsvc.credentials import Credential
from authsvc.findings import Finding, Level
from tests.helpers.pki import Pki

RULES = TrustRules()
DAY = 86400.0


def told(findings: Iterable[Finding], level: Level) -> list[str]:
    return [f"{finding.subject}: {finding.text}" for finding in findings if finding.level is level]


def look(credential: Credential, ca_dir: str, patience: Patience | None = None) -> list[Finding]:
    return list(check_credential(credential, ca_dir, RULES, patience or Patience.for_kind(credential)))


@pytest.fixture
def ca_dir(pki: Pki, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pki.certificates, tmp_path / "certificates"))


def write_crl(pki: Pki, path: Path, *, age: float, life: float) -> None:
    (name,) = (n for n in os.listdir(pki.certificates) if n.endswith(".0"))
    chain, key = ca.load(Credential(os.path.join(pki.certificates, name), pki.lab.key_path))
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(chain[0].subject)
    builder = builder.last_update(now - dt.timedelta(hours=age)).next_update(now + dt.timedelta(hours=life))
    (path / name.replace(".0", ".r0")).write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))


def test_good_credentials_are_told_with_their_time_and_their_chain(pki: Pki) -> None:
    for credential in (pki.host, pki.proxy):
        found = look(credential, pki.certificates, Patience(60.0, 30.0))
        assert [finding.level for finding in found] == [Level.OK, Level.OK]
        assert "ends in" in found[0].text
        assert "the chain holds: /O=fdt-test/CN=" in found[1].text


def test_the_levels_go_by_the_time_that_is_left(pki: Pki) -> None:
    proxy = pki.make_proxy("level", hours=2)
    for patience, level in ((Patience(3600, 600), Level.OK), (Patience(DAY, 600), Level.WARNING)):
        assert look(proxy, pki.certificates, patience)[0].level is level
    assert look(proxy, pki.certificates, Patience(2 * DAY, DAY))[0].level is Level.CRITICAL
    (ended,) = look(pki.expired_proxy("ended"), pki.certificates)
    assert ended.level is Level.CRITICAL
    assert "expired at" in ended.text


def test_files_that_a_daemon_would_refuse_are_critical_in_its_words(pki: Pki, tmp_path: Path) -> None:
    copy = tmp_path / "proxy"
    shutil.copy(pki.proxy.cert_path, copy)
    copy.chmod(0o644)
    assert "chmod 600" in told(look(Credential(str(copy), str(copy)), pki.certificates), Level.CRITICAL)[0]
    mixed = Credential(pki.host.cert_path, pki.user.key_path)
    assert "does not belong to the first certificate" in told(look(mixed, pki.certificates), Level.CRITICAL)[0]


def test_a_chain_that_others_would_refuse_is_critical(pki: Pki, ca_dir: Path, tmp_path: Path) -> None:
    stranger = Pki(tmp_path / "stranger", organisation="elsewhere")
    assert "chain does not hold" in told(look(pki.user, stranger.certificates), Level.CRITICAL)[0]
    (policy,) = ca_dir.glob("*.signing_policy")
    policy.write_text(policy.read_text().replace("/O=fdt-test/*", "/O=other/*"))
    assert "signing policy" in told(look(pki.user, str(ca_dir)), Level.CRITICAL)[0]


def test_the_ca_directory_is_told_by_its_weak_points(pki: Pki, ca_dir: Path, tmp_path: Path) -> None:
    good = list(check_authorities(str(ca_dir), RULES))
    assert [finding.level for finding in good] == [Level.OK, Level.OK]
    assert "holds 1 CAs" in good[0].text

    write_crl(pki, ca_dir, age=5, life=100)
    assert "1 revocation lists, the oldest is 5 hours old" in told(check_authorities(str(ca_dir), RULES), Level.OK)[1]
    write_crl(pki, ca_dir, age=30, life=6)
    assert "ends in 5 hours" in told(check_authorities(str(ca_dir), RULES), Level.WARNING)[0]
    write_crl(pki, ca_dir, age=30, life=-6)
    assert "revoked certificates" in told(check_authorities(str(ca_dir), RULES), Level.WARNING)[0]
    (crl,) = ca_dir.glob("*.r0")
    crl.write_text("nonsense")
    assert "cannot be used" in told(check_authorities(str(ca_dir), RULES), Level.WARNING)[0]
    crl.unlink()
    required = TrustRules(crl=Need.REQUIRED)
    assert "has no revocation list" in told(check_authorities(str(ca_dir), required), Level.WARNING)[0]

    (policy,) = ca_dir.glob("*.signing_policy")
    text = policy.read_text()
    policy.write_text("nonsense\n")
    assert "line 1" in told(check_authorities(str(ca_dir), RULES), Level.WARNING)[0]
    policy.write_text(text.replace("fdt-test CA", "another CA"))
    assert "says nothing about its CA" in told(check_authorities(str(ca_dir), RULES), Level.WARNING)[0]
    policy.unlink()
    assert "gets in: no " in told(check_authorities(str(ca_dir), RULES), Level.WARNING)[0]
    assert not told(check_authorities(str(ca_dir), TrustRules(signing_policy=Need.OFF)), Level.WARNING)

    (ca_dir / "00000000.0").write_text("nonsense")
    assert "00000000.0" in told(check_authorities(str(ca_dir), RULES), Level.WARNING)[0]
    assert told(check_authorities(str(tmp_path / "none"), RULES), Level.CRITICAL)


def test_a_service_that_nobody_may_ask_is_critical() -> None:
    assert [one.level for one in check_caller_list(())] == [Level.CRITICAL]
    assert [one.level for one in check_caller_list(("/CN=a", "/cn=A"))] == [Level.WARNING]
    assert not list(check_caller_list(("/CN=a", "/CN=b")))
