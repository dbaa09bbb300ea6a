"""All rules of a site together, met by a running daemon whose files change under it."""

from __future__ import annotations

import logging
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from authsvc import recognition
from authsvc.attributecert import OID
from authsvc.authorities import Need, TrustRules
from authsvc.der import encode_oid, wrap
from authsvc.errors import BadBanList, BadRevocationList, ChannelLost, CredentialRefused, OutsidePolicy
from authsvc.identity import Identity, IdentityRules
from authsvc.recognition import Recognition, SiteRules
from fdtcp.errors import RemoteProblem
from tests.authsvc.hostile import Forge, Plan
from tests.authsvc.listening import PATIENCE_S, Listening
from tests.authsvc.revoking import Revoker, leaf
from tests.authsvc.vomsing import HOUR, VO, VomsServer
from tests.helpers.pki import Pki


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> VomsServer:
    """Make a CA directory and a vomsdir that these tests may spoil, if they mend them."""
    directory = tmp_path_factory.mktemp("site")
    return VomsServer(Pki(directory / "pki"), directory / "vomsdir")


@pytest.fixture
def bans(tmp_path: Path) -> Path:
    path = tmp_path / "banned"
    path.write_text("# nobody\n")
    return path


@pytest.fixture
def daemon(site: VomsServer, bans: Path) -> Iterator[Listening]:
    rules = SiteRules(ban_list=str(bans), voms_dir=str(site.voms_dir))
    with Listening(site.pki, rules=rules) as running:
        yield running


def recognise(site: VomsServer, plan_chain: list[Plan], rules: SiteRules) -> Identity:
    chain = [*site.forge.below_user(*plan_chain), site.forge.ca_certificate]
    whole = [certificate.public_bytes(Encoding.DER) for certificate in chain]
    return Recognition(rules, site.pki.certificates, site.pki.host).recognise(whole, time.time())


# trust, while a daemon runs


def test_a_certificate_that_is_revoked_gets_no_new_connection(site: VomsServer, daemon: Listening) -> None:
    revoker = Revoker(site.pki)
    with daemon.open() as before:
        revoker.revoke(leaf(site.pki.user))
        try:
            code, why = daemon.verdict(site.pki.proxy)
            assert code == "certificate-revoked"
            assert f"{site.pki.user_dn} was revoked" in why, "it is the user behind the proxy who was revoked"
            assert before.call("echo", {"x": 1}, PATIENCE_S) == {"x": 1}, "a connection is not dropped for that"
        finally:
            revoker.path.unlink()
    assert daemon.verdict(site.pki.proxy)[0] == "ok"


def test_a_policy_that_changes_and_a_broken_one_count_at_once(site: VomsServer, daemon: Listening) -> None:
    path = Revoker(site.pki).policy
    before = path.read_text()
    try:
        path.write_text(before.replace("fdt-test/*", "elsewhere/*"))
        assert daemon.verdict(site.pki.proxy)[0] == "signing-policy"
        path.write_text(before.replace("cond_subjects", "conditions"))
        code, why = daemon.verdict(site.pki.proxy)
        assert code == "signing-policy"
        assert f"{path}, line 3" in why
    finally:
        path.write_text(before)
    assert daemon.verdict(site.pki.proxy)[0] == "ok"


