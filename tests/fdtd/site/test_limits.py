"""What users may choose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fdtcp.errors import OptionRefused, Side
from fdtcp.model.order import Checksum, Direct, OnExists, Policy, Sync, Verify
from fdtcp.model.policy import Encrypt
from fdtd.site.config import load_config
from fdtd.site.limits import Choice, EncryptLimit, Limit, Limits, ReverseLimit

DEFAULTS = load_config("").limits


def test_what_is_not_said_becomes_the_sites_default() -> None:
    limits = replace(DEFAULTS, streams=Limit(1, 8, 4, True), block_size=Limit(1, 1 << 30, 1 << 20, True))
    applied = limits.apply(Policy())
    assert (applied.streams, applied.block_size) == (4, 1 << 20)


def test_what_is_said_within_limits_is_kept() -> None:
    wanted = Policy(streams=16, block_size=1 << 20, rate_limit=10, buffer_size=1 << 20, encrypt=Encrypt.YES)
    assert DEFAULTS.apply(wanted) == wanted


@pytest.mark.parametrize(
    "wanted",
    [
        Policy(streams=65),
        Policy(streams=-1),
        Policy(block_size=1),
        Policy(block_size=1 << 40),
        Policy(buffer_size=1 << 30),
        Policy(rate_limit=-1),
        Policy(stream_rate=-1),
        Policy(on_exists=OnExists.UPDATE),
        Policy(readers=-1),
        Policy(stall_timeout=0.0),
        Policy(connect_timeout=float("nan")),
        Policy(zero_size=-1),
        Policy(congestion="../etc"),
    ],
)
def test_what_is_outside_is_refused(wanted: Policy) -> None:
    with pytest.raises(OptionRefused):
        DEFAULTS.apply(wanted)


def test_what_is_not_overridable_can_only_be_what_it_is() -> None:
    limits = replace(DEFAULTS, streams=Limit(1, 8, 4, False))
    assert limits.apply(Policy(streams=4)).streams == 4
    with pytest.raises(OptionRefused):
        limits.apply(Policy(streams=5))


def test_a_limited_rate_is_the_rate_of_those_who_say_nothing() -> None:
    limits = replace(DEFAULTS, rate_limit=Limit(0, 1000, 0, True))
    assert limits.apply(Policy()).rate_limit == 1000
    assert limits.apply(Policy(rate_limit=10)).rate_limit == 10
    with pytest.raises(OptionRefused):
        limits.apply(Policy(rate_limit=1001))


def test_of_readers_and_writers_0_is_the_most() -> None:
    limits = replace(DEFAULTS, readers=Limit(0, 4, 0, True), writers=Limit(0, 4, 2, True))
    applied = limits.apply(Policy())
    assert (applied.readers, applied.writers) == (4, 2)
    assert limits.apply(Policy(readers=1)).readers == 1
    with pytest.raises(OptionRefused):
        limits.apply(Policy(writers=5))


@pytest.mark.parametrize(
    ("limit", "wanted", "given"),
    [
        (Limit(0, 0, 0, True), 0, 0),
        (Limit(0, 0, 0, True), 7, 7),
        (Limit(0, 1000, 0, True), 0, 1000),
        (Limit(0, 1000, 0, True), 2000, 1000),
        (Limit(10, 1000, 500, True), 1, 1),
        (Limit(10, 1000, 500, True), 0, 500),
        (Limit(0, 1000, 500, False), 7, 7),
        (Limit(0, 1000, 500, False), 700, 500),
        (Limit(0, 0, 0, False), 7, 7),
    ],
)
def test_the_rate_of_a_running_job_stays_within_the_limits(limit: Limit, wanted: int, given: int) -> None:
    assert replace(DEFAULTS, rate_limit=limit).cut_rate(wanted) == given


def test_limits_cover_what_the_file_shows() -> None:
    assert set(Limits.__dataclass_fields__) == {
        "streams",
        "block_size",
        "rate_limit",
        "buffer_size",
        "readers",
        "writers",
        "sync",
        "direct",
        "verify",
        "encrypt",
        "reverse",
    }


def test_words_are_the_sites_where_nothing_is_said_and_the_users_where_he_may() -> None:
    limits = replace(DEFAULTS, sync=Choice("file", True), direct=Choice("no", True), verify=Choice("disk", True))
    assert limits.apply(Policy()) == replace(
        DEFAULTS.apply(Policy()), sync=Sync.FILE, direct=Direct.NO, verify=Verify.DISK
    )
    assert limits.apply(Policy(direct=Direct.YES)).direct is Direct.YES
    assert DEFAULTS.apply(Policy(sync=Sync.NONE)).sync is Sync.NONE


def test_a_word_that_is_not_to_be_chosen_can_only_be_what_it_is() -> None:
    limits = replace(DEFAULTS, verify=Choice("disk", False), sync=Choice("batch", False))
    assert limits.apply(Policy(verify=Verify.DISK)).verify is Verify.DISK
    with pytest.raises(OptionRefused, match="does not let users choose sync"):
        limits.apply(Policy(sync=Sync.FILE))


@pytest.mark.parametrize("wanted", [Policy(checksum=Checksum.NONE), Policy(sync=Sync.NONE)])
def test_what_a_site_asks_for_cannot_be_made_impossible(wanted: Policy) -> None:
    with pytest.raises(OptionRefused, match="verify=disk"):
        replace(DEFAULTS, verify=Choice("disk", True)).apply(wanted)


YES, NO, SITE, REFUSED = Encrypt.YES, Encrypt.NO, Encrypt.SITE, None


@pytest.mark.parametrize(
    ("default", "overridable", "unsaid", "yes", "no"),
    [
        ("off", True, NO, YES, NO),
        ("off", False, NO, REFUSED, NO),
        ("on", True, YES, YES, NO),
        ("on", False, YES, YES, REFUSED),
        ("required", True, YES, YES, REFUSED),
        ("required", False, YES, YES, REFUSED),
    ],
)
def test_the_site_has_a_word_on_encryption(
    default: str, *, overridable: bool, unsaid: Encrypt, yes: Encrypt | None, no: Encrypt
) -> None:
    limits = replace(DEFAULTS, encrypt=EncryptLimit(default, overridable))
    for wanted, settled in ((SITE, unsaid), (YES, yes), (NO, no)):
        if settled is REFUSED:
            with pytest.raises(OptionRefused, match="encrypted streams"):
                limits.apply(Policy(encrypt=wanted))
        else:
            assert limits.apply(Policy(encrypt=wanted)).encrypt is settled
    assert limits.encrypt.is_forbidden is (default == "off" and not overridable)


@pytest.mark.parametrize(
    ("word", "accounts", "is_wanted", "refusal"),
    [
        ("allowed", (), True, ""),
        ("allowed", (), False, ""),
        ("allowed", ("atlas", "alice"), True, ""),
        ("allowed", ("atlas",), True, "to the account alice"),
        ("allowed", ("atlas",), False, ""),
        ("refused", (), True, "does not allow reverse"),
        ("refused", (), False, ""),
        ("required", (), True, ""),
        ("required", ("atlas",), True, ""),
        ("required", (), False, "requires reverse"),
    ],
)
@pytest.mark.parametrize("side", [Side.SOURCE, Side.DESTINATION])
def test_the_site_has_a_word_on_reverse_for_each_end(
    word: str, accounts: tuple[str, ...], side: Side, *, is_wanted: bool, refusal: str
) -> None:
    words = (word, "allowed") if side is Side.SOURCE else ("allowed", word)
    limit = ReverseLimit(*words, accounts)
    if refusal:
        with pytest.raises(OptionRefused, match=f"the site of the {side} .*{refusal}"):
            limit.check(side, "alice", is_wanted=is_wanted)
    else:
        limit.check(side, "alice", is_wanted=is_wanted)
