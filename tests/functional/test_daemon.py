"""fdtd as a process with real movers: start, work, loss, leaving, and what is left behind."""

from __future__ import annotations

import os
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from authsvc.errors import ChannelLost, NotMapped
from fdtcp.contract import (
    Abort,
    About,
    AboutReply,
    Connect,
    Describe,
    DescribeReply,
    Expect,
    ExpectReply,
    Finish,
    Listen,
    ListenReply,
    Release,
    Watch,
    WatchReply,
)
from fdtcp.errors import Phase, RemoteProblem, Side
from fdtcp.model.order import DestinationFile, Outcome, Policy, ReleasedFile, SourceFile, State
from fdtd.operation.admin import ask_status
from fdtd.site.paths import partial_path
from fdtd.state.statefile import StateFile
from tests.helpers.daemons import Client, RunningDaemon, run_fdtd, wait_until
from tests.helpers.pki import Pki

MIB = 1 << 20
SLOW = Policy(rate_limit=4 * MIB, block_size=256 << 10)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def daemon(tmp_path: Path, pki: Pki) -> Iterator[RunningDaemon]:
    with RunningDaemon(tmp_path / "d", pki) as one:
        yield one


class Job:
    """A copy within one daemon, driven by hand."""

    def __init__(self, client: Client, policy: Policy, files: list[tuple[Path, Path]]) -> None:
        self.client = client
        self.id = uuid.uuid4().hex
        self.policy = policy
        self.files = files

    def start(self) -> None:
        """Go on until the bytes flow."""
        found = self.client.ask(
            Describe(
                self.id, self.policy, (), tuple(SourceFile(i, os.fsencode(f)) for i, (f, _) in enumerate(self.files))
            )
        )
        assert isinstance(found, DescribeReply)
        expected = tuple(
            DestinationFile(one.index, os.fsencode(to), one.size, one.mtime_ns, one.mode, os.fsencode(origin))
            for one, (origin, to) in zip(found.found, self.files, strict=True)
        )
        verdicts = self.client.ask(Expect(self.id, self.policy, (), expected, True))
        assert isinstance(verdicts, ExpectReply)
        ready = self.client.ask(Listen(self.id, found.addresses))
        assert isinstance(ready, ListenReply)
        self.client.ask(Connect(self.id, ready.endpoints, ready.secret))
        released = tuple(ReleasedFile(one.index, one.action, one.kept) for one in verdicts.verdicts)
        self.client.ask(Release(self.id, released, True))

    def watch(
        self, side: Side = Side.DESTINATION, cursor: int = 0, seconds: float = 30.0
    ) -> tuple[list[Outcome], WatchReply]:
        """Watch until the end."""
        outcomes: list[Outcome] = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            reply = self.client.ask(Watch(self.id, cursor + len(outcomes), 1.0, side))
            assert isinstance(reply, WatchReply)
            outcomes += reply.outcomes
            if reply.ended:
                return outcomes, reply
        raise AssertionError("the job did not end")

    def wait_moving(self) -> None:
        """Watch until bytes have crossed the network."""
        deadline = time.monotonic() + 30.0
        while time.monotonic() < deadline:
            reply = self.client.ask(Watch(self.id, 0, 0.2, Side.DESTINATION))
            assert isinstance(reply, WatchReply)
            if reply.moved:
                return
        raise AssertionError("nothing moved")