def test_a_ca_that_is_overwritten_in_place_is_not_trusted_on(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    with Listening(pki) as running:
        assert running.verdict(pki.proxy)[0] == "ok"
        (path,) = Path(pki.certificates).glob("*.0")
        (other,) = Path(Pki(tmp_path / "other").certificates).glob("*.0")
        assert path.name == other.name
        path.write_bytes(other.read_bytes())
        # Not with a client of ours: it would not trust this daemon any more.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(pki.proxy.cert_path)
        with (
            pytest.raises(ssl.SSLError, match=r"UNKNOWN_CA|DECRYPT_ERROR"),
            context.wrap_socket(running.stranger()) as tls,
        ):
            tls.recv(1)


def test_trust_rules_reach_the_chain(site: VomsServer) -> None:
    rules = SiteRules(TrustRules(crl=Need.REQUIRED))
    with pytest.raises(BadRevocationList):
        recognise(site, [Plan()], rules)
    Revoker(site.pki).policy.rename(f"{site.voms_dir}/policy")
    try:
        with pytest.raises(OutsidePolicy):
            recognise(site, [Plan()], SiteRules())
        assert recognise(site, [Plan()], SiteRules(TrustRules(Need.IF_PRESENT))).dn == site.pki.user_dn
    finally:
        Path(f"{site.voms_dir}/policy").rename(Revoker(site.pki).policy)


def test_identity_rules_reach_the_chain(site: VomsServer) -> None:
    with pytest.raises(CredentialRefused, match="more than 1"):
        recognise(site, [Plan(), Plan()], SiteRules(identity=IdentityRules(max_proxies=1)))


# bans


def test_a_banned_user_is_refused_and_told_so(site: VomsServer, daemon: Listening, bans: Path) -> None:
    bans.write_text(f"{site.pki.user_dn}\n")
    assert daemon.verdict(site.pki.proxy) == ("banned", f"{site.pki.user_dn} is banned from this site")


def test_a_ban_ends_the_next_call(site: VomsServer, daemon: Listening, bans: Path) -> None:
    with daemon.open() as connection:
        assert connection.call("echo", {}, PATIENCE_S) == {}
        assert not daemon.acceptor.is_banned(site.pki.user_dn)
        bans.write_text(f"{site.pki.user_dn}\n")
        assert daemon.acceptor.is_banned(site.pki.user_dn)
        with pytest.raises((RemoteProblem, ChannelLost)) as refused:
            connection.call("echo", {}, PATIENCE_S)
        if isinstance(refused.value, RemoteProblem):
            assert refused.value.remote.code == "banned"


def test_a_ban_ends_a_silent_connection(site: VomsServer, daemon: Listening, bans: Path) -> None:
    with daemon.greeted(site.pki.proxy) as tls:
        bans.write_text(f"{site.pki.user_dn}\n")
        start = time.monotonic()
        tls.settimeout(PATIENCE_S)
        assert tls.recv(1) == b""
        assert time.monotonic() - start < 3


def test_a_broken_ban_list_lets_nobody_in_and_throws_nobody_out(
    site: VomsServer, daemon: Listening, bans: Path
) -> None:
    with daemon.open() as connection:
        bans.write_text("O=Grid/CN=Eve\n")
        code, why = daemon.verdict(site.pki.proxy)
        assert code == "bad-ban-list"
        assert "line 1" in why
        assert connection.call("echo", {}, PATIENCE_S) == {}
        bans.write_text("/O=Grid/CN=Eve\n")
        assert daemon.verdict(site.pki.proxy)[0] == "ok"


def test_a_daemon_does_not_start_without_its_ban_list(site: VomsServer, tmp_path: Path) -> None:
    with pytest.raises(BadBanList, match="none"):
        Listening(site.pki, rules=SiteRules(ban_list=str(tmp_path / "none")))


# attributes


def test_the_identity_has_what_the_vo_vouches_for(site: VomsServer, daemon: Listening) -> None:
    proxy = site.forge.store(site.chain(site.grant()))
    assert daemon.verdict(proxy) == ("ok", site.pki.user_dn)
    identity = daemon.callers[-1].identity
    assert identity.fqans == (f"/{VO}", f"/{VO}/prod/Role=admin")
    assert identity.fqan_problem == ""


def test_bad_attributes_are_dropped_with_a_word(
    site: VomsServer, daemon: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    pasted = site.chain(site.grant(), site.grant(holder=site.certificate))
    with caplog.at_level(logging.WARNING, "authsvc.channel"):
        assert daemon.verdict(site.forge.store(pasted)) == ("ok", site.pki.user_dn)
    identity = daemon.callers[-1].identity
    assert identity.fqans == ()
    assert "given to somebody else" in identity.fqan_problem
    assert "event=voms-dropped" in caplog.text


def test_who_is_not_mapped_without_his_attributes_reads_why_they_do_not_count(
    site: VomsServer, daemon: Listening
) -> None:
    del daemon.mapped[site.pki.user_dn]
    expired = site.forge.store(site.chain(site.grant(start=-2 * HOUR, end=-HOUR)))
    code, why = daemon.verdict(expired)
    assert code == "not-mapped"
    assert "is not in the grid-mapfile; the VOMS attributes of" in why
    assert "expired at" in why
    assert "VOMS" not in daemon.verdict(site.forge.store(site.chain(site.grant())))[1]


def test_bad_attributes_end_the_connection_where_the_site_says_so(site: VomsServer) -> None:
    pasted = site.chain(site.grant(), site.grant(holder=site.certificate))
    strict = SiteRules(voms_dir=str(site.voms_dir), refuse_bad_voms=True)
    with Listening(site.pki, rules=strict) as running:
        code, why = running.verdict(site.forge.store(pasted))
        assert code == "credential-refused"
        assert "do not count: they were given to somebody else" in why
        assert running.verdict(site.forge.store(site.chain(site.grant())))[0] == "ok"


def test_who_brings_no_attributes_makes_nobody_load_what_reads_them(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "authsvc.voms", None)
    chain = [*Forge(pki).below_user(Plan()), Forge(pki).ca_certificate]
    whole = [certificate.public_bytes(Encoding.DER) for certificate in chain]
    assert Recognition(SiteRules(), pki.certificates, pki.host).recognise(whole, time.time()).fqans == ()


def test_the_extension_is_looked_for_by_its_bytes() -> None:
    assert wrap(0x06, encode_oid(OID)) == recognition.VOMS_EXTENSION
