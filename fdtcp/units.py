"""Sizes, rates and durations as people write and read them.

Decides the spellings; everything inside the programs is whole bytes, bytes per second and seconds.
"""

from __future__ import annotations

import re
from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)(b?)\s*", re.IGNORECASE)
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)\s*")
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SECONDS: Final = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(text: str) -> int:
    """Read "4096", "2GiB", "2GB", "64k" as bytes: with an i powers of 1024, without powers of 1000.

    Raises ValueError with a text that names the allowed forms.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size: write for example 4096, 64KiB or 2GB")
    number, letter, binary, _ = match.groups()
    if binary and not letter:
        raise ValueError(f"{text!r} is not a size: write for example 4096, 64KiB or 2GB")
    base = 1024 if binary else 1000
    return (
        int(float(number) * base ** _POWERS[letter.lower()])
        if "." in number
        else int(number) * base ** _POWERS[letter.lower()]
    )


def format_size(size: float) -> str:
    """Write bytes with a binary unit and three significant digits: 1536 -> "1.50 KiB"."""
    return _format(size, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"))


def format_rate(rate: float) -> str:
    """Write bytes per second as storage people read it: 1.2e9 -> "1.20 GB/s"."""
    return _format(rate, 1000, ("B/s", "kB/s", "MB/s", "GB/s", "TB/s"))


def format_bit_rate(rate: float) -> str:
    """Write bytes per second as network people read it: 1.25e9 -> "10.0 Gbit/s"."""
    return _format(rate * 8, 1000, ("bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"))


def parse_duration(text: str) -> float:
    """Read "30", "250ms", "5m", "24h", "7d" as seconds.  Raises ValueError that names the allowed forms."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write for example 30s, 5m, 24h or 7d")
    return float(match[1]) * _SECONDS[match[2]]


def format_duration(seconds: float) -> str:
    """Write seconds for people: 0.123 -> "0.12 s", 75 -> "1 min 15 s", 90000 -> "1 d 1 h"."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def _format(value: float, base: int, names: tuple[str, ...]) -> str:
    step = 0
    # 999.5 would print as "1000": go on to the next unit at what rounds to the base.
    while value >= base - 0.5 and step < len(names) - 1:
        value /= base
        step += 1
    if step == 0:
        return f"{value:.0f} {names[0]}"
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {names[step]}"