def make_source(directory: Path, size: int = 32 * MIB) -> Path:
    path = directory / "source"
    path.write_bytes(os.urandom(MIB) * (size // MIB))
    return path


def slow_job(client: Client, directory: Path) -> Job:
    """Return a job that is in the middle of its file and would take seconds more."""
    job = Job(client, SLOW, [(make_source(directory), directory / "out" / "copy")])
    job.start()
    job.wait_moving()
    return job


def leftovers(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "out").glob(".*"))


def registered(daemon: RunningDaemon) -> set[bytes]:
    with closing(StateFile(str(daemon.directory / "state"))) as state:
        return {one.partial for one in state.leftovers()}


def test_a_job_goes_through_and_leaves_nothing(daemon: RunningDaemon, tmp_path: Path) -> None:
    with daemon.connect() as client:
        files = [(make_source(tmp_path, 3 * MIB), tmp_path / "out" / "a"), (tmp_path / "empty", tmp_path / "out" / "e")]
        (tmp_path / "empty").write_bytes(b"")
        job = Job(client, Policy(), files)
        job.start()
        outcomes, reply = job.watch()
        assert {one.index: one.state for one in outcomes} == {0: State.DONE, 1: State.DONE}
        assert reply.problem is None
        for origin, to in files:
            assert to.read_bytes() == origin.read_bytes()
        job.watch(Side.SOURCE)
        client.ask(Finish(job.id))
        assert wait_until(lambda: ask_status(str(daemon.directory / "run"))["sessions"] == [])
        assert ask_status(str(daemon.directory / "run"))["leases"] == {}
    assert daemon.movers() == []
    assert leftovers(tmp_path) == []


def test_a_second_daemon_is_told_what_is_in_its_way(daemon: RunningDaemon, tmp_path: Path, pki: Pki) -> None:
    same_state = run_fdtd(daemon.config)
    assert same_state.returncode == 1
    assert f"process {daemon.pid}" in same_state.stderr and "state_dir" in same_state.stderr
    listen = {"service": {"listen": f"127.0.0.2:{daemon.port},"}}
    other = RunningDaemon(tmp_path / "other", pki, sections=listen)
    same_port = run_fdtd(other.config)
    assert same_port.returncode != 0
    assert "127.0.0.2" in same_port.stderr and str(daemon.port) in same_port.stderr
    assert len(same_port.stderr.strip().splitlines()) == 1


def test_an_unmapped_caller_is_told_so(tmp_path: Path, pki: Pki) -> None:
    with RunningDaemon(tmp_path / "d", pki, mapping='"/CN=somebody else" root\n') as daemon:
        with pytest.raises(RemoteProblem) as caught:
            daemon.connect()
        assert caught.value.remote.code == NotMapped.code


def test_sigterm_stops_movers_keeps_partials_and_is_over_in_seconds(daemon: RunningDaemon, tmp_path: Path) -> None:
    with daemon.connect() as client:
        slow_job(client, tmp_path)
        movers = daemon.movers()
        assert len(movers) >= 2
        begun = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait_gone() == 0
        assert time.monotonic() - begun < 8.0
        assert not [mover for mover in movers if mover.is_running() and mover.status() != psutil.STATUS_ZOMBIE]
    assert not (tmp_path / "out" / "copy").exists()
    kept = {name for name in leftovers(tmp_path) if name.endswith(".part")}
    assert {os.path.basename(os.fsdecode(path)) for path in registered(daemon)} == kept
    with socket.socket() as probe:
        # Closed connections wait in the kernel; a listener would still be in the way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((daemon.host, daemon.port))


def test_sighup_lets_the_current_job_end_and_takes_no_new_one(daemon: RunningDaemon, tmp_path: Path) -> None:
    with daemon.connect() as client:
        job = Job(client, Policy(rate_limit=8 * MIB), [(make_source(tmp_path, 8 * MIB), tmp_path / "out" / "copy")])
        job.start()
        daemon.send_signal(signal.SIGHUP)
        time.sleep(0)
        assert wait_until(lambda: _refuses_new_jobs(client, tmp_path))
        outcomes, _ = job.watch()
        assert [one.state for one in outcomes] == [State.DONE]
        job.watch(Side.SOURCE)
        client.ask(Finish(job.id))
        assert daemon.wait_gone() == 0


def _refuses_new_jobs(client: Client, directory: Path) -> bool:
    job = uuid.uuid4().hex
    try:
        client.ask(Describe(job, Policy(), (), (SourceFile(0, os.fsencode(directory / "source")),)))
    except RemoteProblem as exc:
        return exc.remote.code == "daemon-leaving"
    client.ask(Abort(job, False))
    client.ask(Finish(job))
    return False


def test_a_lost_clients_transfer_is_stopped_and_its_outcome_can_be_fetched_later(tmp_path: Path, pki: Pki) -> None:
    with RunningDaemon(tmp_path / "d", pki, sections={"session": {"client_grace": "1s"}}) as daemon:
        with daemon.connect() as client:
            job = slow_job(client, tmp_path)
        assert wait_until(lambda: daemon.movers() == [])
        with daemon.connect() as client:
            job.client = client
            outcomes, reply = job.watch()
            assert [one.state for one in outcomes] == [State.FAILED]
            assert reply.problem is not None and reply.problem.code == "abandoned" and reply.problem.retryable
        assert not (tmp_path / "out" / "copy").exists()
        assert {os.path.basename(os.fsdecode(path)) for path in registered(daemon)} == {
            name for name in leftovers(tmp_path) if name.endswith(".part")
        }


def test_a_ban_stops_what_runs_and_keeps_what_is_safe(tmp_path: Path, pki: Pki) -> None:
    bans = tmp_path / "banned"
    bans.write_text("# nobody yet\n")
    with RunningDaemon(tmp_path / "d", pki, sections={"security": {"ban_list": str(bans)}}) as daemon:
        with daemon.connect() as client:
            job = slow_job(client, tmp_path)
            bans.write_text(f"{pki.user_dn}\n")
            assert wait_until(lambda: daemon.movers() == [])
            with pytest.raises((RemoteProblem, ChannelLost)):
                job.watch()
        with pytest.raises(RemoteProblem) as refused:
            daemon.connect()
        assert refused.value.remote.code == "banned"
        assert not (tmp_path / "out" / "copy").exists()
        kept = {name for name in leftovers(tmp_path) if name.endswith(".part")}
        assert kept
        assert {os.path.basename(os.fsdecode(path)) for path in registered(daemon)} == kept
        assert "event=banned job=" in daemon.log()
        bans.unlink()
        with pytest.raises(RemoteProblem) as closed:
            daemon.connect()
        assert closed.value.remote.code in ("banned", "bad-ban-list")


def test_a_new_attempt_takes_over_from_a_lost_client_and_goes_on_where_it_was(
    daemon: RunningDaemon, tmp_path: Path
) -> None:
    with daemon.connect() as client:
        lost = slow_job(client, tmp_path)
    with daemon.connect() as client:
        job = Job(client, Policy(), lost.files)
        job.start()
        outcomes, _ = job.watch()
        assert [one.state for one in outcomes] == [State.DONE]
        assert outcomes[0].kept > 0
        assert outcomes[0].kept + outcomes[0].moved == outcomes[0].size
        lost.client = client
        before, reply = lost.watch()
        assert [one.state for one in before] == [State.FAILED]
        assert reply.problem is not None and "took over" in reply.problem.reason
    assert lost.files[0][1].read_bytes() == lost.files[0][0].read_bytes()
    assert leftovers(tmp_path) == []
    assert registered(daemon) == set()


@pytest.mark.parametrize("role", ["reader", "writer"])
def test_a_killed_mover_fails_the_file_and_leaves_only_what_is_registered(
    daemon: RunningDaemon, tmp_path: Path, role: str
) -> None:
    with daemon.connect() as client:
        job = slow_job(client, tmp_path)
        side = {"reader": "source", "writer": "destination"}[role]
        sessions = ask_status(str(daemon.directory / "run"))["sessions"]
        assert isinstance(sessions, list)
        (pid,) = (one["pid"] for one in sessions if one["side"] == side)
        os.kill(pid, signal.SIGKILL)
        if role == "reader":
            _, reply = job.watch(Side.SOURCE)
            assert reply.problem is not None and reply.problem.code == "mover-died"
            client.ask(Abort(job.id, False))
        outcomes, reply = job.watch()
        assert [one.state for one in outcomes] == [State.FAILED]
        problem = outcomes[0].problem
        assert problem is not None and problem.retryable
        assert problem.code == "mover-died" or role == "reader"
        client.ask(Finish(job.id))
        assert wait_until(lambda: daemon.movers() == [])
    assert not (tmp_path / "out" / "copy").exists()
    parts = {name for name in leftovers(tmp_path) if name.endswith(".part")}
    assert {os.path.basename(os.fsdecode(path)) for path in registered(daemon)} == parts


def test_a_killed_daemon_leaves_no_mover_and_the_next_one_ends_its_jobs(daemon: RunningDaemon, tmp_path: Path) -> None:
    with daemon.connect() as client:
        job = slow_job(client, tmp_path)
        movers = daemon.movers()
    daemon.kill()
    gone = lambda: not [one for one in movers if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]  # noqa: E731  # one line says it
    assert wait_until(gone, 3.0)
    daemon.start()
    with daemon.connect() as client:
        job.client = client
        outcomes, reply = job.watch()
        assert [one.state for one in outcomes] == [State.FAILED]
        assert reply.problem is not None and reply.problem.code == "mover-died" and reply.problem.retryable
        client.ask(Finish(job.id))
    assert not (tmp_path / "out" / "copy").exists()
    parts = {name for name in leftovers(tmp_path) if name.endswith(".part")}
    assert {os.path.basename(os.fsdecode(path)) for path in registered(daemon)} == parts
    assert parts <= {os.path.basename(os.fsdecode(partial_path(os.fsencode(tmp_path / "out" / "copy"))))}


def test_expired_partials_are_removed(tmp_path: Path, pki: Pki) -> None:
    with RunningDaemon(tmp_path / "d", pki) as daemon, daemon.connect() as client:
        job = slow_job(client, tmp_path)
        time.sleep(0)
        client.ask(Abort(job.id, True))
        job.watch()
        assert wait_until(lambda: leftovers(tmp_path) == [])
        assert registered(daemon) == set()


def test_about_is_answered_while_strangers_hold_connections(daemon: RunningDaemon) -> None:
    strangers = [socket.create_connection((daemon.host, daemon.port)) for _ in range(20)]
    try:
        with daemon.connect() as client:
            assert isinstance(client.ask(About()), AboutReply)
    finally:
        for stranger in strangers:
            stranger.close()


def test_a_user_with_long_names_without_end_is_refused_and_the_daemon_stays_small(tmp_path: Path, pki: Pki) -> None:
    directory = b"/".join([os.fsencode(tmp_path), *[b"x" * 200] * 17])

    def files(first: int, prefix: bytes = b"a") -> tuple[DestinationFile, ...]:
        return tuple(
            DestinationFile(index, b"%s/%s%d" % (directory, prefix, index), 10, 0, 0o644, b"fdt://s/" + b"y" * 3000)
            for index in range(first, first + 100)
        )

    limits = {"session": {"max_memory_per_user": "8MiB"}}
    with RunningDaemon(tmp_path / "d", pki, sections=limits) as one, one.connect() as client:
        before = psutil.Process(one.pid).memory_info().rss
        first, second = uuid.uuid4().hex, uuid.uuid4().hex
        client.ask(Expect(first, Policy(), (), files(0), False))
        with pytest.raises(RemoteProblem) as caught:
            for at in range(0, 100_000, 100):
                client.ask(Expect(second, Policy(), (), files(at, b"b"), False))
        problem = caught.value.problem(Side.DESTINATION, Phase.PREFLIGHT)
        assert (problem.code, problem.retryable) == ("memory-full", True)
        # Without a limit the last loop takes 700 MB; what calls take for a while comes on top of what is counted.
        assert psutil.Process(one.pid).memory_info().rss - before < 200 * MIB
        assert isinstance(client.ask(About()), AboutReply)
