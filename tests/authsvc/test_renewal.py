"""Renewal from a real myproxy-server, and what must not happen to the old proxy."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from authsvc import ca, chains, renewal
from authsvc.cli import main
from authsvc.credentials import Credential
from authsvc.errors import BadCredential, CredentialExpired, RenewalFailed
from authsvc.renewal import command_of, renew
from authsvc.service_config import RenewSettings
from tests.helpers import myproxy
from tests.helpers.myproxy import HOST, MyproxyServer
from tests.helpers.pki import Pki

needs_myproxy = pytest.mark.skipif(
    bool(myproxy.missing()), reason=f"needs {myproxy.missing()} (Debian: myproxy, myproxy-server)"
)


@pytest.fixture
def server(pki: Pki, tmp_path: Path) -> Iterator[MyproxyServer]:
    with MyproxyServer(tmp_path, pki) as one:
        yield one


def settings_of(pki: Pki, proxy: str, port: int = 1) -> RenewSettings:
    return RenewSettings(
        "transfers",
        proxy,
        HOST,
        port,
        "site",
        "renewable",
        "",
        12 * 3600,
        6 * 3600,
        pki.host.cert_path,
        pki.host.key_path,
    )


def host_dn(pki: Pki) -> str:
    return f"/O={pki.organisation}/CN=localhost"


def old_proxy(pki: Pki, directory: Path, parent: Credential | None = None) -> str:
    path = str(directory / "proxy.pem")
    ca.issue_proxy(parent or pki.user, path, hours=1, key=pki.proxy_key)
    return path


@needs_myproxy
def test_a_proxy_is_renewed_and_takes_the_old_ones_place(server: MyproxyServer, pki: Pki, tmp_path: Path) -> None:
    proxy = old_proxy(pki, tmp_path)
    server.deposit(pki.user, "site", "renewable", renewer=host_dn(pki))
    server.wait_ready()
    done = renew(settings_of(pki, proxy, server.port), pki.certificates, time.time())
    assert done.is_new
    assert not done.warning
    hours = (done.end.timestamp() - time.time()) / 3600
    assert 11 < hours < 12.2
    assert os.stat(proxy).st_mode & 0o777 == 0o600
    assert chains.first_end(chains.read(proxy)) == done.end
    assert sorted(path.name for path in tmp_path.glob("*proxy.pem*")) == ["proxy.pem"]
    # Now it has enough time left, and nobody is asked.
    again = renew(settings_of(pki, proxy), pki.certificates, time.time())
    assert not again.is_new
    assert again.end == done.end


@needs_myproxy
@pytest.mark.root
def test_root_renews_for_an_account_and_the_proxy_stays_its_own(
    server: MyproxyServer, pki: Pki, tmp_path: Path
) -> None:
    proxy = old_proxy(pki, tmp_path)
    os.chown(proxy, 65534, 65534)
    server.deposit(pki.user, "site", "renewable", renewer=host_dn(pki))
    server.wait_ready()
    assert renew(settings_of(pki, proxy, server.port), pki.certificates, time.time()).is_new
    status = os.stat(proxy)
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (65534, 65534, 0o600)


@needs_myproxy
def test_with_the_dn_as_username_and_a_deposit_that_ends_soon_it_warns(
    server: MyproxyServer, pki: Pki, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = old_proxy(pki, tmp_path)
    server.deposit(pki.user, "", "soon", renewer=host_dn(pki), hours=3)
    server.wait_ready()
    config = tmp_path / "authsvc.conf"
    config.write_text(
        f"[security]\ncertificate = {pki.host.cert_path}\nkey = {pki.host.key_path}\nca_dir = {pki.certificates}\n"
        f"[renew]\n[[one]]\nproxy = {proxy}\nserver = {HOST}\nport = {server.port}\ncredential = soon\n"
    )
    assert main(["renew", "--config", str(config)]) == 0
    told = capsys.readouterr()
    assert f"one: {proxy} renewed, good until" in told.out
    assert "deposit anew with myproxy-init" in told.err
    assert main(["renew", "--config", str(config), "nonsense"]) == 64


@needs_myproxy
def test_who_may_not_renew_leaves_the_old_proxy_as_it_was(server: MyproxyServer, pki: Pki, tmp_path: Path) -> None:
    proxy = old_proxy(pki, tmp_path)
    before = Path(proxy).read_bytes()
    server.deposit(pki.user, "site", "renewable", renewer="/O=somebody/CN=else")
    server.wait_ready()
    with pytest.raises(RenewalFailed, match="not authorized by credential's authorized_renewers"):
        renew(settings_of(pki, proxy, server.port), pki.certificates, time.time())
    assert Path(proxy).read_bytes() == before


def voms_proxy(pki: Pki, directory: Path) -> str:
    """Make an old proxy with VOMS attributes, by the VO's own tool for tests."""
    proxy = str(directory / "proxy.pem")
    fake_voms(pki, directory, pki.user.cert_path, pki.user.key_path, proxy, hours=1)
    return proxy


def fake_voms(pki: Pki, directory: Path, cert: str, key: str, out: str, *, hours: int) -> None:  # each is an option
    command = ["voms-proxy-fake", "-q", "-rfc", "-cert", cert, "-key", key, "-out", out, "-hours", str(hours)]
    command += ["-certdir", pki.certificates, "-bits", "2048", "-voms", "cms", "-uri", "voms.example.org:15000"]
    command += ["-hostcert", pki.host.cert_path, "-hostkey", pki.host.key_path, "-newformat"]
    command += ["-fqan", "/cms/Role=production/Capability=NULL", "-vomslife", str(hours)]
    subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=directory)


