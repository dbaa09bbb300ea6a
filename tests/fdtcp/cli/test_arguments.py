from __future__ import annotations

import pytest

from fdtcp.cli.arguments import CommandLine, parse_arguments
from fdtcp.errors import UsageError
from fdtcp.model.options import OLD_OPTIONS, PARSERS


def refused(*arguments: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_arguments(arguments)
    return caught.value.reason


def test_the_call_of_a_phedex_like_backend_is_understood() -> None:
    line = parse_arguments(["--copyjobfile=F", "--report=R", "--logFile=L"])
    assert line == CommandLine(None, "F", "R", log_file="L")


def test_two_names_are_a_pair() -> None:
    assert parse_arguments(["a", "b"]).pair == ("a", "b")


@pytest.mark.parametrize("names", [[], ["a"], ["a", "b", "c"]])
def test_other_numbers_of_names_are_refused(names: list[str]) -> None:
    assert f"needed, and there are {len(names)} names" in refused(*names)


def test_names_and_a_copyjobfile_are_too_much() -> None:
    assert "not both" in refused("-f", "F", "a", "b")
    assert "not both" in refused("-f", "F", "a")


def test_old_short_forms_are_kept() -> None:
    line = parse_arguments(["-r", "R", "-d", "debug", "-f", "F", "-c", "C", "-t", "5", "-l", "L", "-x", "P"])
    expected = CommandLine(None, "F", "R", log_file="L", config="C", debug="DEBUG", timeout=5.0, proxy="P")
    assert line == expected


def test_every_option_of_the_ancestor_takes_a_value() -> None:
    arguments = [word for name in OLD_OPTIONS for word in (f"--{name}", "7")]
    line = parse_arguments([*arguments, "--monID", "M", "--x509userproxy", "P", "-f", "F"])
    assert line.given == dict.fromkeys(OLD_OPTIONS, "7")
    assert (line.monitor_id, line.proxy) == ("M", "P")


def test_a_historical_spelling_is_kept() -> None:
    assert parse_arguments(["--readerrsCount", "2", "a", "b"]).given == {"readersCount": "2"}


def test_every_option_of_a_transfer_has_a_new_spelling() -> None:
    flags = {"encrypt", "reverse"}
    arguments = [f"--{name.replace('_', '-')}=v" for name in PARSERS if name not in flags]
    given = parse_arguments([*arguments, *(f"--{flag}" for flag in flags), "a", "b"]).given
    assert given == {name: "yes" if name in flags else "v" for name in PARSERS}
    assert parse_arguments(["--no-encrypt", "a", "b"]).given == {"encrypt": "no"}


@pytest.mark.parametrize("text", ["0", "-1", "soon", "2d", "inf", "nan"])
def test_the_time_for_first_contact_has_bounds(text: str) -> None:
    assert refused(f"--timeout={text}", "a", "b").startswith("--timeout")


def test_unknown_options_and_abbreviations_are_refused() -> None:
    assert "unrecognized" in refused("--copyjob", "F")
    assert "expected one argument" in refused("--report")
