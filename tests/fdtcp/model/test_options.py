from __future__ import annotations

import pytest

from fdtcp.errors import UsageError
from fdtcp.model.options import MEANINGLESS, choose, find_meaningless, parse_addresses
from fdtcp.model.order import Checksum, Direct, OnExists, Policy, Resume, SameBy, Sync, Verify


def test_who_says_nothing_gets_the_default_policy() -> None:
    options = choose({})
    assert options.policy == Policy()
    assert options.source_addresses == options.destination_addresses == ()


def test_every_option_has_its_word() -> None:
    options = choose(
        {
            "checksum": "crc32",
            "sync": "file",
            "direct": "yes",
            "verify": "disk",
            "on_exists": "overwrite",
            "same_by": "size",
            "streams": "4",
            "block_size": "1MiB",
            "rate_limit": "1GB",
            "congestion": "bbr",
            "buffer_size": "64KiB",
            "zero_size": "1GiB",
            "stream_rate": "1MB",
            "readers": "2",
            "writers": "3",
            "resume": "require",
            "keep_partials": "no",
            "stall_timeout": "1m",
            "connect_timeout": "5",
            "source_addresses": "192.0.2.1,2001:db8::1",
            "destination_addresses": " 192.0.2.2 ",
        }
    )
    assert options.policy == Policy(
        Checksum.CRC32,
        Sync.FILE,
        OnExists.OVERWRITE,
        SameBy.SIZE,
        4,
        1 << 20,
        10**9,
        "bbr",
        1 << 16,
        1 << 30,
        False,
        60,
        5,
        stream_rate=10**6,
        readers=2,
        writers=3,
        resume=Resume.REQUIRE,
        direct=Direct.YES,
        verify=Verify.DISK,
    )
    assert options.source_addresses == ("192.0.2.1", "2001:db8::1")
    assert options.destination_addresses == ("192.0.2.2",)


def test_old_words_mean_what_they_meant() -> None:
    options = choose(
        {
            "rateLimit": "1000",
            "windowSize": "2M",
            "bufferSize": "1024",
            "readersCount": "2",
            "writersCount": "1000",
            "customClientIP": "192.0.2.1",
            "customServerIP": "192.0.2.2",
        }
    )
    assert options.policy.rate_limit == 1000 * 1024
    assert options.policy.buffer_size == 2 << 20
    assert options.policy.block_size == 1 << 20
    assert (options.policy.readers, options.policy.writers) == (2, 256)
    assert (options.source_addresses, options.destination_addresses) == (("192.0.2.1",), ("192.0.2.2",))


@pytest.mark.parametrize(("text", "size"), [("64", 256 << 10), ("4096", 4 << 20), ("999999", 64 << 20)])
def test_an_old_buffer_size_is_brought_to_what_sites_allow(text: str, size: int) -> None:
    assert choose({"bufferSize": text}).policy.block_size == size


def test_a_new_word_wins_over_an_old_one_and_both_over_the_configuration() -> None:
    configured: dict[str, object] = {"rate_limit": 1, "streams": 2}
    assert choose({}, configured).policy.rate_limit == 1
    assert choose({"rateLimit": "2"}, configured).policy.rate_limit == 2048
    assert choose({"rateLimit": "2", "rate_limit": "3"}, configured).policy.rate_limit == 3
    assert choose({"rate_limit": "3"}, configured).policy.streams == 2


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("checksum", "md5", "none, adler32, crc32"),
        ("streams", "-1", "whole number from 0 to 256"),
        ("streams", "two", "whole number"),
        ("streams", "٣", "whole number"),
        ("block_size", "big", "not a size"),
        ("keep_partials", "maybe", "neither yes nor no"),
        ("resume", "perhaps", "auto, never, require"),
        ("readers", "many", "whole number"),
        ("readersCount", "many", "whole number"),
        ("congestion", "../x", "congestion control"),
        ("stall_timeout", "soon", "not a duration"),
        ("source_addresses", "host.example", "not a numeric address"),
        ("source_addresses", ",", "at least one"),
        ("rateLimit", "fast", "K or M"),
    ],
)
def test_a_bad_value_names_its_option_and_what_is_allowed(name: str, text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        choose({name: text})
    assert caught.value.reason.startswith(f"--{name.replace('_', '-')}: ")


def test_an_update_says_what_the_same_is() -> None:
    with pytest.raises(UsageError, match="same-by=time"):
        choose({"on_exists": "update"})
    assert choose({"on_exists": "update", "same_by": "time"}).policy.on_exists is OnExists.UPDATE


def test_options_without_meaning_are_found() -> None:
    given = dict.fromkeys(MEANINGLESS, "1") | {"streams": "1", "rateLimit": "5"}
    assert find_meaningless(given) == tuple(f"--{name}" for name in MEANINGLESS)
    assert choose(given).policy.streams == 1


def test_addresses_are_numeric() -> None:
    assert parse_addresses("127.1.0.2, ::1") == ("127.1.0.2", "::1")


@pytest.mark.parametrize("other", [{"checksum": "none"}, {"sync": "none"}])
def test_what_cannot_be_had_together_is_refused(other: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="verify=disk"):
        choose({"verify": "disk", **other})
