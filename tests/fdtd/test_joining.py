"""Who joins a job with a token that allows less than the job has: he gains nothing by it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from authsvc.errors import TokenRefused
from authsvc.tokens import Grant
from fdtcp.contract import (
    Abort,
    Connect,
    Describe,
    Expect,
    Finish,
    Listen,
    Release,
    Request,
    SetRate,
    SourceGone,
    Watch,
)
from fdtcp.errors import Side
from fdtcp.model.order import Action, Endpoint, Policy, ReleasedFile, SourceFile
from tests.fdtd.conftest import DN, Rig, RigMaker, file
from tests.helpers.daemons import own_account, wait_until

JOB = uuid.uuid4().hex
SECRET = b"s" * 32
HERE = (Endpoint("192.0.2.1", 50000),)


def grant(*paths: bytes) -> Grant:
    return Grant("https://issuer.example/", "me", paths, paths, 2e9)


def ask(rig: Rig, request: Request, with_grant: Grant | None) -> Any:  # Any: the test knows which reply it is
    return rig.service.answer(DN, own_account(), request, with_grant)


def describe(path: bytes, index: int = 0) -> Describe:
    return Describe(JOB, Policy(), (), (SourceFile(index, path),))


def expect(path: bytes, index: int = 0) -> Expect:
    return Expect(JOB, Policy(), (), (file(index, path),), False)


SOURCE_CALLS: list[Request] = [
    describe(b"/d/a/inside", 1),
    Connect(JOB, HERE, SECRET),
    Release(JOB, (ReleasedFile(0, Action.SEND),), True),
    Watch(JOB, 0, 0.0),
    SetRate(JOB, 1000),
    Abort(JOB, True),
    Finish(JOB),
]
DESTINATION_CALLS: list[Request] = [
    expect(b"/d/a/inside", 1),
    Listen(JOB, ()),
    SourceGone(JOB),
    SetRate(JOB, 1000),
    Watch(JOB, 0, 0.0, Side.DESTINATION),
    Abort(JOB, True, Side.DESTINATION),
    Finish(JOB, Side.DESTINATION),
]


@pytest.mark.parametrize("rights", [None, grant(b"/d")], ids=["no token", "a wider token"])
@pytest.mark.parametrize(
    ("first", "calls"),
    [(describe(b"/d/secret"), SOURCE_CALLS), (expect(b"/d/secret"), DESTINATION_CALLS)],
    ids=["source", "destination"],
)
def test_a_narrower_token_can_do_nothing_with_a_job_that_has_more_rights(
    make_rig: RigMaker, rights: Grant | None, first: Request, calls: list[Request]
) -> None:
    rig = make_rig("obedient")
    ask(rig, first, rights)
    (live,) = rig.registry.all()
    for call in calls:
        with pytest.raises(TokenRefused, match="rights that this token does not give"):
            ask(rig, call, grant(b"/d/a"))
    assert not live.is_ended and not live.is_finished


def test_a_token_of_the_same_or_of_more_rights_goes_on_where_the_first_was(make_rig: RigMaker) -> None:
    rig = make_rig("obedient")
    ask(rig, describe(b"/d/a/0"), grant(b"/d/a"))
    for again in (grant(b"/d/a"), grant(b"/d"), None):
        assert ask(rig, describe(b"/d/a/0"), again).found[0].problem is None
    (live,) = rig.registry.all()
    assert live.scopes == (b"/d/a",)  # of which the reader was told: it looks at where symlinks lead


def test_rights_count_also_when_only_the_file_knows_the_job(make_rig: RigMaker) -> None:
    rig = make_rig("obedient", client_grace=0.2)
    ask(rig, expect(b"/d/secret"), grant(b"/d"))
    assert wait_until(lambda: not rig.registry.all())
    for call in (Watch(JOB, 0, 0.0), Abort(JOB, True), Finish(JOB)):
        with pytest.raises(TokenRefused):
            ask(rig, call, grant(b"/d/a"))
    assert len(ask(rig, Watch(JOB, 0, 0.0), grant(b"/d")).outcomes) == 1


def test_nobodys_session_is_stopped_for_files_that_a_token_does_not_allow(
    make_rig: RigMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fdtd.live.registry.ORPHAN_S", 0.0)
    rig = make_rig("obedient")
    ask(rig, expect(b"/d/secret"), None)
    (first,) = rig.registry.all()
    other = Expect(uuid.uuid4().hex, Policy(), (), (file(0, b"/d/secret"),), True)
    reply = ask(rig, other, grant(b"/d/a"))
    assert reply.verdicts[0].problem is not None
    assert not first.wait_ended(0.0) and first.session.problem is None
