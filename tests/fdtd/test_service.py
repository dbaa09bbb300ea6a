"""What a caller may ask."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any  # plain values of the channel

import pytest

from fdtcp.contract import (
    Abort,
    About,
    AboutReply,
    Connect,
    Describe,
    DescribeReply,
    Done,
    Expect,
    ExpectReply,
    Finish,
    Listen,
    Release,
    Request,
    SetRate,
    SourceGone,
    Watch,
    WatchReply,
    encode_request,
)
from fdtcp.errors import OptionRefused, ProtocolViolation, Side
from fdtcp.model.order import Action, DestinationFile, Endpoint, Policy, ReleasedFile, SourceFile, State
from fdtcp.model.policy import Encrypt
from fdtd.errors import EndpointRefused, UnknownSession
from fdtd.service import Service
from fdtd.site.limits import Limit
from tests.fdtd.conftest import DN, Rig, RigMaker, file, source
from tests.helpers.daemons import own_account, wait_until

SECRET = b"s" * 32
GLOBAL = Endpoint("192.0.2.1", 50000)
FAR = Endpoint("8.8.8.8", 50000)


def ask(rig: Rig, request: Request, dn: str = DN) -> Any:  # Any: the test knows which reply it is
    return rig.service.answer(dn, own_account(), request)


def job() -> str:
    return uuid.uuid4().hex


def test_about_says_where_data_would_flow(make_rig: RigMaker) -> None:
    reply = ask(make_rig("obedient"), About())
    assert isinstance(reply, AboutReply)
    assert reply.data_addresses == ("127.1.0.2",)


def test_calls_come_and_go_as_plain_values(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")

    class Caller:
        identity = type("Identity", (), {"dn": DN})
        account = own_account()
        peer = "127.0.0.1"
        grant = None

    call = rig.service.handler_for(Caller())  # type: ignore[arg-type]  # a caller is what has these four
    name, argument = encode_request(Describe(job(), Policy(), (), (source(0),)))
    assert call(name, argument)["addresses"] == ["127.1.0.2"]
    with pytest.raises(ProtocolViolation):
        call("rm", {})
    with pytest.raises(ProtocolViolation, match="32 hex digits"):
        call("finish", {"job": "../../etc"})


def test_a_job_within_one_daemon_has_two_sessions(make_rig: RigMaker) -> None:
    rig, one = make_rig("obedient"), job()
    assert isinstance(ask(rig, Describe(one, Policy(), (), (source(0),))), DescribeReply)
    assert isinstance(ask(rig, Expect(one, Policy(), (), (file(0),), True)), ExpectReply)
    ask(rig, Abort(one, False, Side.SOURCE))
    reply = WatchReply(0, (), 0, (), False)
    while not reply.ended:
        reply = ask(rig, Watch(one, 0, 1.0, Side.SOURCE))
    assert not ask(rig, Watch(one, 0, 0.0)).ended
    assert ask(rig, Finish(one)) == Done()


def test_the_rate_of_a_running_job_is_what_the_site_allows_of_what_is_wanted(make_rig: RigMaker) -> None:
    rig, one = make_rig("obedient"), job()
    limits = replace(rig.settings.limits, rate_limit=Limit(0, 1000, 0, True))
    rig.service._settings = replace(rig.settings, limits=limits)
    ask(rig, Describe(one, Policy(), (), (source(0),)))
    ask(rig, Expect(one, Policy(rate_limit=10), (), (file(0),), True))
    assert [ask(rig, Watch(one, 0, 0.0, side)).rate for side in (Side.SOURCE, Side.DESTINATION)] == [1000, 10]
    assert ask(rig, SetRate(one, 5000, Side.DESTINATION)) == Done()
    assert ask(rig, Watch(one, 0, 0.0)).rate == 1000
    assert ask(rig, SetRate(one, 5)) == Done()
    assert [ask(rig, Watch(one, 0, 0.0, side)).rate for side in (Side.SOURCE, Side.DESTINATION)] == [5, 5]
    with pytest.raises(UnknownSession):
        ask(rig, SetRate(one, 5), dn="/CN=other")
    with pytest.raises(ProtocolViolation):
        ask(rig, SetRate(one, -1))


def test_refused_paths_fail_alone(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    bad = replace(file(1), path=b"/d/../etc/passwd")
    reply = ask(rig, Expect(job(), Policy(), (), (file(0), bad), True))
    assert [verdict.problem is None for verdict in reply.verdicts] == [True, False]
    found = ask(rig, Describe(job(), Policy(), (), (source(0), SourceFile(1, b"relative")))).found
    assert [one.problem and one.problem.code for one in found] == [None, "path-refused"]


def test_another_owners_job_is_unknown(make_rig: RigMaker) -> None:
    rig, one = make_rig("obedient"), job()
    ask(rig, Expect(one, Policy(), (), (file(0),), True))
    requests: list[Request] = [Listen(one, ()), Watch(one, 0, 0.0), SourceGone(one), Abort(one, True)]
    for request in requests:
        with pytest.raises(UnknownSession):
            ask(rig, request, dn="/CN=other")
    assert ask(rig, Finish(one), dn="/CN=other") == Done()
    assert not ask(rig, Watch(one, 0, 0.0)).ended


@pytest.mark.parametrize(
    "request_",
    [
        Describe("0" * 32, Policy(), (), tuple(SourceFile(i, b"/a") for i in range(1001))),
        Describe("0" * 32, Policy(), (), (SourceFile(-1, b"/a"),)),
        Describe("0" * 32, Policy(), (), (SourceFile(0, b"/a"), SourceFile(0, b"/b"))),
        Describe("0" * 32, Policy(), (), tuple(SourceFile(i, b"/" + b"x" * 4000) for i in range(600))),
        Expect("0" * 32, Policy(), (), (DestinationFile(0, b"/a", -1, 0, 0o644, b""),), True),
        Expect("0" * 32, Policy(), (), (DestinationFile(0, b"/a", 1, 0, 0o170644, b""),), True),
        Expect("0" * 32, Policy(), (), (DestinationFile(0, b"/a", 1, 0, 0o644, b"x" * 20000),), True),
        Watch("0" * 32, -1, 0.0),
        Listen("0" * 32, ("localhost",)),
        Listen("0" * 32, ("10.0.0.1",) * 100),
    ],
)
def test_malformed_requests_are_refused_before_a_session_sees_them(make_rig: RigMaker, request_: Request) -> None:
    rig = make_rig("obedient")
    with pytest.raises(ProtocolViolation):
        ask(rig, request_)
    assert rig.registry.all() == []


@pytest.mark.parametrize(
    ("policy", "addresses"), [(Policy(streams=1000), ()), (Policy(), ("10.0.0.1",)), (Policy(), ("127.1.0.2",) * 100)]
)
def test_options_outside_the_sites_limits_open_nothing(
    make_rig: RigMaker, policy: Policy, addresses: tuple[str, ...]
) -> None:
    rig = make_rig("obedient")
    with pytest.raises(OptionRefused):
        ask(rig, Describe(job(), policy, addresses, (source(0),)))
    assert rig.registry.all() == []


def test_a_source_does_not_connect_just_anywhere(make_rig: RigMaker, caplog: pytest.LogCaptureFixture) -> None:
    rig, one = make_rig("obedient"), job()
    ask(rig, Describe(one, Policy(), (), (source(0),)))
    with pytest.raises(EndpointRefused) as caught:
        ask(rig, Connect(one, (Endpoint("127.0.0.1", 8444),), SECRET))
    assert "127.0.0.1" not in str(caught.value)
    assert "127.0.0.1" in caplog.text
    with pytest.raises(ProtocolViolation):
        ask(rig, Connect(one, (GLOBAL,), b"short"))
    assert ask(rig, Connect(one, (Endpoint("8.8.8.8", 50000),), SECRET)) == Done()


def test_only_described_files_are_released(make_rig: RigMaker) -> None:
    rig, one = make_rig("obedient"), job()
    ask(rig, Describe(one, Policy(), (), (source(0),)))
    with pytest.raises(ProtocolViolation):
        ask(rig, Release(one, (ReleasedFile(7, Action.SEND),), True))
    assert ask(rig, Release(one, (ReleasedFile(0, Action.SEND),), True)) == Done()


def test_finish_can_be_repeated_and_abort_tells_when_there_is_nothing(make_rig: RigMaker) -> None:
    rig, one = make_rig("committer"), job()
    ask(rig, Expect(one, Policy(), (), (file(0),), True))
    ask(rig, Listen(one, ("127.0.0.1",)))
    assert wait_until(lambda: ask(rig, Watch(one, 1, 0.1)).ended)
    assert ask(rig, Watch(one, 0, 0.0)).outcomes[0].state is State.DONE
    assert ask(rig, Finish(one)) == Done()
    assert ask(rig, Finish(one)) == Done()
    assert wait_until(lambda: rig.registry.all() == [])
    with pytest.raises(UnknownSession):
        ask(rig, Abort(one, False))


def test_a_site_that_keeps_no_partials_tells_its_movers(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    settings = replace(rig.settings, keep_partials=0.0)
    service = Service(
        settings, rig.registry, rig.tools, {side: rig.service._paths[side] for side in rig.service._paths}
    )
    service.answer(DN, own_account(), Expect(job(), Policy(), (), (file(0),), True))
    assert [live.session.policy.keep_partials for live in rig.registry.all()] == [False]


def test_in_reverse_each_end_has_the_other_part(make_rig: RigMaker) -> None:
    rig, one = make_rig("obedient"), job()
    ask(rig, Describe(one, Policy(reverse=True), (), (source(0),)))
    with pytest.raises(ProtocolViolation, match="the source does not connect"):
        ask(rig, Connect(one, (FAR,), SECRET))
    reply = ask(rig, Expect(one, Policy(reverse=True), (), (), False))
    assert reply.addresses
    with pytest.raises(ProtocolViolation, match="the destination does not listen"):
        ask(rig, Listen(one, ()))
    assert ask(rig, Listen(one, (), Side.SOURCE)).endpoints
    # Whoever connects is held to the site's rules on peers.
    with pytest.raises(EndpointRefused):
        ask(rig, Connect(one, (Endpoint("127.0.0.1", 8444),), SECRET, Side.DESTINATION))
    assert ask(rig, Connect(one, (FAR,), SECRET, Side.DESTINATION)) == Done()


def test_a_fingerprint_is_given_for_encrypted_streams_only(make_rig: RigMaker) -> None:
    rig, plain, sealed = make_rig("obedient"), job(), job()
    for one, encrypt in ((plain, False), (sealed, True)):
        ask(rig, Expect(one, Policy(), (), (), False))
        reply = ask(rig, Listen(one, (), Side.DESTINATION, encrypt))
        assert len(reply.fingerprint) == (32 if encrypt else 0)
        assert ask(rig, Listen(one, (), Side.DESTINATION, encrypt)) == reply


def test_who_wants_encryption_does_not_connect_in_plain(make_rig: RigMaker) -> None:
    rig, one = make_rig("obedient"), job()
    assert ask(rig, Describe(one, Policy(encrypt=Encrypt.YES), (), (source(0),))).encrypts
    with pytest.raises(OptionRefused, match="wants encrypted streams"):
        ask(rig, Connect(one, (FAR,), SECRET))
    with pytest.raises(ProtocolViolation, match="a fingerprint has 32 bytes"):
        ask(rig, Connect(one, (FAR,), SECRET, fingerprint=b"x"))
    assert ask(rig, Connect(one, (FAR,), SECRET, fingerprint=b"f" * 32)) == Done()
