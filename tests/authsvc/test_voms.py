"""Each hostile attribute certificate of the design's list; none may give its bringer a single attribute."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from authsvc.authorities import Authorities, TrustRules
from authsvc.identity import IdentityRules
from authsvc.voms import Attributes, BadAttributes
from tests.authsvc.hostile import Plan, name_of
from tests.authsvc.revoking import Revoker
from tests.authsvc.vomsing import HOST, HOUR, VO, Grant, VomsServer, extension
from tests.helpers.pki import Pki

GOOD = (f"/{VO}", f"/{VO}/prod/Role=admin")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> VomsServer:
    directory = tmp_path_factory.mktemp("voms")
    return VomsServer(Pki(directory / "pki"), directory / "vomsdir")


def attributes(server: VomsServer, rules: IdentityRules | None = None) -> Attributes:
    ca_dir = server.pki.certificates
    authorities = Authorities(ca_dir, TrustRules())
    return Attributes(str(server.voms_dir), ca_dir, authorities, rules or IdentityRules(), server.pki.host.cert_path)


def read(server: VomsServer, chain: list[x509.Certificate]) -> tuple[str, ...]:
    ders = [certificate.public_bytes(Encoding.DER) for certificate in chain]
    return attributes(server).read(ders, time.time())[0]


def test_what_the_vo_vouches_for_is_read_in_order(server: VomsServer) -> None:
    assert read(server, server.chain(server.grant())) == GOOD
    turned = server.grant(fqans=(f"/{VO}/b", f"/{VO}/a", f"/{VO}/b/Role=NULL"))
    assert read(server, server.chain(turned)) == (f"/{VO}/b", f"/{VO}/a")


def test_attributes_hold_until_the_first_of_them_ends(server: VomsServer) -> None:
    chain = server.chain(server.grant(end=HOUR / 2), server.grant())
    ders = [certificate.public_bytes(Encoding.DER) for certificate in chain]
    _, end = attributes(server).read(ders, time.time())
    assert end == pytest.approx(time.time() + 1800, abs=10)
    with pytest.raises(BadAttributes, match="expired"):
        attributes(server).read(ders, end)


def test_several_vos_vouch_one_after_the_other(server: VomsServer) -> None:
    server.expect("other", *server.dns)
    other = server.grant(authority=f"other://{HOST}:1", fqans=("/other",))
    assert read(server, server.chain(other, server.grant())) == ("/other", *GOOD)


def test_a_proxy_of_a_proxy_keeps_its_attributes_and_may_replace_them(server: VomsServer) -> None:
    first = Plan(extra=(extension(server.grant()),))
    assert read(server, server.forge.below_user(first, Plan())) == GOOD
    second = Plan(extra=(extension(server.grant(fqans=(f"/{VO}/other",))),))
    assert read(server, server.forge.below_user(first, second)) == (f"/{VO}/other",)


def test_attributes_for_this_host_count_here(server: VomsServer) -> None:
    assert read(server, server.chain(server.grant(targets=("elsewhere.example.org", "LOCALHOST")))) == GOOD


# Of all that a date can say: nothing can be taken away from it.
FIRST_MINUTE = dt.datetime(1, 1, 1, 0, 1, tzinfo=dt.UTC)
# What each hostile one is called, how it is made, and what is said of it.
Hostile = tuple[Callable[[VomsServer], list[Grant | bytes]], str]
HOSTILE: dict[str, Hostile] = {
    "expired": (lambda s: [s.grant(start=-2 * HOUR, end=-HOUR)], "they expired at"),
    "of the future": (lambda s: [s.grant(start=HOUR, end=2 * HOUR)], "hold only from"),
    "of the first year": (lambda s: [s.grant(start=FIRST_MINUTE - dt.datetime.now(dt.UTC))], "out of range"),
    "another's": (lambda s: [s.grant(holder=s.certificate)], "somebody else"),
    "another number's": (lambda s: [s.grant(holder_serial=4711)], "somebody else"),
    "meant for another host": (lambda s: [s.grant(targets=("elsewhere.example.org",))], "other hosts .elsewhere"),
    "meant for no host": (lambda s: [s.grant(targets=())], "other hosts .none"),
    "outside of the VO": (lambda s: [s.grant(fqans=(f"/{VO}", "/atlas/Role=admin"))], "not its own"),
    "of a longer VO": (lambda s: [s.grant(fqans=(f"/{VO}2",))], "not its own"),
    "of no form": (lambda s: [s.grant(fqans=(f"/{VO}/../atlas",))], "no VOMS attribute"),
    "empty": (lambda s: [s.grant(fqans=())], "lists 0 attributes"),
    "with too many": (lambda s: [s.grant(fqans=(f"/{VO}",) * 1001)], "lists 1001 attributes"),
    "of a VO that is a path": (lambda s: [s.grant(authority=f"../{VO}://{HOST}:1")], "not named as"),
    "of a VO of dots": (lambda s: [s.grant(authority=f"..://{HOST}:1", fqans=("/x",))], "not named as"),
    "of a host that is a path": (lambda s: [s.grant(authority=f"{VO}://../{HOST}:1")], "not named as"),
    "of an unknown VO": (lambda s: [s.grant(authority=f"atlas://{HOST}:1", fqans=("/atlas",))], "not known here"),
    "of an unknown server": (lambda s: [s.grant(authority=f"{VO}://other.example.org:1")], "not known here"),
    "by another server": (lambda s: [by_somebody(s)], "is not the server of the VO"),
    "by the user himself": (lambda s: [s.grant(signer=s.forge.user, key=s.forge.user_key)], "not the server"),
    "by a proxy": (lambda s: [by_a_proxy(s)], "by a proxy"),
    "by a CA": (lambda s: [s.grant(signer=s.forge.ca_certificate, key=s.forge.ca_key)], "by a CA"),
    "by a key not for signing": (lambda s: [by_somebody(s, digital_signature=False)], "not for signing"),
    "by a server of an unknown CA": (lambda s: [by_a_stranger(s)], "does not hold"),
    "by an expired server": (lambda s: [by_somebody(s, start=-2 * HOUR, end=-HOUR)], "does not hold: .*expired"),
    "in the name of the server": (lambda s: [s.grant(key=s.forge.key)], "signature is wrong"),
    "with another's certificate": (lambda s: [s.grant(issuer=s.forge.user.subject)], "another server than"),
    "changed afterwards": (lambda s: [s.grant().encode().replace(b"admin", b"ADMIN")], "signature is wrong"),
    "signed with SHA-1": (lambda s: [s.grant(sha1=True)], "signed with sha1"),
    "with an unknown critical extension": (lambda s: [s.grant(extra=(("1.2.3.4", True, b""),))], "1.2.3.4, which is"),
    "with an extension twice": (lambda s: [s.grant(extra=(("2.5.29.56", False, b"\5\0"),))], "2.5.29.56 twice"),
    "without its issuer's certificate": (lambda s: [s.grant(with_chain=False)], "does not bring"),
    "of version 1": (lambda s: [s.grant(version=0)], "version 2"),
    "good but for the second": (lambda s: [s.grant(), s.grant(holder_serial=1)], "somebody else"),
    "cut off": (lambda s: [s.grant().encode()[:-300]], "."),
    "none at all": (lambda _: [], "0 attribute certificates"),
    "too many": (lambda s: [s.grant().encode()] * 17, "17 attribute certificates"),
    "huge": (lambda _: [b"\0" * (300 << 10)], "more than"),
    "junk": (lambda _: [b"\x30\x03\x02\x01\x01"], "."),
}


def by_somebody(server: VomsServer, **plan: object) -> Grant:
    name = name_of((NameOID.ORGANIZATION_NAME, server.pki.organisation), (NameOID.COMMON_NAME, "somebody"))
    signer = server.forge.user_like(Plan(pci=None, name=name, **plan))  # type: ignore[arg-type]  # of many types
    return server.grant(signer=signer, key=server.forge.key)


def by_a_proxy(server: VomsServer) -> Grant:
    signer = server.forge.sign(Plan(), server.certificate, server.key)
    return server.grant(signer=signer, key=server.forge.key, chain=(signer, server.certificate))


def by_a_stranger(server: VomsServer) -> Grant:
    own = server.forge.sign(Plan(pci=None, name=server.certificate.subject), server.certificate, server.forge.key)
    return server.grant(signer=own, key=server.forge.key, chain=(own, server.certificate))


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_attributes_give_nothing(kind: str, server: VomsServer) -> None:
    make, why = HOSTILE[kind]
    chain = server.chain(*make(server))
    with pytest.raises(BadAttributes, match=why):
        read(server, chain)


def test_the_sites_floors_hold_for_signers_too(server: VomsServer) -> None:
    ders = [certificate.public_bytes(Encoding.DER) for certificate in server.chain(server.grant())]
    with pytest.raises(BadAttributes, match="2048 bits; 3072 needed"):
        attributes(server, IdentityRules(min_rsa_bits=3072)).read(ders, time.time())
    with pytest.raises(BadAttributes, match="signed with sha256"):
        attributes(server, IdentityRules(min_hash_bits=384)).read(ders, time.time())


def test_a_revoked_server_vouches_for_nobody(server: VomsServer) -> None:
    revoker = Revoker(server.pki)
    chain = server.chain(server.grant())
    revoker.revoke(server.certificate)
    try:
        with pytest.raises(BadAttributes, match="was revoked"):
            read(server, chain)
    finally:
        revoker.path.unlink()
    assert read(server, chain) == GOOD


def test_a_server_outside_of_its_cas_policy_vouches_for_nobody(server: VomsServer) -> None:
    revoker = Revoker(server.pki)
    before = revoker.policy.read_text()
    revoker.policy.write_text(before.replace("fdt-test/*", "fdt-test/CN=Test *"))
    try:
        with pytest.raises(BadAttributes, match="does not allow"):
            read(server, server.chain(server.grant()))
    finally:
        revoker.policy.write_text(before)


def test_a_chain_without_attributes_has_none(server: VomsServer) -> None:
    with pytest.raises(BadAttributes, match="none"):
        read(server, server.forge.below_user(Plan()))


def test_an_unreadable_host_certificate_is_no_crash(server: VomsServer, tmp_path: Path) -> None:
    ders = [c.public_bytes(Encoding.DER) for c in server.chain(server.grant(targets=("localhost",)))]
    authorities = Authorities(server.pki.certificates, TrustRules())
    lost = Attributes(
        str(server.voms_dir), server.pki.certificates, authorities, IdentityRules(), str(tmp_path / "none.pem")
    )
    with pytest.raises(BadAttributes, match=r"none\.pem"):
        lost.read(ders, time.time())
