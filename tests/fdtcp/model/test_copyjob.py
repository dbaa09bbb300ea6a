from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.errors import BadCopyjob
from fdtcp.model import copyjob
from fdtcp.model.copyjob import check_doubles, parse_copyjob
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer


def refused(content: bytes) -> BadCopyjob:
    with pytest.raises(BadCopyjob) as caught:
        parse_copyjob(content, "job")
    return caught.value


def test_lines_are_taken_literally_and_in_order() -> None:
    transfers = parse_copyjob(b"fdt://a//x fdt://b/y\nfdt://c/%20 fdt://d/z", "job")
    assert [(one.source.text, one.destination.text) for one in transfers] == [
        (b"fdt://a//x", b"fdt://b/y"),
        (b"fdt://c/%20", b"fdt://d/z"),
    ]
    assert all(one.literal for one in transfers)


def test_comments_blank_lines_tabs_and_crlf_are_welcome() -> None:
    content = b"# a comment\r\n\r\n\tfdt://a/x\t fdt://b/x \r\n  # another\nfdt://a/y   fdt://b/y\r\n"
    assert [one.source.path for one in parse_copyjob(content, "job")] == [b"/x", b"/y"]


def test_all_bad_lines_are_named_at_once_with_their_numbers() -> None:
    error = refused(b"fdt://a/x fdt://b/x\nfdt://a/y\n\nfdt://a/z fdt://b/z more\n/local fdt://b/l\n")
    assert len(error.details) == 3
    for number, detail in zip((2, 4, 5), error.details, strict=True):
        assert detail.startswith(f"line {number}")
    assert "line 2" in error.reason


def test_the_first_twenty_bad_lines_are_enough() -> None:
    error = refused(b"bad\n" * 30)
    assert len(error.details) == 21
    assert error.details[-1] == "and 10 more"


def test_names_that_the_report_could_not_repeat_are_refused() -> None:
    assert "control character" in refused(b"fdt://a/x\x0b fdt://b/x").reason


def test_two_lines_with_one_destination_are_refused() -> None:
    error = refused(b"fdt://a/x fdt://b/x\nfdt://a/y fdt://B:8444//x\n")
    assert "line 2 has the destination of line 1" in error.reason


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# only a comment", b"[]"])
def test_a_list_without_files_is_refused(content: bytes) -> None:
    assert "names no file" in refused(content).reason


def test_json_holds_names_with_blanks() -> None:
    entries = [{"source": "fdt://a/with blank\n", "destination": "fdt://b/Straße"}]
    (transfer,) = parse_copyjob(b"  " + json.dumps(entries).encode(), "job")
    assert transfer.source.path == b"/with blank\n"
    assert transfer.destination.path == "/Straße".encode()
    assert not transfer.literal


def test_json_gives_back_bytes_that_python_made_text_of() -> None:
    entries = [{"source": "fdt://a/\udcff", "destination": "fdt://b/x"}]
    (transfer,) = parse_copyjob(json.dumps(entries).encode(), "job")
    assert transfer.source.path == b"/\xff"


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("text", "not a map"),
        ({"source": "fdt://a/x"}, "not a map with source and destination"),
        ({"source": 1, "destination": "fdt://b/x"}, "must be text"),
        ({"source": "fdt://a/x", "destination": "/x"}, "names no host"),
        ({"source": "fdt://a/\ud800", "destination": "fdt://b/x"}, "surrogate"),
        ({"source": "fdt://a/x", "destination": "fdt://b/x", "size": 1}, "not a map with"),
    ],
)
def test_bad_entries_are_named_with_their_numbers(entry: object, why: str) -> None:
    good = {"source": "fdt://a/g", "destination": "fdt://b/g"}
    error = refused(json.dumps([good, entry]).encode())
    assert error.details[0].startswith("entry 2")
    assert why in error.details[0]


def test_broken_json_is_refused() -> None:
    assert "begins like JSON" in refused(b'[{"source": ').reason
    assert "begins like JSON" in refused(b"[" * 100_000).reason


def test_arguments_may_not_write_one_file_twice() -> None:
    pair = Transfer(Pfn.parse(b"fdt://a/x"), Pfn.parse(b"fdt://b/x"))
    check_doubles([pair])
    with pytest.raises(BadCopyjob, match="transfer 2"):
        check_doubles([pair, pair])


@given(st.binary(max_size=200))
def test_whatever_is_in_the_file_it_is_read_or_refused(content: bytes) -> None:
    try:
        assert parse_copyjob(content, "job")
    except BadCopyjob:
        pass


PIECES = st.sampled_from(
    [
        "a",
        "b",
        "A:8444",
        "[::1]",
        "a:0",
        "/x",
        "/y",
        "//x",
        "/d/../x",
        "/d/./x",
        "/.",
        "/..",
        "/d/",
        "",
        "#",
        "/" + "n" * 4095,
    ]
)


@given(st.lists(st.tuples(PIECES, PIECES, PIECES, PIECES), max_size=4), st.sampled_from([" ", "\t", "  "]))
def test_plain_lines_are_read_as_all_lines_are(lines: list[tuple[str, ...]], blank: str) -> None:
    content = "\n".join(f"fdt://{a}{b}{blank}fdt://{c}{d}" for a, b, c, d in lines).encode()
    plain = copyjob._read_plain(content)
    # With a comment each line is looked at by itself.
    with_comment = b"# all the same\n" + content
    assert copyjob._read_plain(with_comment) is None
    try:
        read = parse_copyjob(with_comment, "job")
    except BadCopyjob:
        assert plain is None
    else:
        assert parse_copyjob(content, "job") == read
        assert plain is None or plain == read


def test_a_large_copyjob_is_read_in_bites(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"".join(b"fdt://a/%d fdt://b/%d\r\n" % (number, number) for number in range(100))
    monkeypatch.setattr(copyjob, "_BITE_BYTES", 50)
    plain = copyjob._read_plain(content)
    assert plain is not None
    assert [one.source.path for one in plain] == [b"/%d" % number for number in range(100)]


WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Cs"], exclude_characters="/#"), min_size=1
)


@given(st.lists(WORDS.filter(lambda word: word not in (".", "..")), min_size=1, unique=True))
def test_what_is_written_is_read_back(names: list[str]) -> None:
    lines = [f"fdt://a/{name} fdt://b/{name}" for name in names]
    transfers = parse_copyjob("\n".join(lines).encode(), "job")
    assert [one.source.path for one in transfers] == [f"/{name}".encode() for name in names]
