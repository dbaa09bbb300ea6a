"""`voms-proxy-fake` as the judge of our reading of VOMS proxies: what it makes well counts, what it fakes does not.

`voms-proxy-info2` and `voms-verify` are no judges here: they let hostile attributes pass.  Attributes that are meant
for other hosts are made in `vomsing`: voms-proxy-fake 2.1 writes an empty list of targets, if it does not crash.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from authsvc.credentials import Credential
from authsvc.recognition import SiteRules
from tests.authsvc.hostile import Forge, Plan
from tests.authsvc.listening import Listening
from tests.authsvc.revoking import leaf
from tests.authsvc.vomsing import HOST, VO, VomsServer
from tests.helpers.pki import Pki

pytestmark = pytest.mark.skipif(
    shutil.which("voms-proxy-fake") is None, reason="needs voms-proxy-fake (Debian: voms-clients)"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> VomsServer:
    directory = tmp_path_factory.mktemp("voms-tools")
    return VomsServer(Pki(directory / "pki"), directory / "vomsdir")


@pytest.fixture(scope="module")
def daemon(server: VomsServer) -> Iterator[Listening]:
    with Listening(server.pki, rules=SiteRules(voms_dir=str(server.voms_dir))) as running:
        yield running


def fake(server: VomsServer, out: Path, *options: str, signer: Credential | None = None) -> Credential:
    """Make a proxy whose attributes were never asked for at any server."""
    pki, signer = server.pki, signer or server.credential
    files = ("-cert", pki.user.cert_path, "-key", pki.user.key_path, "-out", str(out), "-certdir", pki.certificates)
    fixed = ("-hostcert", signer.cert_path, "-hostkey", signer.key_path, "-newformat", "-rfc", "-bits", "2048")
    given = {"-voms": VO, "-uri": f"{HOST}:15000", "-fqan": f"/{VO}/Role=NULL/Capability=NULL"}
    usual = [word for option, value in given.items() if option not in options for word in (option, value)]
    command = ["voms-proxy-fake", *files, *fixed, *usual, *options]
    environment = os.environ | {"X509_CERT_DIR": pki.certificates, "HOME": pki.directory}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Credential(str(out), str(out))


def met(daemon: Listening, proxy: Credential) -> tuple[tuple[str, ...], str]:
    """Return which attributes count, and why not."""
    assert daemon.verdict(proxy) == ("ok", daemon.pki.user_dn), "attributes decide nothing about who somebody is"
    identity = daemon.callers[-1].identity
    return identity.fqans, identity.fqan_problem


def test_attributes_of_the_tools_count_in_their_order(server: VomsServer, daemon: Listening, tmp_path: Path) -> None:
    fqans = [f"/{VO}/prod/Role=admin/Capability=NULL", f"/{VO}/Role=NULL/Capability=NULL", f"/{VO}/a"]
    proxy = fake(server, tmp_path / "proxy", *(word for fqan in fqans for word in ("-fqan", fqan)))
    assert met(daemon, proxy) == ((f"/{VO}/prod/Role=admin", f"/{VO}", f"/{VO}/a"), "")


def test_they_stay_in_a_proxy_of_the_proxy(server: VomsServer, daemon: Listening, tmp_path: Path) -> None:
    below = server.pki.make_proxy("below-voms", fake(server, tmp_path / "proxy"))
    assert met(daemon, below) == ((f"/{VO}",), "")
    assert daemon.callers[-1].identity.depth == 2


def test_a_limited_voms_proxy_is_limited(server: VomsServer, daemon: Listening, tmp_path: Path) -> None:
    assert met(daemon, fake(server, tmp_path / "proxy", "-limited")) == ((f"/{VO}",), "")
    assert daemon.callers[-1].identity.limited


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("-pastac", "7200", "-vomslife", "1"), "they expired at"),
        (("-fqan", "/atlas/Role=production"), "not its own"),
        (("-fqan", f"/{VO}", "-fqan", "/atlas"), "not its own"),
        (("-voms", "../../etc", "-fqan", "/etc"), "not named as VO"),
        (("-voms", "atlas", "-fqan", "/atlas"), "not known here"),
        (("-uri", "other.example.org:15000"), "not known here"),
        (("-uri", "../x:15000"), "not named as VO"),
        (("-acextension", "1.2.3.4/true"), "1.2.3.4, which is unknown"),
    ],
)
def test_hostile_attributes_of_the_tools_do_not_count(
    options: tuple[str, ...], why: str, server: VomsServer, daemon: Listening, tmp_path: Path
) -> None:
    fqans, problem = met(daemon, fake(server, tmp_path / "proxy", *options))
    assert fqans == ()
    assert why in problem


def test_attributes_by_a_wrong_server_do_not_count(server: VomsServer, daemon: Listening, tmp_path: Path) -> None:
    other = server.pki.make_host("somebody.example.org")
    fqans, problem = met(daemon, fake(server, tmp_path / "proxy", signer=other))
    assert fqans == ()
    assert "is not the server of the VO" in problem


def test_attributes_pasted_into_anothers_proxy_do_not_count(
    server: VomsServer, daemon: Listening, tmp_path: Path
) -> None:
    victim = leaf(fake(server, tmp_path / "proxy"))
    (pasted,) = (e.value for e in victim.extensions if e.oid.dotted_string == "1.3.6.1.4.1.8005.100.100.5")
    forge = Forge(server.pki)
    thief = forge.user_like(Plan(pci=None, name=forge.user.subject, cns=()))
    daemon_sees = [forge.sign(Plan(extra=(pasted,)), thief, forge.key), thief]
    fqans, problem = met(daemon, forge.store(daemon_sees))
    assert fqans == ()
    assert "somebody else" in problem
