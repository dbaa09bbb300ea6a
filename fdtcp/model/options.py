"""The options of a transfer: what users write becomes a Policy and data addresses.

Decides each option's spelling and which of the ancestor's expert options still mean something.  A command line wins
over a configuration; what neither says is the Policy's default, and the daemons check all of it against their site's
limits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field, fields
from enum import StrEnum
from typing import Any, Final

from fdtcp.errors import UsageError
from fdtcp.model.order import Checksum, Direct, OnExists, Policy, Resume, SameBy, Sync, Verify
from fdtcp.model.policy import Encrypt
from fdtcp.units import KIB, MIB, parse_duration, parse_size
from fdtcp.value import dataclass

# FDT's I/O buffers are what our blocks are; a block outside of these would be refused by most sites, and an old
# site's --bufferSize=64 must not end its transfers.
_SMALLEST_BLOCK: Final = 256 * KIB
_LARGEST_BLOCK: Final = 64 * MIB

# The ancestor's options that say how FDT in Java is to be run.  Ours has no such knobs: it always writes a temporary
# file under a lock, waits for disks in threads that nobody has to count, and takes its port from the site's range.
MEANINGLESS: Final = (
    "portServer",
    "noFileLock",
    "noTmpFile",
    "blockingIO",
    "ioRetry",
    "xms",
    "xmx",
    "satisfyConfig",
    "nettest",
)
OLD_OPTIONS: Final = (
    "customClientIP",
    "customServerIP",
    "windowSize",
    "rateLimit",
    "bufferSize",
    "writersCount",
    "readersCount",
    *MEANINGLESS,
)

_ADDRESS = re.compile(r"[0-9.]{7,15}|[0-9A-Fa-f:.]{2,45}")
_WORD = re.compile(r"[a-z0-9_-]{1,15}")


@dataclass(frozen=True, slots=True)
class Options:
    """How files shall be moved, and which of the daemons' data addresses may be used (empty: all that they have)."""

    policy: Policy = field(default_factory=Policy)
    source_addresses: tuple[str, ...] = ()
    destination_addresses: tuple[str, ...] = ()


def parse_addresses(text: str) -> tuple[str, ...]:
    """Read numeric addresses with commas between them.  Raises ValueError."""
    words = tuple(word for word in (word.strip() for word in text.split(",")) if word)
    if not words:
        raise ValueError("must name at least one address")
    for word in words:
        if not _ADDRESS.fullmatch(word):
            raise ValueError(f"{word!r} is not a numeric address: names are not resolved for data addresses")
    return words


def _one_of(words: type[StrEnum]) -> Callable[[str], StrEnum]:
    def parse(text: str) -> StrEnum:
        try:
            return words(text.strip().lower())
        except ValueError:
            raise ValueError(f"{text!r} is not one of {', '.join(words)}") from None

    return parse


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.strip().isascii() or not text.strip().isdigit() or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def _yes_no(text: str) -> bool:
    if text.strip().lower() not in ("yes", "no"):
        raise ValueError(f"{text!r} is neither yes nor no")
    return text.strip().lower() == "yes"


def _congestion(text: str) -> str:
    if text and not _WORD.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of a congestion control, such as cubic or bbr")
    return text


def _old_size(unit: int) -> Callable[[str], int]:
    """Read the ancestor's sizes: a number in `unit`, or with its own K or M."""

    def parse(text: str) -> int:
        match = re.fullmatch(r"\s*(\d{1,12})\s*([kKmM]?)[bB]?\s*", text)
        if match is None:
            raise ValueError(f"{text!r} is not a number, or one with K or M behind it")
        return int(match[1]) * {"": unit, "k": KIB, "m": MIB}[match[2].lower()]

    return parse


# A reader has at most this many streams whatever it is asked for; the site's limit is lower as a rule.
_MAX_STREAMS: Final = 256

PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {  # Any: each option has a type of its own
    "checksum": _one_of(Checksum),
    "sync": _one_of(Sync),
    "direct": _one_of(Direct),
    "verify": _one_of(Verify),
    "on_exists": _one_of(OnExists),
    "same_by": _one_of(SameBy),
    "streams": _whole(0, _MAX_STREAMS),
    "block_size": parse_size,
    "rate_limit": parse_size,
    "stream_rate": parse_size,
    "readers": _whole(0, _MAX_STREAMS),
    "writers": _whole(0, _MAX_STREAMS),
    "congestion": _congestion,
    "buffer_size": parse_size,
    "zero_size": parse_size,
    "resume": _one_of(Resume),
    "keep_partials": _yes_no,
    "stall_timeout": parse_duration,
    "connect_timeout": parse_duration,
    "encrypt": _one_of(Encrypt),
    "reverse": _yes_no,
    "source_addresses": parse_addresses,
    "destination_addresses": parse_addresses,
}
_OLD_PARSERS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {  # Any: see above
    # In FDT the client sends and the server receives.
    "customClientIP": ("source_addresses", parse_addresses),
    "customServerIP": ("destination_addresses", parse_addresses),
    "rateLimit": ("rate_limit", _old_size(KIB)),
    "windowSize": ("buffer_size", _old_size(1)),
    "writersCount": ("writers", lambda text: min(_whole(0, 10**9)(text), _MAX_STREAMS)),
    "readersCount": ("readers", lambda text: min(_whole(0, 10**9)(text), _MAX_STREAMS)),
    "bufferSize": (
        "block_size",
        lambda text: min(max(_old_size(KIB)(text), _SMALLEST_BLOCK), _LARGEST_BLOCK),
    ),
}


def choose(given: Mapping[str, str], configured: Mapping[str, object] | None = None) -> Options:
    """Make Options of the command line's texts and of values that a configuration gave (already parsed).

    Names of the ancestor's options are welcome in `given`; a new spelling wins over an old one.  Raises UsageError
    that names the option and what is allowed.
    """
    chosen: dict[str, Any] = dict(configured or {})  # Any: each option has a type of its own
    for old, (name, parse) in _OLD_PARSERS.items():
        if old in given:
            chosen[name] = _parse(f"--{old}", parse, given[old])
    for name, parse in PARSERS.items():
        if name in given:
            chosen[name] = _parse(f"--{name.replace('_', '-')}", parse, given[name])
    policy = {part.name: chosen[part.name] for part in fields(Policy) if part.name in chosen}
    made = Policy(**policy)
    if made.contradiction:
        raise UsageError(made.contradiction, remedy="leave one of the two out, or change it")
    return Options(made, chosen.get("source_addresses", ()), chosen.get("destination_addresses", ()))


def find_meaningless(given: Mapping[str, str]) -> tuple[str, ...]:
    """Return those of the ancestor's options in `given` that are accepted and change nothing."""
    return tuple(f"--{name}" for name in MEANINGLESS if name in given)


def _parse(option: str, parse: Callable[[str], Any], text: str) -> Any:  # Any: see PARSERS
    try:
        return parse(text)
    except ValueError as exc:
        raise UsageError(f"{option}: {exc}") from exc
