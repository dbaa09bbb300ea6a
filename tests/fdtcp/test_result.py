from __future__ import annotations

import json

import pytest

from fdtcp.errors import Interrupted, Phase, Side, SourceMissing
from fdtcp.model.job import group
from fdtcp.model.order import KeptPartial, Outcome, State, StreamProgress
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer
from fdtcp.result import Result, collect, encode_json, encode_result, fail_all
from fdtcp.runner import JobResult
from fdtcp.stages import Stage
from fdtcp.thirdparty import Progress

MISSING = SourceMissing("gone").problem(Side.SOURCE, Phase.PREFLIGHT)
TRANSFERS = tuple(
    Transfer(Pfn.parse(b"fdt://a/" + name), Pfn.parse(b"fdt://%s/" % host + name))
    for host, name in ((b"b", b"0"), (b"c", b"1"), (b"b", b"\xff"))
)
STREAMS = (
    StreamProgress(0, "127.1.0.3:54321", "127.1.0.2:40000", 30, alive=True),
    StreamProgress(1, "127.1.0.3", "127.1.0.2", 20, alive=False),
    StreamProgress(2, "[::1]:5", "::2", 7, alive=True),
)


def result(*, is_stopped: bool = False) -> Result:
    first, second = group(TRANSFERS)
    done = Outcome(0, State.DONE, 60, 50, 10)
    jobs = [
        JobResult(
            first,
            "ab" * 16,
            {0: done, 1: Outcome(1, State.FAILED, 0, problem=MISSING)},
            (),
            Progress(Stage.ENDED, 2, 1, 0, 1, 50, 50, STREAMS),
            (KeptPartial(b"/.x", 5),),
            {"started": 0.1, "last final": 1.6},
            2.0,
        ),
        JobResult(second, "cd" * 16, {}, (MISSING,), Progress(Stage.ENDED, 1, 0, 0, 0, 0, 0, ()), (), {}, 0.0),
    ]
    return collect(TRANSFERS, jobs, began=1.0, seconds=2.0, is_stopped=is_stopped)


def test_outcomes_come_back_in_the_users_order() -> None:
    made = result(is_stopped=True)
    assert [outcome.state if outcome else None for outcome in made.outcomes] == [State.DONE, None, State.FAILED]
    assert made.exit_code == 1
    assert (made.moved, made.resumed, made.rate) == (50, 10, 25.0)
    assert made.count(State.DONE) == 1


def test_the_bytes_of_both_views_of_a_path_are_together() -> None:
    assert result().paths == {("127.1.0.2", "127.1.0.3"): 50, ("::1", "::2"): 7}


def test_the_whole_result_is_json() -> None:
    plain = json.loads(json.dumps(encode_result(result(), "monitor")))
    assert plain["monitor_id"] == "monitor"
    assert (plain["moved"], plain["resumed"]) == (50, 10)
    assert not plain["complete"]
    assert [file["state"] for file in plain["files"]] == ["done", "unfinished", "failed"]
    assert plain["files"][2]["problem"]["code"] == "source-missing"
    assert plain["files"][2]["source"]["path_b64"] == "L/8="
    assert "path_b64" not in plain["files"][0]["source"]
    assert plain["jobs"][0]["kept_partials"] == [{"path": "/.x", "size": 5}]
    assert plain["jobs"][0]["rate"] == 25.0
    assert [job["data_seconds"] for job in plain["jobs"]] == [1.5, None]
    assert plain["jobs"][1]["problems"][0]["text"].startswith("source, pre-flight: gone")


@pytest.mark.parametrize("name", [b"plain", b'quoted "', b"\xff", "Straße".encode()])
@pytest.mark.parametrize("odd", [None, Outcome(1, State.SKIPPED, 5), Outcome(1, State.DONE, 5, promise="stored")])
def test_the_json_of_plain_files_is_that_of_any(name: bytes, odd: Outcome | None) -> None:
    (job,) = group(
        Transfer(Pfn.parse(b"fdt://a//%s%d" % (name, number)), Pfn.parse(b"fdt://[::1]:5/%s%d" % (name, number)))
        for number in range(3)
    )
    outcomes = {n: Outcome(n, State.DONE, n, n, checksum=f"adler32:{n:08x}", finished=1.0 / 3) for n in range(3)}
    if odd is not None:
        outcomes[1] = odd
    progress = Progress(Stage.ENDED, 3, 3, 0, 0, 9, 9, STREAMS)
    made = collect(
        job.transfers,
        [JobResult(job, "ab" * 16, outcomes, (), progress, (), {}, 2.0)],
        began=1.0,
        seconds=2.0,
        is_stopped=False,
    )
    assert json.loads(b"".join(encode_json(made, "monitor"))) == encode_result(made, "monitor")


def test_the_json_of_unfinished_files() -> None:
    for made in (result(is_stopped=True), fail_all(TRANSFERS, MISSING, began=1.0), fail_all((), MISSING, began=1.0)):
        assert json.loads(b"".join(encode_json(made))) == json.loads(json.dumps(encode_result(made)))


def test_a_run_that_could_not_begin_fails_every_file() -> None:
    problem = Interrupted("x").problem(Side.CLIENT, Phase.AUTHENTICATE)
    made = fail_all(TRANSFERS, problem, began=1.0)
    assert made.exit_code == 1
    assert [outcome.problem for outcome in made.outcomes if outcome] == [problem] * 3
    assert encode_result(made)["complete"]
    assert made.rate == 0.0
