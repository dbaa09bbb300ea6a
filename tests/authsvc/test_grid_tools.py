"""The grid's own tools as judges: what they make we accept or refuse for the right reason, what we make they accept."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from authsvc.credentials import Credential
from tests.authsvc.listening import Listening
from tests.helpers.pki import Pki

pytestmark = pytest.mark.skipif(
    shutil.which("grid-proxy-init") is None, reason="needs grid-proxy-init (Debian: globus-proxy-utils)"
)


def run(pki: Pki, *command: str) -> str:
    environment = os.environ | {"X509_CERT_DIR": pki.certificates, "HOME": pki.directory}
    environment.pop("X509_USER_PROXY", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def grid_proxy(pki: Pki, out: Path, *options: str) -> Credential:
    """Make a proxy of the user with grid-proxy-init."""
    files = ("-cert", pki.user.cert_path, "-key", pki.user.key_path, "-out", str(out))
    run(pki, "grid-proxy-init", "-q", "-bits", "2048", *files, *options)
    return Credential(str(out), str(out))


@pytest.mark.parametrize("options", [("-rfc", "-verify"), ("-rfc", "-path-length", "2"), ("-rfc", "-limited")])
def test_proxies_of_grid_proxy_init_are_accepted(
    options: tuple[str, ...], pki: Pki, listening: Listening, tmp_path: Path
) -> None:
    proxy = grid_proxy(pki, tmp_path / "proxy", *options)
    with listening.open(proxy) as connection:
        assert connection.hello.dn == pki.user_dn
        assert connection.hello.limited == ("-limited" in options)
        assert connection.call("echo", {"x": 1}, 5) == {"x": 1}


def test_a_proxy_of_ours_below_one_of_theirs_is_accepted(pki: Pki, listening: Listening, tmp_path: Path) -> None:
    theirs = grid_proxy(pki, tmp_path / "proxy", "-rfc")
    ours = pki.make_proxy("below-grid", theirs)
    with listening.open(ours) as connection:
        assert connection.hello.dn == pki.user_dn
    assert listening.callers[0].identity.depth == 2


def test_a_path_length_of_theirs_is_respected(pki: Pki, listening: Listening, tmp_path: Path) -> None:
    # Not 0: grid-proxy-init writes that as "infinite".
    theirs = grid_proxy(pki, tmp_path / "proxy", "-rfc", "-path-length", "1")
    below = pki.make_proxy("deep", theirs)
    assert listening.verdict(below)[0] == "ok"
    assert listening.verdict(pki.make_proxy("too-deep", below))[0] == "tls"


@pytest.mark.parametrize("kind", ["-old", "-draft"])
def test_the_old_kinds_of_proxies_are_refused(kind: str, pki: Pki, listening: Listening, tmp_path: Path) -> None:
    assert listening.verdict(grid_proxy(pki, tmp_path / "proxy", kind))[0] == "tls"


def test_an_independent_proxy_of_theirs_is_refused_with_the_reason(
    pki: Pki, listening: Listening, tmp_path: Path
) -> None:
    code, why = listening.verdict(grid_proxy(pki, tmp_path / "proxy", "-rfc", "-independent"))
    assert code == "credential-refused"
    assert "independent" in why


@pytest.mark.parametrize(("limited", "kind"), [(False, "RFC 3820 compliant impersonation"), (True, "limited")])
def test_grid_proxy_info_reads_our_proxies(limited: bool, kind: str, pki: Pki) -> None:
    proxy = pki.make_proxy(f"info-{limited}", limited=limited)
    told = run(pki, "grid-proxy-info", "-file", proxy.cert_path)
    assert f"identity : {pki.user_dn}" in told
    assert kind in told
    assert run(pki, "grid-proxy-info", "-file", proxy.cert_path, "-identity").strip() == pki.user_dn
    run(pki, "grid-proxy-info", "-file", proxy.cert_path, "-exists", "-valid", "0:30")
