"""fdtd that asks a real `authsvc serve` for accounts, while that works, hangs and is gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.contract import About, AboutReply
from fdtcp.errors import RemoteProblem
from tests.authsvc.vomsing import VO, VomsServer
from tests.helpers.accountservice import HOST, AccountService
from tests.helpers.daemons import RunningDaemon, own_account, run_fdtd
from tests.helpers.pki import Pki


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def service(pki: Pki, tmp_path: Path) -> Iterator[AccountService]:
    with AccountService(tmp_path / "a", pki, callers=(f"/O={pki.organisation}/CN=localhost",)) as one:
        one.gridmap.write_text(f'"{pki.user_dn}" {own_account()}\n')
        yield one


def daemon_of(service: AccountService, directory: Path, pki: Pki, *, cache: str) -> RunningDaemon:
    accounts = {"source": f"authsvc://{HOST}:{service.port}", "cache": cache}
    # Its own map names nobody: what it knows it has from the service.
    return RunningDaemon(directory, pki, sections={"accounts": accounts}, mapping="# nobody\n")


def test_the_service_decides_who_is_let_in_and_a_daemon_outlives_it(
    service: AccountService, tmp_path: Path, pki: Pki
) -> None:
    stranger = pki.make_proxy("stranger", pki.make_user("Stranger"))
    with daemon_of(service, tmp_path / "d", pki, cache="0s") as daemon:
        with daemon.connect() as client:
            assert client.connection.hello.account == own_account()
            assert isinstance(client.ask(About()), AboutReply)
        with pytest.raises(RemoteProblem, match="is not in the site's account service"):
            daemon.connect(stranger)
        service.stop()
        with daemon.connect() as client:
            assert client.connection.hello.account == own_account()
        newcomer = pki.make_proxy("newcomer", pki.make_user("Newcomer"))
        with pytest.raises(RemoteProblem, match="the site's account service does not answer") as refused:
            daemon.connect(newcomer)
        assert refused.value.remote.code == "accounts-unknown"
        assert refused.value.remote.retryable
        assert "event=service-away" in daemon.log()


def test_a_service_that_hangs_holds_nobody_up_whose_account_is_known(
    service: AccountService, tmp_path: Path, pki: Pki
) -> None:
    stranger = pki.make_proxy("waiting", pki.make_user("Waiting"))
    refusals: list[str] = []

    def be_refused() -> None:
        try:
            daemon.connect(stranger)
        except RemoteProblem as exc:
            refusals.append(exc.remote.code)

    with daemon_of(service, tmp_path / "d", pki, cache="1m") as daemon:
        daemon.connect().connection.close()
        service.freeze()
        waiting = threading.Thread(target=be_refused)
        waiting.start()
        served = 0
        while waiting.is_alive() and served < 10:
            daemon.connect().connection.close()
            served += waiting.is_alive()
        assert served, "who is known had to wait as long as the stranger"
        waiting.join(30)
        service.thaw()
    assert refusals == ["accounts-unknown"]


def test_check_tries_the_service(service: AccountService, tmp_path: Path, pki: Pki) -> None:
    config = daemon_of(service, tmp_path / "d", pki, cache="1m").config
    good = run_fdtd(config, "--check")
    assert good.returncode == 0, good.stderr
    service.stop()
    assert "Connection refused" in run_fdtd(config, "--check").stderr


@pytest.mark.parametrize("has_service", [False, True])
def test_a_role_in_a_vo_leads_to_its_account_and_a_dn_wins(has_service: bool, tmp_path: Path) -> None:
    voms = VomsServer(Pki(tmp_path / "pki"), tmp_path / "vomsdir")
    pki = voms.pki
    proxy = voms.forge.store(voms.chain(voms.grant(fqans=(f"/{VO}/Role=production", f"/{VO}"))))
    roles, people = f"/{VO}/Role=production {own_account()},more\n/{VO}/* nobody\n", "# nobody\n"
    with AccountService(tmp_path / "a", pki, callers=(f"/O={pki.organisation}/CN=localhost",)) as service:
        service.gridmap.write_text(people)
        service.fqanmap.write_text(roles)
        source = f"authsvc://{HOST}:{service.port}" if has_service else "file"
        sections = {
            "security": {"voms_dir": str(voms.voms_dir), "fqanmap": str(service.fqanmap)},
            "accounts": {"source": source, "cache": "0s"},
        }
        with RunningDaemon(tmp_path / "d", pki, sections=sections, mapping=people) as daemon:
            with daemon.connect(proxy) as client:
                assert client.connection.hello.account == own_account()
            with pytest.raises(RemoteProblem, match="is not in"):
                daemon.connect(pki.proxy)
            gridmap = service.gridmap if has_service else tmp_path / "d" / "grid-mapfile"
            gridmap.write_text(f'"{pki.user_dn}" nobody\n')
            # In this mode only the daemon's own account can be used, and it is among those that may be asked for.
            with daemon.connect(proxy) as client:
                assert client.connection.hello.account == own_account()
            with pytest.raises(RemoteProblem, match="maps to 'nobody'"):
                daemon.connect(pki.proxy)
