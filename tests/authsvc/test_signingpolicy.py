from __future__ import annotations

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.signingpolicy import MAX_STARS, parse

CA = "/DC=org/CN=Example CA"
GOOD = f"""\
# An IGTF file.
access_id_CA      X509         '{CA}'
pos_rights        globus       CA:sign
cond_subjects     globus       '"/DC=org/DC=example/*" "/O=Example/CN=host/?.example.org"'
"""


@pytest.mark.parametrize(
    "subject",
    ["/DC=org/DC=example/CN=a", "/dc=org/dc=EXAMPLE/CN=Some Body", "/O=Example/CN=host/a.example.org"],
)
def test_a_name_within_the_policy_is_allowed(subject: str) -> None:
    assert parse(GOOD).allows(CA, subject)


@pytest.mark.parametrize(
    "subject",
    ["/DC=org/DC=other/CN=a", "/O=Example/CN=host/aa.example.org", "/O=x/DC=org/DC=example/CN=a", "/DC=org/DC=example"],
)
def test_a_name_outside_of_the_policy_is_not(subject: str) -> None:
    assert not parse(GOOD).allows(CA, subject)


def test_another_ca_is_allowed_nothing() -> None:
    policy = parse(GOOD)
    assert policy.names(CA.upper().replace("/DC=ORG/CN=", "/DC=org/CN="))
    assert not policy.names("/CN=other")
    assert not policy.allows("/CN=other", "/DC=org/DC=example/CN=a")


def test_the_spelling_of_email_does_not_count() -> None:
    policy = parse(GOOD.replace("/O=Example/CN=host/?.example.org", "/O=E/CN=?/Email=*@example.org"))
    assert policy.allows(CA, "/O=E/CN=a/emailAddress=a@example.org")


@pytest.mark.parametrize(
    ("value", "patterns"),
    [
        ("'/O=a b/*'", ["/O=a b/c"]),
        ('"/O=a b/*"', ["/O=a b/c"]),
        ("'\"/O=a/*\"'", ["/O=a/c"]),
        ("/O=a/*", ["/O=a/c"]),
        ('\'"/O=a/*"  "/O=b/*"\'  # and why', ["/O=a/c", "/O=b/c"]),
    ],
)
def test_subjects_are_quoted_in_all_ways_that_are_found_in_the_field(value: str, patterns: list[str]) -> None:
    policy = parse(f"access_id_CA X509 '{CA}'\npos_rights globus CA:sign\ncond_subjects globus {value}\n")
    assert all(policy.allows(CA, pattern) for pattern in patterns)
    assert not policy.allows(CA, "/O=x/c")


@pytest.mark.parametrize("right", ["CA:sign", "CA:sign\t# and nothing else", "'CA:sign'", "CA:sign\r"])
def test_the_right_to_sign_is_written_in_several_ways(right: str) -> None:
    assert parse(GOOD.replace("CA:sign", right)).allows(CA, "/DC=org/DC=example/CN=a")


def test_one_file_may_speak_of_several_cas() -> None:
    policy = parse(GOOD + GOOD.replace(CA, "/CN=second").replace("/DC=org/DC=example/*", "/O=second/*"))
    assert policy.allows("/CN=second", "/O=second/x")
    assert not policy.allows(CA, "/O=second/x")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "line 1: no CA"),
        ("# nothing\n", "line 1: no CA"),
        (GOOD.replace("pos_rights", "neg_rights"), "line 3: neg_rights globus is not understood"),
        (GOOD.replace("CA:sign", "CA:revoke"), "line 4: cond_subjects stands"),
        (GOOD.replace("X509", "KERBEROS"), "line 2: .* not understood"),
        (GOOD.replace(f"'{CA}'", f"'{CA}"), "line 2: the quote"),
        (GOOD.replace(f"'{CA}'", f"'{CA}' more"), "line 2: 'more' follows"),
        (GOOD.replace("/DC=org/CN=Example CA", "CN=Example CA"), "line 2: .* slash"),
        (GOOD.replace('example/*"', "example/*"), "line 4: .* matching quotes"),
        (GOOD.replace('"/DC', '"DC'), "line 4: .* not the pattern"),
        (GOOD.replace("/DC=org/DC=example/*", "/" + "*a" * (MAX_STARS + 1)), "line 4: .* complicated"),
        (GOOD[: GOOD.index("cond_")], "line 3: .* no cond_subjects"),
        (GOOD[: GOOD.index("globus", GOOD.index("cond_")) + 6], "line 4: a keyword, a kind"),
        (GOOD + GOOD, "line 6: .* before"),
        (GOOD.replace("pos_rights", "access_id_CA X509 /CN=b\npos_rights"), "line 3: .* no cond_subjects"),
        ("pos_rights globus CA:sign\n", "line 1: pos_rights stands"),
    ],
)
def test_a_malformed_policy_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}" if why.startswith("line") and ".*" not in why else why):
        parse(text)


TEXTS = st.text("ab/*?=. ", max_size=12)


@given(TEXTS, st.text("ab/=. ", max_size=16))
def test_patterns_match_as_a_shells_do(pattern: str, name: str) -> None:
    policy = parse(f"access_id_CA X509 '{CA}'\npos_rights globus CA:sign\ncond_subjects globus '\"/{pattern}\"'\n")
    assert policy.allows(CA, f"/{name}") == fnmatch.fnmatchcase(f"/{name}", f"/{pattern}")


@given(st.text(max_size=200) | st.lists(st.sampled_from([*GOOD.split("\n"), *GOOD.split()]), max_size=9).map("\n".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except ValueError as exc:
        assert str(exc).startswith("line ")


def test_no_name_makes_matching_slow() -> None:
    pattern = "/" + "*a" * (MAX_STARS - 1)
    policy = parse(f"access_id_CA X509 '{CA}'\npos_rights globus CA:sign\ncond_subjects globus '\"{pattern}\"'\n")
    start = time.monotonic()
    assert not policy.allows(CA, "/" + "a" * 5000 + "b")
    assert time.monotonic() - start < 1.0
