from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from authsvc import ca
from authsvc.certname import canonical, issuer_and_subject, name_hash, parts
from authsvc.dn import Part
from tests.helpers.pki import Pki

KINDS = [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.DOMAIN_COMPONENT, NameOID.EMAIL_ADDRESS]
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x17F), min_size=1, max_size=20).filter(str.strip)
ATTRIBUTES = st.builds(
    lambda kind, text: x509.NameAttribute(kind, text, _ASN1Type.UTF8String), st.sampled_from(KINDS), TEXTS
)
RDNS = st.lists(ATTRIBUTES, min_size=1, max_size=2, unique_by=lambda a: a.oid).map(x509.RelativeDistinguishedName)
NAMES = st.lists(RDNS, min_size=1, max_size=5).map(x509.Name)


KEY = ed25519.Ed25519PrivateKey.generate()
DAY = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


def certificate(name: x509.Name) -> x509.Certificate:
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key())
    builder = builder.serial_number(1).not_valid_before(DAY).not_valid_after(DAY)
    return builder.sign(KEY, None)


def test_issuer_and_subject_are_those_that_cryptography_finds(pki: Pki) -> None:
    for certificate in ca.load(pki.proxy)[0]:
        encoded = issuer_and_subject(certificate.public_bytes(Encoding.DER))
        assert encoded == (certificate.issuer.public_bytes(), certificate.subject.public_bytes())


def test_the_hash_is_that_of_the_ca_directory(pki: Pki) -> None:
    certificate = ca._load_ca(pki.lab)[0]
    assert name_hash(certificate.subject.public_bytes()) == ca.subject_hash(certificate)


@given(NAMES)
def test_any_names_hash_is_that_of_openssl(name: x509.Name) -> None:
    assert name_hash(name.public_bytes()) == ca.subject_hash(certificate(name))


@given(NAMES)
def test_any_names_parts_are_those_that_cryptography_finds(name: x509.Name) -> None:
    def key(rdn: list[Part]) -> list[Part]:
        return sorted(rdn)

    theirs = [[(a.oid.dotted_string, str(a.value)) for a in rdn] for rdn in name.rdns]
    assert list(map(key, parts(name.public_bytes()))) == list(map(key, theirs))


@pytest.mark.parametrize("kind", [_ASN1Type.PrintableString, _ASN1Type.BMPString, _ASN1Type.T61String])
def test_spelling_does_not_make_another_name(kind: _ASN1Type) -> None:
    def named(text: str, kind: _ASN1Type) -> bytes:
        attribute = x509.NameAttribute(NameOID.COMMON_NAME, text, kind, _validate=False)
        return x509.Name([attribute]).public_bytes()

    plain, other = named("a grid ca", _ASN1Type.UTF8String), named(" A  Grid CA ", kind)
    assert plain != other
    assert canonical(plain) == canonical(other)
    assert canonical(plain) != canonical(named("a gridca", kind))


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (issuer_and_subject, parts, name_hash):
        try:
            read(data)
        except ValueError:
            pass  # refused, as junk should be
