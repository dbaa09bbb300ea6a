"""Policies as users say them: what exists, what was left, and the ancestor's words."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fdtcp.cli.lab import DESTINATION, SOURCE
from fdtcp.model.options import MEANINGLESS, OLD_OPTIONS
from tests.helpers.clilab import CliLab, cli_lab, wait_until
from tests.helpers.dataset import is_same

SLOW_BYTES = 60 << 20


@pytest.fixture(scope="module")
def lab() -> Iterator[CliLab]:
    with cli_lab() as made:
        yield made


def existing(lab: CliLab) -> list[str]:
    """Make two files that exist at the destination: one is the same, the other is as long and older."""
    base = lab.fresh()
    names = [lab.make(f"{base}/same", 1000), lab.make(f"{base}/other", 1000)]
    assert lab.run("--copyjobfile", lab.copyjob(names)).code == 0
    other = lab.destination / names[1]
    other.write_bytes(b"x" * 1000)
    os.utime(other, ns=(1, 1))
    return names


@pytest.mark.parametrize(
    ("words", "states", "statuses", "code", "is_replaced"),
    [
        (("skip-same",), ["skipped", "failed"], "02", 2, False),
        (("skip-same", "--same-by", "size"), ["skipped", "skipped"], "00", 0, False),
        (("fail",), ["failed", "failed"], "22", 2, False),
        (("update", "--same-by", "time"), ["skipped", "done"], "00", 0, True),
    ],
)
def test_each_policy_has_its_report_and_its_exit_code(
    lab: CliLab, words: tuple[str, ...], states: list[str], statuses: str, code: int, is_replaced: bool
) -> None:
    names = existing(lab)
    ended = lab.run("--on-exists", *words, "--copyjobfile", lab.copyjob(names))
    assert (ended.states(), ended.code) == (states, code), ended.output
    assert [line[2] for line in ended.report] == list(statuses)
    assert set(ended.codes()) <= {"", "destination-exists"}
    assert is_same(lab.source / names[1], lab.destination / names[1]) == is_replaced


def test_a_run_after_a_killed_one_takes_over_and_says_what_was_resumed(lab: CliLab) -> None:
    base = lab.fresh()
    name = lab.make(f"{base}/file", SLOW_BYTES)
    process = lab.start("--rate-limit", "10MB", *lab.pair(name))
    wait_until(lambda: any(left.endswith(".journal") for left in lab.left_behind(base)))
    process.kill()
    process.communicate()
    ended = lab.run("--resume", "require", *lab.pair(name))
    assert ended.states() == ["done"], ended.output
    resumed = ended.result["resumed"]
    assert resumed == ended.result["files"][0]["kept"] > 0
    assert resumed + ended.result["files"][0]["moved"] == SLOW_BYTES
    assert " resumed, " in ended.output
    assert " ".join(ended.report[0]).endswith(ended.result["files"][0]["checksum"])
    assert f"{resumed} of them were there already" in " ".join(ended.report[0])
    assert is_same(lab.source / name, lab.destination / name)
    assert lab.left_behind(base) == []


def test_every_word_of_the_ancestor_is_taken_and_those_without_meaning_are_told_once(lab: CliLab) -> None:
    name = lab.make(f"{lab.fresh()}/file", 3_000_000)
    values = dict.fromkeys(OLD_OPTIONS, "1") | {
        "customClientIP": SOURCE.data[0],
        "customServerIP": DESTINATION.data[0],
        "windowSize": "256K",
        "rateLimit": "100000",
        "bufferSize": "512",
    }
    given = [word for option, value in values.items() for word in (f"--{option}", value)]
    ended = lab.run(*given, "--streams", "2", *lab.pair(name))
    assert ended.code == 0, ended.output
    assert ended.output.count("warning") == 1
    assert all(f"--{option}" in ended.output for option in MEANINGLESS)
    assert not [option for option in OLD_OPTIONS if option not in MEANINGLESS and f"--{option}" in ended.output]
