"""Names need be neither text nor polite: whatever POSIX allows arrives as it is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from fdtcp import Client
from fdtd.storage.names import journal_name, partial_name
from tests.helpers.clilab import CliLab, cli_lab
from tests.helpers.dataset import is_same, make_file
from tests.helpers.movers import Job, Pair

ODD_NAMES: Final = [
    *[bytes([byte]) for byte in range(1, 256) if byte not in b"/."],
    b"a" * 255,
    b"a" * 254 + b"b",  # the same when it is cut
    b"\xff" * 255,
    "é".encode() * 127 + b"x",
    b"\n" * 255,
    b"-rf",
    b"--help",
    b"...",
    b"..a",
    b".hidden",
    b" leading and trailing ",
    b"two\nlines\r\n",
    b"%2e%2e%2f",
    b"$(reboot);`id`|&>x",
    b"\\..\\x",
    b"\xe6\x97\xa5\xe6\x9c\xac\xff",
    b"\xed\xa0\x80",  # half a surrogate pair
    b"\xf4\x90\x80\x80",  # beyond Unicode
    b"\xc0\xaf",  # a slash, to sloppy decoders
    b'"quoted"',
    b"fdt:",
    b"[x]{y}*?",
    b".x.part",
    b".x.fdt-0123456789",
]


@pytest.fixture(scope="module")
def lab() -> Iterator[CliLab]:
    with cli_lab() as made:
        yield made


def make_odd(lab: CliLab) -> list[str]:
    base = lab.fresh()
    (lab.source / base).mkdir()
    names = [f"{base}/{os.fsdecode(name)}" for name in ODD_NAMES]
    for number, name in enumerate(names):
        (lab.source / name).write_bytes(f"content of {number}".encode() * 10)
    # One of them in a directory of an odd name, and large enough to be a block of its own.
    names.append(f"{base}-\n\udcff/x\ny")
    make_file(lab.source / names[-1], 300_000)
    return names


def check_odd(lab: CliLab, names: list[str]) -> None:
    for name in names:
        assert is_same(lab.source / name, lab.destination / name), repr(name)
    (base,) = {name.partition("/")[0] for name in names[:-1]}
    assert sorted(os.listdir(os.fsencode(lab.destination / base))) == sorted(ODD_NAMES)


def test_any_name_that_posix_allows_travels_through_a_json_copyjob(lab: CliLab) -> None:
    names = make_odd(lab)
    copyjob = lab.home / "copyjob.json"
    copyjob.write_text(
        json.dumps([dict(zip(("source", "destination"), lab.pair(name), strict=True)) for name in names])
    )
    ended = lab.run("-f", copyjob)
    assert ended.code == 0, ended.output
    assert set(ended.states()) == {"done"}
    assert [len(line) for line in ended.report] == [len(ended.report[0])] * len(names)
    check_odd(lab, names)
    again = lab.run("-f", copyjob)
    assert (again.code, set(again.states())) == (0, {"skipped"})


def test_any_name_that_posix_allows_travels_through_the_python_client(lab: CliLab) -> None:
    names = make_odd(lab)
    pairs = [tuple(os.fsencode(one) for one in lab.pair(name)) for name in names]
    result = Client(proxy=lab.lab.proxy, ca_dir=lab.lab.ca_dir).transfer([(source, to) for source, to in pairs])
    assert result.exit_code == 0, result.outcomes
    check_odd(lab, names)


def test_a_name_of_our_own_temporary_files_is_refused_as_a_destination(tmp_path: Path) -> None:
    """Else it would be taken for what is left of another destination: overwritten, or swept away."""
    partial, journal = (os.fsdecode(name(b"x")) for name in (partial_name, journal_name))
    long_ones = [os.fsdecode(partial_name(b"\xff" * 255))]
    names = [partial, journal, "x", *long_ones]
    pairs: list[Pair] = [(make_file(tmp_path / "from" / name, 1000), tmp_path / "to" / name) for name in names]
    with Job(pairs) as job:
        outcomes = job.run()
    problems = [outcomes[index].problem for index in range(len(names))]
    assert [problem.code if problem else "" for problem in problems] == ["path-refused"] * 2 + ["", "path-refused"]
    assert os.listdir(tmp_path / "to") == ["x"]
    assert is_same(tmp_path / "from/x", tmp_path / "to/x")