@needs_myproxy
def test_voms_attributes_that_would_be_lost_keep_the_old_proxy(server: MyproxyServer, pki: Pki, tmp_path: Path) -> None:
    proxy = voms_proxy(pki, tmp_path)
    before = Path(proxy).read_bytes()
    assert renewal.attributes(chains.read(proxy)) == ("/cms/Role=production",)
    server.deposit(pki.user, "site", "renewable", renewer=host_dn(pki))
    server.wait_ready()
    with pytest.raises(RenewalFailed, match="lacks the VOMS attributes /cms/Role=production"):
        renew(settings_of(pki, proxy, server.port), pki.certificates, time.time())
    assert Path(proxy).read_bytes() == before


@needs_myproxy
def test_with_a_vo_its_attributes_survive(
    server: MyproxyServer, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """myproxy-logon runs voms-proxy-init; one that needs no VOMS server stands in for it here.

    voms-proxy-fake makes no proxies of proxies, so it starts from the user's own certificate.
    """
    proxy = voms_proxy(pki, tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    stand_in = programs / "voms-proxy-init"
    stand_in.write_text(
        f"""#!/bin/sh
echo "$@" >> {tmp_path}/arguments
while [ $# -gt 0 ]; do case "$1" in -out|--out) out=$2;; esac; shift; done
voms-proxy-fake -q -rfc -cert {pki.user.cert_path} -key {pki.user.key_path} -out "$out" -hours 11 -vomslife 11 \\
    -certdir {pki.certificates} -voms cms -uri voms.example.org:15000 -newformat \\
    -hostcert {pki.host.cert_path} -hostkey {pki.host.key_path} -fqan /cms/Role=production/Capability=NULL
"""
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    server.deposit(pki.user, "site", "renewable", renewer=host_dn(pki))
    server.wait_ready()
    wanted = replace(settings_of(pki, proxy, server.port), vo="cms")
    done = renew(wanted, pki.certificates, time.time())
    assert done.is_new
    assert "-voms cms" in (tmp_path / "arguments").read_text()
    assert renewal.attributes(chains.read(proxy)) == ("/cms/Role=production",)


def test_what_cannot_be_renewed_is_told_before_anybody_is_asked(pki: Pki, tmp_path: Path) -> None:
    with pytest.raises(BadCredential, match="cannot use the proxy"):
        renew(settings_of(pki, str(tmp_path / "none")), pki.certificates, time.time())
    with pytest.raises(CredentialExpired):
        renew(settings_of(pki, pki.expired_proxy().cert_path), pki.certificates, time.time())
    proxy = old_proxy(pki, tmp_path)
    os.chmod(proxy, 0o640)
    with pytest.raises(BadCredential, match="chmod 600"):
        renew(settings_of(pki, proxy), pki.certificates, time.time())


def test_a_missing_program_and_a_dead_server_are_told(
    pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = old_proxy(pki, tmp_path)
    before = Path(proxy).read_bytes()
    monkeypatch.setattr(renewal, "PROGRAM", "no-such-program")
    with pytest.raises(RenewalFailed, match="is not installed"):
        renew(settings_of(pki, proxy), pki.certificates, time.time())
    # A program that hangs, with a child that hangs as well.
    hanging = tmp_path / "hang"
    hanging.write_text("#!/bin/sh\nsleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(renewal, "PROGRAM", str(hanging))
    monkeypatch.setattr(renewal, "WITHIN_S", 0.3)
    with pytest.raises(RenewalFailed, match="did not answer within"):
        renew(settings_of(pki, proxy), pki.certificates, time.time())
    assert Path(proxy).read_bytes() == before


@pytest.mark.parametrize("kind", ["another", "shorter", "untrusted", "garbage", "key"])
def test_a_new_proxy_that_is_not_better_never_takes_the_place(
    kind: str, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = old_proxy(pki, tmp_path)
    before = Path(proxy).read_bytes()
    made = tmp_path / "made"
    if kind == "another":
        ca.issue_proxy(pki.make_user("Somebody Else"), str(made), hours=12)
    elif kind == "shorter":
        ca.issue_proxy(pki.user, str(made), hours=0.1)
    elif kind == "untrusted":
        stranger = Pki(tmp_path / "other", organisation=pki.organisation)
        ca.issue_proxy(stranger.user, str(made), hours=12)
    elif kind == "garbage":
        made.write_text("-----BEGIN CERTIFICATE-----\n")
    else:
        good = ca.issue_proxy(pki.user, str(tmp_path / "good"), hours=12)
        text = Path(good.cert_path).read_text()
        key = Path(pki.host.key_path).read_text()
        made.write_text(text[: text.index("-----BEGIN RSA")] + key + text[text.index("-----BEGIN CERT", 100) :])
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\nwhile [ "$1" != --out ]; do shift; done\ncat {made} > "$2"\nchmod 600 "$2"\n')
    program.chmod(0o755)
    monkeypatch.setattr(renewal, "PROGRAM", str(program))
    with pytest.raises(RenewalFailed):
        renew(settings_of(pki, proxy), pki.certificates, time.time(), force=True)
    assert Path(proxy).read_bytes() == before


def test_the_command_is_what_sites_type_by_hand(pki: Pki) -> None:
    wanted = replace(settings_of(pki, "/p"), vo="cms", lifetime=36.5 * 3600)
    text = " ".join(command_of(wanted, "/old", "/new"))
    for words in ("--authorization /old", "--out /new", "--username site", "--credname renewable", "--voms cms"):
        assert words in text
    assert "--proxy_lifetime 37" in text
    assert "--dn_as_username" in command_of(replace(wanted, username=""), "/old", "/new")
