from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.dn import fold, render
from authsvc.errors import CredentialRefused

CN, DC, MAIL = "2.5.4.3", "0.9.2342.19200300.100.1.25", "1.2.840.113549.1.9.1"


def test_a_name_is_written_outermost_part_first() -> None:
    assert render([[(DC, "ch")], [(DC, "cern")], [(CN, "host/a.b")]]) == "/DC=ch/DC=cern/CN=host/a.b"


def test_an_unknown_attribute_is_written_by_its_number() -> None:
    assert render([[("1.2.3", "x")]]) == "/1.2.3=x"


@pytest.mark.parametrize("value", ["", "a/CN=b", "a/1.2.3=b", "a/x-y=b", "a\nb", "a\0", "a\u202eb", "\x7f"])
def test_values_that_could_be_mistaken_are_refused(value: str) -> None:
    with pytest.raises(CredentialRefused):
        render([[(CN, value)]])


def test_no_name_and_several_values_are_refused() -> None:
    with pytest.raises(CredentialRefused, match="has no name"):
        render([])
    with pytest.raises(CredentialRefused, match="several values"):
        render([[(CN, "a"), (CN, "b")]])


@pytest.mark.parametrize("spelling", ["emailAddress", "Email", "E", "EMAIL", "email"])
def test_spellings_of_the_mail_attribute_are_one(spelling: str) -> None:
    assert fold(f"/CN=x/{spelling}=a@b") == fold("/cn=X/emailAddress=A@B")


def test_uid_and_userid_are_one() -> None:
    assert fold("/UID=x") == fold("/USERID=x")


def test_case_counts_beyond_ascii_only() -> None:
    assert fold("/CN=ABC") == fold("/CN=abc")
    assert fold("/CN=É") != fold("/CN=é")
    assert fold("/CN=K") != fold("/CN=\u212a"), "the Kelvin sign is no K"  # the point of the test
    assert fold("/CN=a  b") != fold("/CN=a b")


VALUES = st.text(min_size=1).filter(lambda text: text.isprintable())


@given(st.lists(st.tuples(st.sampled_from([CN, DC, MAIL, "1.2.3"]), VALUES), min_size=1, max_size=4))
def test_two_different_names_are_never_written_the_same(parts: list[tuple[str, str]]) -> None:
    try:
        text = render([[part] for part in parts])
    except CredentialRefused:
        return
    # What was written can be read back in one way only: at each /TYPE= that a value cannot hold.
    split: list[list[str]] = []
    for piece in text.split("/")[1:]:
        kind, equals, value = piece.partition("=")
        if equals and kind in ("CN", "DC", "emailAddress", "1.2.3"):
            split.append([kind, value])
        else:
            split[-1][1] += f"/{piece}"
    assert [value for _, value in split] == [value for _, value in parts]
