"""Paths that are refused before a mover sees them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.errors import Side, Status
from fdtd.site.paths import PathPolicy, is_covered, partial_path, split_path

POLICY = PathPolicy.of(Side.SOURCE, ["/data", "/store/a"])


@pytest.mark.parametrize(
    "path", [b"/data/f", b"//data//x/f", b"/data/./f", b"/store/a/\xff", b"/dev/zero", b"/data/.hidden", b"/data/a..b"]
)
def test_what_is_below_a_prefix_is_let_through(path: bytes) -> None:
    assert POLICY.refusal(path) is None


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"data/f",
        b"/",
        b"/data",
        b"/data/",
        b"/database/f",
        b"/store/b/f",
        b"/data/../etc/passwd",
        b"/data/a\0b",
        b"/data/" + b"x" * 256,
        b"/data/" + b"x/" * 2048 + b"f",
        b"/dev/null",
    ],
)
def test_the_rest_is_refused_with_permission_as_status(path: bytes) -> None:
    problem = POLICY.refusal(path)
    assert problem is not None
    assert (problem.code, problem.side, problem.status) == ("path-refused", Side.SOURCE, Status.PERMISSION)


PIECES = st.sampled_from([b"data", b"store", b"a", b"b", b"dev", b"zero", b"null", b".", b"..", b"", b"x" * 256, b"\0"])
PATHS = st.lists(PIECES, max_size=5).map(b"/".join) | st.lists(PIECES, max_size=5).map(lambda p: b"/" + b"/".join(p))


@given(st.lists(PATHS, max_size=6), st.sampled_from([None, (), (b"/data/a",), (b"/",), (b"/store/a/b", b"/dev/zero")]))
def test_many_paths_are_judged_as_each_of_them(paths: list[bytes], scopes: tuple[bytes, ...] | None) -> None:
    policy = POLICY.limited_to(scopes)
    alone = {place: policy.refusal(path) for place, path in enumerate(paths)}
    assert policy.refusals(paths) == {place: problem for place, problem in alone.items() if problem is not None}


def test_a_destination_may_be_dev_null_but_not_dev_zero() -> None:
    policy = PathPolicy.of(Side.DESTINATION, ["/data"])
    assert policy.refusal(b"/dev/null") is None
    assert policy.refusal(b"/dev/zero") is not None


def test_root_allows_everything() -> None:
    assert PathPolicy.of(Side.SOURCE, ["/"]).refusal(b"/etc/passwd") is None


def test_spellings_of_one_path_have_one_partial() -> None:
    assert split_path(b"//a/./b") == [b"a", b"b"]
    assert partial_path(b"//a/./b") == partial_path(b"/a/b")
    assert partial_path(b"/a/b").startswith(b"/a/.b.fdt-")


@pytest.mark.parametrize(
    ("scopes", "path", "why"),
    [
        (None, b"/data/x", None),
        ((), b"/data/x", "bearer token"),
        ((b"/",), b"/data/x", None),
        ((b"/data/a",), b"/data/a/x", None),
        ((b"/data/a",), b"/data/a", None),
        ((b"/data/a",), b"/data/ab", "bearer token"),
        ((b"/data/a", b"/data/b"), b"/data/b/x", None),
        ((b"/",), b"/etc/x", "the site allows"),
        ((b"/etc",), b"/etc/x", "the site allows"),
        ((b"/data/a",), b"/dev/zero", None),
        ((), b"/dev/zero", "bearer token"),
    ],
)
def test_a_token_takes_away_and_never_gives(scopes: tuple[bytes, ...] | None, path: bytes, why: str | None) -> None:
    refusal = PathPolicy.of(Side.SOURCE, ["/data"]).limited_to(scopes).refusal(path)
    assert (refusal is None) if why is None else (refusal is not None and why in refusal.reason)


@pytest.mark.parametrize(
    ("scopes", "by", "covered"),
    [
        (None, None, True),
        (None, (b"/data",), False),
        (None, (b"/",), True),
        ((b"/data",), None, True),
        ((b"/data",), (b"/data",), True),
        ((b"/data/a",), (b"/data",), True),
        ((b"/data",), (b"/data/a",), False),
        ((b"/data/ab",), (b"/data/a",), False),
        ((b"/a", b"/b"), (b"/b", b"/a"), True),
        ((b"/a", b"/b"), (b"/a",), False),
        ((), (b"/a",), True),
        ((b"/a",), (), False),
    ],
)
def test_one_token_covers_another_if_it_allows_all_of_it(
    scopes: tuple[bytes, ...] | None, by: tuple[bytes, ...] | None, covered: bool
) -> None:
    assert is_covered(scopes, by) is covered
