"""The making of one proxy certificate."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from authsvc import ca, issuing
from authsvc.credentials import Credential
from authsvc.errors import BadCredential
from tests.helpers.pki import Pki

HOUR = dt.timedelta(hours=1)


def test_a_proxy_is_named_after_its_issuer_and_ends_no_later(pki: Pki) -> None:
    chain, key = issuing.read(pki.proxy)
    made = issuing.issue(chain, key, pki.proxy_key.public_key(), life=dt.timedelta(days=30))
    assert list(made.subject.rdns)[:-1] == list(chain[0].subject.rdns)
    assert made.not_valid_after_utc == chain[0].not_valid_after_utc
    made.verify_directly_issued_by(chain[0])


def test_a_proxy_of_a_limited_one_is_limited(pki: Pki) -> None:
    chain, key = issuing.read(pki.make_proxy("limited-parent", limited=True))
    assert issuing.is_limited(chain)
    made = issuing.issue(chain, key, pki.proxy_key.public_key(), life=HOUR)
    assert issuing.is_limited([made])
    assert not issuing.is_limited(issuing.read(pki.proxy)[0])


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()])
def test_users_may_have_keys_of_other_kinds(pki: Pki, key: issuing.SigningKey) -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "me")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + HOUR)
    user = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    issuing.issue([user], key, pki.proxy_key.public_key(), life=HOUR).verify_directly_issued_by(user)


def test_an_ended_chain_issues_nothing(pki: Pki) -> None:
    chain, key = issuing.read(pki.expired_proxy("expired-parent"))
    with pytest.raises(BadCredential, match="ended at"):
        issuing.issue(chain, key, pki.proxy_key.public_key(), life=HOUR)


def test_unreadable_credentials_are_named(pki: Pki) -> None:
    with pytest.raises(BadCredential, match="cannot read /nowhere"):
        issuing.read(Credential("/nowhere", "/nowhere"))
    with pytest.raises(BadCredential, match="cannot use"):
        issuing.read(Credential(pki.user.cert_path, pki.user.cert_path))
    assert isinstance(serialization.load_pem_private_key(ca.encode_key(pki.proxy_key), None), issuing.SigningKey)
