"""Following a detached job in a room in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from authsvc.errors import ChannelLost
from fdtcp import following
from fdtcp.detached import Follow, FollowReply, Part, Recall, RecallReply, Wanted, decode_request, encode_reply
from fdtcp.errors import DaemonLost, ProtocolViolation, RemoteProblem, Side, Unreachable
from fdtcp.following import Following
from fdtcp.handover import hand_over
from fdtcp.lines import Channel
from fdtcp.model.options import Options
from fdtcp.model.order import Outcome, State
from fdtcp.model.pfn import Address
from fdtcp.model.ticket import Ticket
from fdtcp.model.transfer import Transfer
from tests.helpers.detachedroom import Room, detached_room, transfers
from tests.helpers.pki import Pki

TICKET = Ticket("a" * 32, Address("destination.example", 2))
NEWS = FollowReply(2, 0, (), False, False, 1.0, 2.0, 3.0, (Part("b" * 32, "moving", 0, 0, 0, 0, 0, 0.0),))


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def room(pki: Pki, tmp_path: Path) -> Iterator[Room]:
    with detached_room(pki, tmp_path) as made:
        made.pair.sizes = {b"/%d" % n: n for n in range(2400)}
        yield made


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "RECONNECT_EVERY_S", 0.01)
    monkeypatch.setattr(following, "GRACE_S", 0.2)


def test_whoever_comes_later_sees_all_from_the_start(room: Room) -> None:
    ticket, _ = hand_over(transfers(2401), Options(), room.me, hours=0.5, contact=5.0)
    told: list[Outcome] = []

    def note(_transfers: Sequence[Transfer], outcomes: Sequence[Outcome]) -> None:
        told.extend(outcomes)

    one = Following(ticket, room.open, contact=5.0, on_final=note)
    one.recall()
    assert one.transfers == tuple(transfers(2401))
    looks: list[int] = []
    assert one.run(lambda: False, lambda: looks.append(one.jobs[0].progress.done))
    result = one.result(is_stopped=False)
    assert [outcome.state for outcome in result.outcomes if outcome] == [State.DONE] * 2400 + [State.FAILED]
    assert len(told) == 2401
    assert result.jobs[0].progress.done == 2400
    assert result.jobs[0].outcomes[3].size == 3
    assert {"begun", "described"} <= result.jobs[0].times.keys()
    assert result.exit_code == 1
    one.forget()
    with pytest.raises(RemoteProblem, match="no detached job"):
        one.look()
    one.close()


def test_leaving_and_cancelling(room: Room) -> None:
    room.pair.is_stalled = True
    ticket, _ = hand_over(transfers(1), Options(), room.me, hours=0.5, contact=5.0)
    one = Following(ticket, room.open, contact=5.0)
    one.recall(transfers(1))
    assert not one.run(lambda: True)
    assert one.result(is_stopped=True).outcomes == (None,)
    assert one.cancel()
    assert one.news is not None
    assert one.news.cancelled
    one.close()


class Scripted:
    """A daemon that says what it is told to, and whose connections may break."""

    def __init__(self, *news: FollowReply, files: Sequence[Wanted] = tuple(map(Wanted.of, transfers(2)))) -> None:
        self.news = list(news)
        self.files = tuple(files)
        self.opened = 0
        self.is_gone = False

    def open(self, side: Side, address: Address, deadline: float) -> Channel:  # noqa: ARG002  # an Opener has them
        if self.is_gone:
            raise Unreachable("nobody there")
        self.opened += 1
        return self

    def call(self, name: str, argument: dict[str, Any], timeout: float) -> dict[str, Any]:  # noqa: ARG002  # nothing takes long
        match decode_request(name, argument):
            case Recall(position=position):
                return encode_reply(RecallReply(self.files[position:]))
            case Follow() if self.news:
                return encode_reply(self.news.pop(0))
        self.is_gone = not self.news
        raise ChannelLost("gone")

    def close(self) -> None:
        pass

    def followed(self) -> Following:
        one = Following(TICKET, self.open, contact=1.0)
        one.recall()
        return one


def test_a_daemon_that_is_gone_for_too_long_is_said_to_be() -> None:
    daemon = Scripted(NEWS)
    one = daemon.followed()
    with pytest.raises(DaemonLost, match="nobody there"):
        one.run(lambda: False)
    assert one.result(is_stopped=True).outcomes == (None, None)
    # A signal does not wait for it to come back.
    assert not one.run(lambda: True)


def test_who_was_never_reached_is_said_at_once() -> None:
    daemon = Scripted()
    daemon.is_gone = True
    with pytest.raises(Unreachable):
        daemon.followed()


@pytest.mark.parametrize(
    "hostile",
    [
        replace(NEWS, cursor=1),
        replace(NEWS, cursor=1, outcomes=(Outcome(7, State.DONE, 1),)),
        replace(NEWS, cursor=1, outcomes=(Outcome(-1, State.DONE, 1),)),
        replace(NEWS, cursor=2, outcomes=(Outcome(0, State.DONE, 1), Outcome(0, State.DONE, 1))),
    ],
)
def test_impossible_news_are_not_believed(hostile: FollowReply) -> None:
    with pytest.raises(ProtocolViolation):
        Scripted(hostile).followed().look()


def test_unknown_stages_and_files_that_are_none_are_not_believed() -> None:
    with pytest.raises(ProtocolViolation, match="none"):
        Scripted(files=[Wanted(b"/etc/passwd", b"/etc/passwd", False)]).followed()
    one = Scripted(replace(NEWS, parts=(Part("", "flying", 0, 0, 0, 0, 0, 0.0),))).followed()
    one.look()
    with pytest.raises(ProtocolViolation, match="flying"):
        _ = one.jobs[0].progress
