"""What a client asks of a host's certificate beyond TLS, with real daemons and with no library loaded for it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from authsvc.authorities import Need, TrustRules
from authsvc.channel import Connection
from authsvc.channel.hostcheck import check_host
from authsvc.errors import BadRevocationList, NotAuthentic, OutsidePolicy
from fdtcp.errors import Side
from tests.authsvc.hostile import Forge, Plan, name_of
from tests.authsvc.listening import PATIENCE_S, Listening
from tests.authsvc.revoking import HOUR, Revoker, authority, leaf
from tests.helpers.pki import Pki


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("hosts") / "pki")


@pytest.fixture
def revoker(own: Pki) -> Iterator[Revoker]:
    revoker = Revoker(own)
    policy = revoker.policy.read_bytes()
    yield revoker
    revoker.policy.write_bytes(policy)
    revoker.path.unlink(missing_ok=True)


def chain(pki: Pki) -> list[bytes]:
    return [c.public_bytes(Encoding.DER) for c in (leaf(pki.host), authority(pki)[0])]


def check(pki: Pki, trust: TrustRules | None = None, expect_dn: str | None = None) -> None:
    check_host(chain(pki), "h:1", pki.certificates, trust or TrustRules(), expect_dn)


def test_an_honest_host_passes(own: Pki) -> None:
    check(own)
    check(own, expect_dn="/o=FDT-test/CN=localhost")


def test_a_host_of_another_dn_than_configured_is_not_authentic(own: Pki) -> None:
    with pytest.raises(NotAuthentic, match=r"h:1 is /O=fdt-test/CN=localhost, not /O=fdt-test/CN=other") as refused:
        check(own, expect_dn="/O=fdt-test/CN=other")
    assert refused.value.remedy == "correct its DN under [peers]"


def test_a_revoked_host_is_not_authentic(own: Pki, revoker: Revoker) -> None:
    revoker.revoke(leaf(own.host))
    with pytest.raises(NotAuthentic, match=r"the daemon at h:1 .* was revoked by its CA"):
        check(own)
    check(own, TrustRules(crl=Need.OFF))


def test_what_is_wrong_with_our_own_files_is_on_our_side(own: Pki, revoker: Revoker) -> None:
    revoker.write(revoker.make(start=-2 * HOUR, end=-HOUR))
    with pytest.raises(BadRevocationList, match=f"{revoker.path}.* expired") as expired:
        check(own)
    assert expired.value.side is Side.CLIENT
    assert "fetch-crl on this machine" in (expired.value.remedy or "")
    revoker.path.unlink()
    revoker.policy.unlink()
    with pytest.raises(OutsidePolicy, match="missing") as missing:
        check(own)
    assert missing.value.side is Side.CLIENT
    check(own, TrustRules(signing_policy=Need.IF_PRESENT))


def test_a_ca_cannot_name_hosts_outside_of_its_policy(own: Pki, revoker: Revoker) -> None:
    revoker.policy.write_text(revoker.policy.read_text().replace("fdt-test/*", "fdt-test/CN=Test *"))
    with pytest.raises(OutsidePolicy, match="signed the name /O=fdt-test/CN=localhost"):
        check(own)


def test_a_name_that_cannot_be_written_is_not_authentic(own: Pki) -> None:
    odd = Forge(own).user_like(Plan(pci=None, name=name_of((NameOID.COMMON_NAME, "x/CN=y"))))
    with pytest.raises(NotAuthentic, match="cannot be used"):
        check_host([odd.public_bytes(Encoding.DER), chain(own)[1]], "h:1", own.certificates, TrustRules(), None)
    with pytest.raises(NotAuthentic, match="cannot be used"):
        check_host([b"\x30\x00"], "h:1", own.certificates, TrustRules(), "/CN=x")


def test_nothing_is_said_to_a_host_that_does_not_hold(own: Pki, revoker: Revoker) -> None:
    with Listening(own) as running:
        running.open().close()
        assert len(running.callers) == 1
        revoker.revoke(leaf(own.host))
        with pytest.raises(NotAuthentic):
            running.open()
        assert len(running.callers) == 1
        Connection.open(
            *running.address,
            credential=own.proxy,
            ca_dir=own.certificates,
            deadline=time.monotonic() + PATIENCE_S,
            trust=TrustRules(crl=Need.OFF),
        ).close()


def test_without_a_list_no_cryptography_is_loaded(own: Pki, tmp_path: Path) -> None:
    for number, item in enumerate(chain(own)):
        (tmp_path / str(number)).write_bytes(item)
    program = f"""
import sys
from pathlib import Path
from authsvc.authorities import TrustRules
from authsvc.channel.hostcheck import check_host
chain = [Path({str(tmp_path)!r}, name).read_bytes() for name in ("0", "1")]
check_host(chain, "h:1", {own.certificates!r}, TrustRules(), "/O=fdt-test/CN=localhost")
assert not {{"cryptography", "OpenSSL", "asn1crypto"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
