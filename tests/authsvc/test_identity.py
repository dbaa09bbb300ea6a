"""Each hostile chain of the design's list meets a real daemon; what OpenSSL lets pass, `identify` must judge."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from authsvc import ca, proxycert
from authsvc.credentials import Credential
from authsvc.errors import CredentialExpired, CredentialRefused
from authsvc.identity import MAX_PROXIES, IdentityRules, identify
from authsvc.proxycert import ProxyCertInfo, encode
from tests.authsvc.hostile import HOUR, INHERIT, SHA1_WITH_RSA, SHA256_WITH_RSA, Forge, Plan, name_of
from tests.authsvc.listening import Listening
from tests.helpers.pki import Pki

LIMITED = encode(ProxyCertInfo(proxycert.LIMITED))


@pytest.fixture(scope="session")
def forge(pki: Pki) -> Forge:
    return Forge(pki)


def ders(chain: list[x509.Certificate], forge: Forge) -> list[bytes]:
    return [certificate.public_bytes(Encoding.DER) for certificate in [*chain, forge.ca_certificate]]


def test_a_users_certificate_is_its_own_identity(pki: Pki, listening: Listening) -> None:
    assert listening.verdict(pki.user) == ("ok", pki.user_dn)
    identity = listening.callers[-1].identity
    assert (identity.depth, identity.limited, identity.fqans) == (0, False, ())
    assert identity.issuer_dn == "/O=fdt-test/CN=fdt-test CA"
    assert len(identity.fingerprint) == 64


def test_a_proxy_of_a_proxy_speaks_for_its_user(pki: Pki, listening: Listening) -> None:
    second = pki.make_proxy("second", pki.proxy)
    third = pki.make_proxy("third", second, hours=0.5)
    assert listening.verdict(third) == ("ok", pki.user_dn)
    identity = listening.callers[-1].identity
    assert (identity.depth, identity.limited) == (3, False)
    assert identity.not_after == pytest.approx(time.time() + 1800, abs=60), "the first end of the chain counts"


def test_a_chain_is_limited_if_any_member_is(pki: Pki, forge: Forge, listening: Listening) -> None:
    assert listening.verdict(pki.make_proxy("limited", limited=True)) == ("ok", pki.user_dn)
    assert listening.callers[-1].identity.limited
    full_of_limited = forge.below_user(Plan(pci=LIMITED), Plan())
    assert listening.verdict(forge.store(full_of_limited)) == ("ok", pki.user_dn)
    assert listening.callers[-1].identity.limited


def test_a_site_may_refuse_limited_proxies(forge: Forge) -> None:
    rules = IdentityRules(limited_proxies=False)
    assert not identify(ders(forge.below_user(Plan(), Plan()), forge), time.time(), rules).limited
    for plans in ([Plan(pci=LIMITED)], [Plan(pci=LIMITED), Plan()]):
        with pytest.raises(CredentialRefused, match="limited proxies are not accepted here"):
            identify(ders(forge.below_user(*plans), forge), time.time(), rules)


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (IdentityRules(max_proxies=1), "2 proxies, more than 1"),
        (IdentityRules(max_proxies=0), "2 proxies, more than 0"),
        (IdentityRules(min_rsa_bits=3072), "2048 bits; 3072 needed"),
        (IdentityRules(min_hash_bits=384), "signed with sha256"),
    ],
)
def test_a_site_may_raise_the_floors(rules: IdentityRules, why: str, forge: Forge) -> None:
    with pytest.raises(CredentialRefused, match=why):
        identify(ders(forge.below_user(Plan(), Plan()), forge), time.time(), rules)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP224R1()])
def test_elliptic_keys_have_a_floor_too(curve: ec.EllipticCurve, forge: Forge) -> None:
    key = ec.generate_private_key(curve)
    chain = ders(forge.below_user(Plan(key=key)), forge)  # type: ignore[arg-type]  # the plan knows RSA only
    if curve.key_size < 256:
        with pytest.raises(CredentialRefused, match="224 bits; 256 needed"):
            identify(chain, time.time())
    else:
        assert identify(chain, time.time()).depth == 1
        if curve.key_size == 256:
            with pytest.raises(CredentialRefused, match="256 bits; 384 needed"):
                identify(chain, time.time(), IdentityRules(min_ec_bits=384))


def test_the_deepest_chain_that_is_allowed_is_let_in(pki: Pki, forge: Forge, listening: Listening) -> None:
    assert listening.verdict(forge.store(forge.below_user(*[Plan()] * MAX_PROXIES))) == ("ok", pki.user_dn)


def unknown_oid() -> bytes:
    return encode(ProxyCertInfo("1.2.3.4.5"))


def host_proxy(forge: Forge) -> list[x509.Certificate]:
    host = forge.user_like(Plan(pci=None, client_auth=False, cns=("a host",)))
    return [forge.sign(Plan(), host, forge.key), host]


# What each hostile chain is called, how it is made, and how the daemon must answer: "tls" is an alert of OpenSSL's.
# Some proxies are so odd that our own OpenSSL does not load them; those are sent as the middle of a chain.
Hostile = tuple[Callable[[Forge], list[x509.Certificate]], str]
HOSTILE: dict[str, Hostile] = {
    "an expired proxy": (lambda f: f.below_user(Plan(start=-2 * HOUR, end=-HOUR / 2)), "tls"),
    "a proxy of the future": (lambda f: f.below_user(Plan(start=HOUR / 2)), "tls"),
    "an expired middle": (lambda f: f.below_user(Plan(start=-2 * HOUR, end=-HOUR / 2), Plan()), "tls"),
    "a wrong signer": (lambda f: [f.sign(Plan(), f.user, f.key), f.user], "tls"),
    "a user who issues without ProxyCertInfo": (lambda f: f.below_user(Plan(pci=None)), "tls"),
    "a name jump": (
        lambda f: f.below_user(Plan(name=name_of((NameOID.ORGANIZATION_NAME, "x"), (NameOID.COMMON_NAME, "1")))),
        "tls",
    ),
    "the victim's own name": (lambda f: f.below_user(Plan(name=f.user.subject)), "tls"),
    "two common names at once": (lambda f: f.below_user(Plan(cns=("1", "2"))), "tls"),
    "no common name added": (
        lambda f: f.below_user(
            Plan(
                name=x509.Name(
                    [
                        *f.user.subject.rdns,
                        x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "x")]),
                    ]
                )
            )
        ),
        "tls",
    ),
    "an exceeded path length": (
        lambda f: f.below_user(Plan(pci=encode(ProxyCertInfo(proxycert.INHERIT_ALL, 0))), Plan()),
        "tls",
    ),
    "a depth bomb": (lambda f: f.below_user(*[Plan()] * (MAX_PROXIES + 1)), "credential-refused"),
    "an independent proxy": (
        lambda f: f.below_user(Plan(pci=encode(ProxyCertInfo(proxycert.INDEPENDENT)))),
        "credential-refused",
    ),
    "a policy that nobody knows": (lambda f: f.below_user(Plan(pci=unknown_oid())), "credential-refused"),
    "a policy of its own": (
        lambda f: f.below_user(Plan(pci=encode(ProxyCertInfo(proxycert.INHERIT_ALL, None, b"all")))),
        "credential-refused",
    ),
    "a ProxyCertInfo that is not critical": (lambda f: f.below_user(Plan(pci_critical=False)), "credential-refused"),
    "a malformed ProxyCertInfo": (lambda f: f.below_user(Plan(pci=INHERIT + b"\0")), "credential-refused"),
    "an empty ProxyCertInfo": (lambda f: f.below_user(Plan(pci=b""), Plan()), "tls"),
    "CA:TRUE in a proxy": (lambda f: f.below_user(Plan(ca=True), Plan()), "tls"),
    "alternative names in a proxy": (lambda f: f.below_user(Plan(san="victim.example.org"), Plan()), "tls"),
    "a GT2 proxy": (lambda f: f.below_user(Plan(pci=None, cns=("proxy",))), "tls"),
    "a GT3 proxy": (lambda f: f.below_user(Plan(pci_oid="1.3.6.1.4.1.3536.1.222")), "tls"),
    "a user without digitalSignature": (lambda f: [f.user_like(Plan(pci=None, digital_signature=False))], "tls"),
    "a host's certificate as client": (lambda f: [f.user_like(Plan(pci=None, client_auth=False))], "tls"),
    "a proxy of a host's certificate": (host_proxy, "tls"),
    "a proxy straight below the CA": (lambda f: [f.user_like(Plan())], "tls"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_chain_is_refused(kind: str, forge: Forge, listening: Listening) -> None:
    make, expected = HOSTILE[kind]
    answer, why = listening.verdict(forge.store(make(forge)))
    assert answer == expected, f"{answer}: {why}"
    assert not listening.callers


@pytest.mark.parametrize(
    "kind",
    [
        "an expired proxy",
        "an expired middle",
        "a name jump",
        "the victim's own name",
        "two common names at once",
        "no common name added",
        "an exceeded path length",
        "an empty ProxyCertInfo",
        "CA:TRUE in a proxy",
        "alternative names in a proxy",
        "a user without digitalSignature",
    ],
)
def test_what_openssl_refuses_is_refused_a_second_time(kind: str, forge: Forge) -> None:
    make, _ = HOSTILE[kind]
    with pytest.raises((CredentialRefused, CredentialExpired)):
        identify(ders(make(forge), forge), time.time())


def test_a_second_proxycertinfo_is_refused(forge: Forge, listening: Listening) -> None:
    # No library writes an extension twice: write its neighbour, and change the last arc before signing.
    neighbour, own = bytes.fromhex("06082b0601050507010f"), bytes.fromhex("06082b0601050507010e")
    other = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.15"), LIMITED)
    honest, user = forge.below_user(Plan(extra=(other,)))
    double = forge.patched(honest, neighbour, own, forge.user_key)
    leaf = forge.sign(Plan(), double, forge.key)
    assert listening.verdict(forge.store([leaf, double, user]))[0] == "tls"
    with pytest.raises(CredentialRefused, match="malformed"):
        identify(ders([double, user], forge), time.time())


def test_no_certificate_at_all_is_refused(listening: Listening) -> None:
    assert listening.verdict(None) == ("tls", "TLSV13_ALERT_CERTIFICATE_REQUIRED")


def test_a_fake_ca_of_the_same_name_is_refused(pki: Pki, listening: Listening, tmp_path: os.PathLike[str]) -> None:
    fake = Pki(tmp_path, organisation=pki.organisation)
    answer, _ = listening.verdict(fake.user)
    assert answer == "tls"
    assert listening.verdict(fake.proxy)[0] == "tls"


def test_a_weak_key_is_refused_whatever_openssls_level(forge: Forge, listening: Listening) -> None:
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505  # weak on purpose
    chain = forge.below_user(Plan(key=weak))
    assert listening.verdict(forge.store(chain, weak), security_level=0)[0] == "tls"
    with pytest.raises(CredentialRefused, match="1024 bits"):
        identify(ders(chain, forge), time.time())


def test_a_signature_by_sha1_is_refused_whatever_openssls_level(forge: Forge, listening: Listening) -> None:
    honest, user = forge.below_user(Plan())
    old = forge.patched(honest, SHA256_WITH_RSA, SHA1_WITH_RSA, forge.user_key)
    assert listening.verdict(forge.store([old, user]), security_level=0)[0] == "tls"
    with pytest.raises(CredentialRefused, match="sha1"):
        identify(ders([old, user], forge), time.time())


def test_the_end_of_a_chain_is_checked_against_the_clock_given(forge: Forge) -> None:
    chain = forge.below_user(Plan())
    end = chain[0].not_valid_after_utc.timestamp()
    assert identify(ders(chain, forge), end - 1).not_after == end
    with pytest.raises(CredentialExpired, match="expired at"):
        identify(ders(chain, forge), end)


def test_proxies_without_their_user_are_refused(forge: Forge) -> None:
    chain = forge.below_user(Plan(), Plan())[:2]
    with pytest.raises(CredentialRefused, match="own certificate is missing"):
        identify([certificate.public_bytes(Encoding.DER) for certificate in chain], time.time())


@pytest.mark.parametrize("junk", [[], [b""], [b"\x30\x03abc"], [os.urandom(64)]])
def test_what_is_no_certificate_is_refused_and_no_crash(junk: list[bytes]) -> None:
    with pytest.raises(CredentialRefused):
        identify(junk, time.time())


def names(forge: Forge, *parts: tuple[x509.ObjectIdentifier, str]) -> Credential:
    return forge.store([forge.user_like(Plan(pci=None, name=name_of(*parts)))])


@pytest.mark.parametrize("value", ["x/CN=Test User", "a\nb", "tab\there", "nul\0", "x/emailAddress=a@b"])
def test_a_name_that_could_be_read_as_another_is_refused(value: str, forge: Forge, listening: Listening) -> None:
    answer, why = listening.verdict(names(forge, (NameOID.COMMON_NAME, value)))
    assert answer == "credential-refused", why
    assert "\n" not in why


def test_a_part_with_several_values_is_refused(forge: Forge, listening: Listening) -> None:
    both = x509.RelativeDistinguishedName(
        [x509.NameAttribute(NameOID.COMMON_NAME, "a"), x509.NameAttribute(NameOID.USER_ID, "b")]
    )
    plan = Plan(pci=None, name=x509.Name([both]))
    assert listening.verdict(forge.store([forge.user_like(plan)]))[0] == "credential-refused"


def test_names_are_rendered_as_grid_sites_write_them(forge: Forge) -> None:
    name = name_of(
        (NameOID.DOMAIN_COMPONENT, "ch"),
        (NameOID.DOMAIN_COMPONENT, "cern"),
        (NameOID.ORGANIZATION_NAME, "Grid"),
        (NameOID.COMMON_NAME, "host/some.name"),
        (NameOID.COMMON_NAME, "Zoë  Ünal"),
        (NameOID.EMAIL_ADDRESS, "zoe@example.org"),
        (NameOID.USER_ID, "zoe"),
    )
    chain = [forge.user_like(Plan(pci=None, name=name))]
    identity = identify(ders(chain, forge), time.time())
    assert identity.dn == ("/DC=ch/DC=cern/O=Grid/CN=host/some.name/CN=Zoë  Ünal/emailAddress=zoe@example.org/UID=zoe")


def test_an_identity_outlives_no_certificate_of_its_chain(forge: Forge) -> None:
    chain = forge.below_user(Plan(end=dt.timedelta(minutes=10)), Plan())
    middle = chain[1].not_valid_after_utc.timestamp()
    assert identify(ders(chain, forge), time.time()).not_after == middle


def test_a_key_file_of_the_lab_is_a_credential(pki: Pki) -> None:
    chain, key = ca.load(pki.proxy)
    assert len(chain) == 2
    assert chain[0].public_key() == key.public_key()
