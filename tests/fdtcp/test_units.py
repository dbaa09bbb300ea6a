from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.units import (
    format_bit_rate,
    format_duration,
    format_rate,
    format_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("2GiB", 2 << 30),
        ("2GB", 2 * 10**9),
        ("64k", 64000),
        ("1.5KiB", 1536),
        (" 1 MiB ", 1 << 20),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "1XB", "iB", "4i", "1e9", "1 2", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1023, "1023 B"), (1536, "1.50 KiB"), (10 << 20, "10.0 MiB"), (1 << 60, "1024 PiB")],
)
def test_sizes_are_written(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(0, 1 << 62))
def test_a_written_size_has_few_digits(size: int) -> None:
    number, unit = format_size(size).split()
    assert len(number.replace(".", "")) <= 4
    assert unit.endswith("B")


def test_rates_are_written_for_storage_and_network_people() -> None:
    assert format_rate(1.2e9) == "1.20 GB/s"
    assert format_bit_rate(1.25e9) == "10.0 Gbit/s"
    assert format_rate(999.6) == "1.00 kB/s"


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("250ms", 0.25), ("5m", 300), ("24h", 86400), ("7d", 604800), ("1.5s", 1.5)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "5w", "1h30m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.123, "0.12 s"), (59.2, "59 s"), (75, "1 min 15 s"), (3661, "1 h 1 min"), (90000, "1 d 1 h")],
)
def test_durations_are_written(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
