"""CAs held to their policies and revocation lists, first alone and then by a running daemon."""

from __future__ import annotations

import datetime as dt
import logging
import os
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from authsvc import ca
from authsvc.authorities import Authorities, ExpiredCrl, Need, TrustRules
from authsvc.errors import BadRevocationList, CertificateRevoked, CredentialRefused, OutsidePolicy
from tests.authsvc.hostile import Forge, Plan, name_of
from tests.authsvc.revoking import CRITICAL, HOUR, Revoker, authority, leaf
from tests.helpers.pki import Pki


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Make a CA whose directory these tests may spoil."""
    return Pki(tmp_path_factory.mktemp("authorities"))


@pytest.fixture
def own(shared: Pki) -> Pki:
    revoker = Revoker(shared)
    for path in Path(shared.certificates).iterdir():
        if not path.name.endswith(".0"):
            path.unlink()
    for number in range(1, 3):
        Path(f"{revoker.stem}.{number}").unlink(missing_ok=True)
    revoker.policy.write_text(policy(shared))
    return shared


def policy(pki: Pki, *patterns: str) -> str:
    quoted = " ".join(f'"{pattern}"' for pattern in patterns or (f"/O={pki.organisation}/*",))
    name = f"/O={pki.organisation}/CN={pki.organisation} CA"
    return f"access_id_CA X509 '{name}'\npos_rights globus CA:sign\ncond_subjects globus '{quoted}'\n"


def user(pki: Pki) -> x509.Certificate:
    return leaf(pki.user)


def chain(pki: Pki, *below_root: x509.Certificate) -> list[bytes]:
    whole = [*(below_root or (user(pki),)), authority(pki)[0]]
    return [certificate.public_bytes(Encoding.DER) for certificate in whole]


def judge(pki: Pki, rules: TrustRules | None = None) -> None:
    Authorities(pki.certificates, rules or TrustRules()).judge(chain(pki), time.time())


def test_what_the_lab_makes_is_within_its_policy(own: Pki) -> None:
    judge(own)
    judge(own, TrustRules(Need.OFF, Need.OFF))


# signing policies


def test_a_name_outside_of_the_policy_is_refused(own: Pki) -> None:
    Revoker(own).policy.write_text(policy(own, "/O=elsewhere/*"))
    with pytest.raises(OutsidePolicy, match=f"{own.user_dn}, which its signing policy .* does not allow"):
        judge(own)
    judge(own, TrustRules(signing_policy=Need.OFF))
    with pytest.raises(OutsidePolicy):
        judge(own, TrustRules(signing_policy=Need.IF_PRESENT))


def test_a_missing_policy_is_refused_unless_the_site_says_otherwise(own: Pki) -> None:
    Revoker(own).policy.unlink()
    with pytest.raises(OutsidePolicy, match="missing or of another CA") as refused:
        judge(own)
    assert "signing_policy = if-present" in (refused.value.remedy or "")
    judge(own, TrustRules(signing_policy=Need.IF_PRESENT))


def test_a_policy_of_another_ca_under_the_same_hash_is_none(own: Pki) -> None:
    Revoker(own).policy.write_text(policy(own).replace(f"{own.organisation} CA", "Another CA"))
    with pytest.raises(OutsidePolicy, match="of another CA"):
        judge(own)


@pytest.mark.parametrize("need", [Need.REQUIRED, Need.IF_PRESENT])
def test_a_malformed_policy_stops_its_ca_and_names_file_and_line(own: Pki, need: Need) -> None:
    path = Revoker(own).policy
    path.write_text(policy(own).replace("pos_rights", "neg_rights"))
    with pytest.raises(OutsidePolicy, match=f"{path}, line 2: neg_rights"):
        judge(own, TrustRules(signing_policy=need))
    path.write_bytes(policy(own).encode() + b"# \xff\n")
    with pytest.raises(OutsidePolicy, match="line 4: not UTF-8"):
        judge(own, TrustRules(signing_policy=need))


def test_a_policy_that_anybody_can_change_counts_for_nothing(own: Pki) -> None:
    path = Revoker(own).policy
    path.chmod(0o666)
    with pytest.raises(OutsidePolicy, match="anybody can change it"):
        judge(own)
    path.chmod(0o644)
    judge(own)


def test_a_policy_that_changes_counts_at_once(own: Pki) -> None:
    authorities = Authorities(own.certificates, TrustRules())
    path = Revoker(own).policy
    for _ in range(5):
        authorities.judge(chain(own), time.time())
        path.write_text(policy(own, "/O=elsewhere/*"))
        with pytest.raises(OutsidePolicy):
            authorities.judge(chain(own), time.time())
        path.write_text(policy(own))


def test_an_intermediate_ca_needs_a_policy_of_its_own(own: Pki) -> None:
    forge = Forge(own)
    middle_name = name_of((NameOID.ORGANIZATION_NAME, own.organisation), (NameOID.COMMON_NAME, "middle"))
    middle = forge.user_like(Plan(pci=None, ca=True, name=middle_name))
    below = forge.sign(Plan(pci=None), middle, forge.key)
    authorities = Authorities(own.certificates, TrustRules())
    with pytest.raises(OutsidePolicy, match="CA /O=fdt-test/CN=middle"):
        authorities.judge(chain(own, below, middle), time.time())
    stem = os.path.join(own.certificates, ca.subject_hash(middle))
    Path(f"{stem}.signing_policy").write_text(policy(own).replace(f"{own.organisation} CA", "middle"))
    authorities.judge(chain(own, below, middle), time.time())
    Revoker(own).revoke(middle)
    with pytest.raises(CertificateRevoked, match="CN=middle was revoked"):
        authorities.judge(chain(own, below, middle), time.time())


def test_a_name_that_cannot_be_written_is_refused(own: Pki) -> None:
    odd = Forge(own).user_like(Plan(pci=None, name=name_of((NameOID.COMMON_NAME, "x/CN=y"))))
    with pytest.raises(CredentialRefused):
        Authorities(own.certificates, TrustRules()).judge(chain(own, odd), time.time())


@pytest.mark.parametrize("junk", [[b""], [b"\x30\x00", b"\x30\x00"]])
def test_what_is_no_chain_is_refused(own: Pki, junk: list[bytes]) -> None:
    with pytest.raises(CredentialRefused, match="malformed"):
        Authorities(own.certificates, TrustRules()).judge(junk, time.time())


# revocation lists


def test_a_revoked_certificate_is_refused_as_soon_as_the_list_is_there(own: Pki) -> None:
    revoker, authorities = Revoker(own), Authorities(own.certificates, TrustRules())
    authorities.judge(chain(own), time.time())
    revoker.revoke(user(own))
    with pytest.raises(CertificateRevoked, match=f"{own.user_dn} was revoked by its CA on 20"):
        authorities.judge(chain(own), time.time())
    revoker.revoke(leaf(own.host))
    authorities.judge(chain(own), time.time())
    judge(own, TrustRules(crl=Need.REQUIRED))


def test_lists_can_be_switched_off(own: Pki) -> None:
    Revoker(own).revoke(user(own))
    judge(own, TrustRules(crl=Need.OFF))


def test_a_missing_list_is_refused_where_one_is_required(own: Pki) -> None:
    with pytest.raises(BadRevocationList, match=r"\.r0\), and one is required"):
        judge(own, TrustRules(crl=Need.REQUIRED))


def test_an_expired_list_is_refused_by_name_or_used_with_a_word(own: Pki, caplog: pytest.LogCaptureFixture) -> None:
    revoker = Revoker(own)
    revoker.write(revoker.make(start=-2 * HOUR, end=-HOUR))
    with pytest.raises(BadRevocationList, match=f"{revoker.path}.* expired at"):
        judge(own)
    lenient = Authorities(own.certificates, TrustRules(expired_crl=ExpiredCrl.ACCEPT))
    with caplog.at_level(logging.WARNING, "authsvc.trust"):
        lenient.judge(chain(own), time.time())
        lenient.judge(chain(own), time.time())
    assert caplog.text.count("expired_crl = accept") == 1
    revoker.write(revoker.make([user(own)], start=-2 * HOUR, end=-HOUR))
    with pytest.raises(CertificateRevoked):
        lenient.judge(chain(own), time.time())


def test_a_list_of_the_future_is_refused(own: Pki) -> None:
    revoker = Revoker(own)
    revoker.write(revoker.make(start=HOUR, end=2 * HOUR))
    with pytest.raises(BadRevocationList, match="from the future"):
        judge(own)


def test_a_list_signed_by_somebody_else_is_refused(own: Pki) -> None:
    revoker = Revoker(own)
    revoker.write(revoker.make(key=own.proxy_key))
    with pytest.raises(BadRevocationList, match="was not signed by the CA"):
        judge(own)


def test_a_list_that_cannot_be_used_is_refused_and_not_skipped(own: Pki) -> None:
    revoker = Revoker(own)
    revoker.write(revoker.make(), Path(f"{revoker.stem}.r0"))
    delta = revoker.make(extensions=[(x509.DeltaCRLIndicator(1), True)])
    revoker.write(delta, Path(f"{revoker.stem}.r1"))
    with pytest.raises(BadRevocationList, match=r"\.r1 cannot be used: .*delta"):
        judge(own)
    critical = x509.UnrecognizedExtension(x509.ObjectIdentifier(CRITICAL), b"\5\0")
    revoker.write(revoker.make(extensions=[(critical, True)]), Path(f"{revoker.stem}.r1"))
    with pytest.raises(BadRevocationList, match="critical"):
        judge(own)
    Path(f"{revoker.stem}.r1").write_bytes(b"-----BEGIN X509 CRL-----\nhalf of it")
    with pytest.raises(BadRevocationList, match="cannot be used"):
        judge(own)
    Path(f"{revoker.stem}.r1").unlink()
    Path(f"{revoker.stem}.r1").symlink_to("nowhere")
    with pytest.raises(BadRevocationList, match="cannot read"):
        judge(own)


def test_a_part_of_a_list_is_never_taken_for_the_whole(own: Pki) -> None:
    def cut(*, users: bool) -> x509.IssuingDistributionPoint:
        return x509.IssuingDistributionPoint(None, None, users, not users, None, False, False)

    revoker = Revoker(own)
    revoker.write(revoker.make(extensions=[(cut(users=False), True)]))
    with pytest.raises(BadRevocationList, match=r"covers this certificate; .*\.r0 has a part only"):
        judge(own)
    revoker.write(revoker.make(extensions=[(cut(users=True), True)]), Path(f"{revoker.stem}.r1"))
    judge(own, TrustRules(crl=Need.REQUIRED))
    revoker.write(revoker.make([user(own)], extensions=[(cut(users=True), True)]), Path(f"{revoker.stem}.r1"))
    with pytest.raises(CertificateRevoked):
        judge(own)


def test_the_newest_list_counts(own: Pki) -> None:
    revoker = Revoker(own)
    revoker.write(revoker.make([user(own)], start=-3 * HOUR, end=-2 * HOUR))
    revoker.write(revoker.make(), Path(f"{revoker.stem}.r1"))
    judge(own)


def test_the_list_of_a_cas_other_key_names_the_revoked_but_is_not_its_own(own: Pki, tmp_path: Path) -> None:
    older = Pki(tmp_path / "older", organisation=own.organisation)
    revoker = Revoker(own)
    revoker.write(Revoker(older).make())
    with pytest.raises(BadRevocationList, match="was not signed"):
        judge(own)
    Path(f"{revoker.stem}.1").write_bytes(Path(f"{Revoker(older).stem}.0").read_bytes())
    judge(own)
    with pytest.raises(BadRevocationList, match="one is required"):
        judge(own, TrustRules(crl=Need.REQUIRED))
    # After a change of keys one list may be signed with the new one for all.
    revoker.write(Revoker(older).make([user(own)]))
    with pytest.raises(CertificateRevoked):
        judge(own)


def test_an_unchanged_list_is_read_once(own: Pki) -> None:
    revoker, authorities = Revoker(own), Authorities(own.certificates, TrustRules())
    revoker.write(revoker.make(end=dt.timedelta(seconds=30)))
    authorities.judge(chain(own), time.time())
    with pytest.raises(BadRevocationList, match="expired"):
        authorities.judge(chain(own), time.time() + 60)
