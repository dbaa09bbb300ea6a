from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from authsvc import ca
from authsvc.revocation import Crl
from tests.authsvc.hostile import Forge, Plan
from tests.authsvc.revoking import CRITICAL, HOUR, Revoker, leaf
from tests.helpers.pki import Pki


@pytest.fixture(scope="module")
def revoker(pki: Pki) -> Revoker:
    return Revoker(pki)


def encoded(crl: x509.CertificateRevocationList) -> bytes:
    return crl.public_bytes(Encoding.PEM)


def test_a_list_knows_whom_it_names(pki: Pki, revoker: Revoker) -> None:
    user, host = leaf(pki.user), leaf(pki.host)
    made = revoker.make([user])
    for content in (made.public_bytes(Encoding.PEM), made.public_bytes(Encoding.DER)):
        crl = Crl(content)
        assert crl.is_signed_by(revoker.certificate)
        assert crl.is_signed_by(revoker.certificate)
        when = crl.revoked_at(user.serial_number)
        assert when is not None
        assert abs(when - (dt.datetime.now(dt.UTC) - HOUR)) < HOUR / 10
        assert crl.revoked_at(host.serial_number) is None


def test_a_list_has_a_time(revoker: Revoker) -> None:
    crl = Crl(encoded(revoker.make()))
    now = dt.datetime.now(dt.UTC)
    assert not crl.is_early(now)
    assert crl.is_early(now - 2 * HOUR)
    assert not crl.is_expired(now)
    assert crl.is_expired(now + 2 * HOUR)


def test_a_list_of_another_key_or_name_is_not_the_cas(pki: Pki, revoker: Revoker) -> None:
    assert not Crl(encoded(revoker.make(key=pki.proxy_key))).is_signed_by(revoker.certificate)
    other = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "other")])
    assert not Crl(encoded(revoker.make(issuer=other))).is_signed_by(revoker.certificate)


def test_a_list_by_who_may_not_sign_lists_is_not_the_cas(pki: Pki) -> None:
    chain, key = ca.load(pki.user)
    crl = Revoker(pki).make(key=key, issuer=chain[0].subject)
    assert not Crl(encoded(crl)).is_signed_by(chain[0])


URL = x509.UniformResourceIdentifier("http://ca.example.org/crl")


def part(**partial: object) -> x509.IssuingDistributionPoint:
    facts: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**facts, **partial})  # type: ignore[arg-type]  # the facts have many types


@pytest.mark.parametrize(
    ("extension", "why"),
    [
        (x509.DeltaCRLIndicator(1), "delta list"),
        (part(indirect_crl=True), "indirect"),
        (part(only_some_reasons=frozenset([x509.ReasonFlags.key_compromise])), "some reasons"),
        (part(only_contains_attribute_certs=True), "cannot be told which"),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier(CRITICAL), b"\5\0"), "critical extension 1.2.3.4.5"),
    ],
)
def test_a_list_whose_meaning_is_another_is_refused(extension: x509.ExtensionType, why: str, revoker: Revoker) -> None:
    with pytest.raises(ValueError, match=why):
        Crl(encoded(revoker.make(extensions=[(extension, True)])))


def test_a_partial_list_covers_its_part_only(pki: Pki, revoker: Revoker) -> None:
    forge = Forge(pki)
    user, authority = leaf(pki.user), revoker.certificate
    named = forge.user_like(Plan(pci=None, extra=(points(URL),)))
    elsewhere = forge.user_like(Plan(pci=None, extra=(points(x509.UniformResourceIdentifier("http://x/")),)))
    everybody = [user, authority, named, elsewhere]
    expected = {
        part(only_contains_user_certs=True): [user, named, elsewhere],
        part(only_contains_ca_certs=True): [authority],
        part(full_name=[URL]): [named],
        part(full_name=[URL], only_contains_ca_certs=True): [],
    }
    for scope, covered in expected.items():
        crl = Crl(encoded(revoker.make(extensions=[(scope, True)])))
        assert [certificate for certificate in everybody if crl.covers(certificate)] == covered
    assert all(map(Crl(encoded(revoker.make())).covers, everybody))


def points(url: x509.UniformResourceIdentifier) -> x509.CRLDistributionPoints:
    return x509.CRLDistributionPoints([x509.DistributionPoint([url], None, None, None)])


def test_a_list_with_another_cas_certificates_is_refused(revoker: Revoker) -> None:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(revoker.certificate.subject)
    issuer = x509.CertificateIssuer([x509.DirectoryName(revoker.certificate.subject)])
    entry = x509.RevokedCertificateBuilder().serial_number(7).revocation_date(now).add_extension(issuer, critical=True)
    builder = builder.last_update(now).next_update(now + HOUR).add_revoked_certificate(entry.build())
    with pytest.raises(ValueError, match="indirect"):
        Crl(encoded(builder.sign(revoker.key, hashes.SHA256())))


def test_usual_extensions_do_no_harm(revoker: Revoker) -> None:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(revoker.key.public_key())
    crl = Crl(encoded(revoker.make(extensions=[(x509.CRLNumber(3), False), (identifier, False)])))
    assert crl.is_signed_by(revoker.certificate)


def test_half_a_list_is_refused(revoker: Revoker) -> None:
    content = encoded(revoker.make())
    for part in (content[: len(content) // 2], b"", b"-----BEGIN X509 CRL-----\n"):
        with pytest.raises(ValueError, match=r"cannot|no list"):
            Crl(part)


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda junk: b"-----BEGIN X509 CRL-----\n" + junk))
def test_any_bytes_are_read_or_refused(junk: bytes) -> None:
    with pytest.raises(ValueError):
        Crl(junk)
