"""What a site lets users choose about a transfer.

Decides what becomes of a user's policy: kept, completed by the site's defaults, or refused.  A policy has no "not
said": the value that the contract's `Policy` has by default counts as not said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from fdtcp.errors import OptionRefused, Phase, Side
from fdtcp.model.order import Direct, Policy, Sync, Verify
from fdtcp.model.policy import Encrypt

# A stall shorter than this is the network's normal life; a longer one than an hour is no detection at all.
TIMEOUTS_S: Final = (0.5, 3600.0)
# No site limits this one: it bounds the memory test only.
MAX_ZERO_SIZE: Final = 1 << 50
# Bytes per second; more than any number that a message can carry.
UNLIMITED: Final = 1 << 63
# Options of which 0 means: as much as it goes.
BOUNDS: Final = ("rate_limit", "readers", "writers")
_UNSAID: Final = Policy()

Word = TypeVar("Word", Sync, Direct, Verify)


@dataclass(frozen=True, slots=True)
class Limit:
    """The site's word on one option: from `min` to `max`, `default` if not said; may users choose at all."""

    min: int
    max: int
    default: int
    overridable: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """The site's word on an option that is a word: what it is if not said; may users choose at all."""

    default: str
    overridable: bool


@dataclass(frozen=True, slots=True)
class EncryptLimit(Choice):
    """The site's word on encrypted streams: off, on or required; the other site has one, too."""

    @property
    def is_forbidden(self) -> bool:
        """Whether this site never encrypts."""
        return self.default == "off" and not self.overridable

    def settle(self, wanted: Encrypt) -> Encrypt:
        """Return whether this end asks for it.  Raises OptionRefused."""
        site = Encrypt.NO if self.default == "off" else Encrypt.YES
        if wanted is Encrypt.SITE or wanted is site:
            return site
        if self.default == "required" or not self.overridable:
            verb = "requires" if site is Encrypt.YES else "does not allow"
            raise OptionRefused(f"the site {verb} encrypted streams", phase=Phase.PREPARE)
        return wanted


@dataclass(frozen=True, slots=True)
class ReverseLimit:
    """The site's word on `--reverse` where it is the source (and would listen), and where it is the destination.

    Each is allowed, refused or required; `accounts` are those that may have it where it is allowed, empty: all.
    """

    source: str
    destination: str
    accounts: tuple[str, ...]

    @property
    def contradiction(self) -> str:
        """What cannot be meant; "" if all of it can."""
        if self.accounts and "allowed" not in (self.source, self.destination):
            return "accounts say who may, and nobody has the choice"
        return ""

    def check(self, side: Side, account: str, *, is_wanted: bool) -> None:
        """Refuse what this end does not do for that account.  Raises OptionRefused."""
        word = self.source if side is Side.SOURCE else self.destination
        does = "listens" if side is Side.SOURCE else "connects to the source"
        if is_wanted and word == "refused":
            raise OptionRefused(f"the site of the {side} does not allow reverse: it never {does}", phase=Phase.PREPARE)
        if is_wanted and word == "allowed" and self.accounts and account not in self.accounts:
            raise OptionRefused(
                f"the site of the {side} does not allow reverse to the account {account}", phase=Phase.PREPARE
            )
        if not is_wanted and word == "required":
            raise OptionRefused(
                f"the site of the {side} requires reverse: as {side} it always {does}",
                remedy="say --reverse",
                phase=Phase.PREPARE,
            )


@dataclass(frozen=True, slots=True)
class Limits:
    """The site's word on all options that have one.

    Of `rate_limit`, `readers` and `writers` 0 is the most, no bound: so is a `max` of 0.
    """

    streams: Limit
    block_size: Limit
    rate_limit: Limit
    buffer_size: Limit
    readers: Limit
    writers: Limit
    sync: Choice
    direct: Choice
    verify: Choice
    encrypt: EncryptLimit
    reverse: ReverseLimit

    def apply(self, wanted: Policy) -> Policy:
        """Return the policy under which the job will run.  Raises OptionRefused.

        Not what depends on who wants it for which end: `reverse` has a check of its own.
        """
        _check_others(wanted)
        chosen = replace(
            wanted,
            streams=_settle("streams", self.streams, wanted.streams, _UNSAID.streams),
            most_streams=self.streams.max,
            block_size=_settle("block_size", self.block_size, wanted.block_size, _UNSAID.block_size),
            buffer_size=_settle("buffer_size", self.buffer_size, wanted.buffer_size, _UNSAID.buffer_size),
            rate_limit=_settle_bound("rate_limit", self.rate_limit, wanted.rate_limit),
            readers=_settle_bound("readers", self.readers, wanted.readers),
            writers=_settle_bound("writers", self.writers, wanted.writers),
            sync=_settle_word("sync", self.sync, wanted.sync, _UNSAID.sync),
            direct=_settle_word("direct", self.direct, wanted.direct, _UNSAID.direct),
            verify=_settle_word("verify", self.verify, wanted.verify, _UNSAID.verify),
            encrypt=self.encrypt.settle(wanted.encrypt),
        )
        if chosen.contradiction:
            raise OptionRefused(chosen.contradiction, phase=Phase.PREPARE)
        return chosen

    def cut_rate(self, wanted: int) -> int:
        """Return the rate at which a running job goes on when that is wanted.

        A lower one than the site lets users choose is kept to as well: it may be what the other end's site allows.
        """
        limit = self.rate_limit
        usual = limit.default or limit.max
        most = limit.max if limit.overridable else usual
        return min(wanted, most or UNLIMITED) if wanted else usual


def _settle(name: str, limit: Limit, wanted: int, unsaid: int) -> int:
    if wanted == unsaid:
        return limit.default
    if not limit.overridable and wanted != limit.default:
        raise OptionRefused(f"the site does not let users choose {name}", phase=Phase.PREPARE)
    if not limit.min <= wanted <= limit.max:
        raise OptionRefused(
            f"{name} {wanted} is outside of what the site allows, {limit.min} to {limit.max}", phase=Phase.PREPARE
        )
    return wanted


def _settle_bound(name: str, limit: Limit, wanted: int) -> int:
    """Settle an option of which 0, no bound, is the most and not the least."""
    if wanted == 0:
        return limit.default or limit.max
    return _settle(name, replace(limit, max=limit.max or UNLIMITED), wanted, 0)


def _settle_word(name: str, choice: Choice, wanted: Word, unsaid: Word) -> Word:
    site = type(unsaid)(choice.default)
    if wanted in (unsaid, site):
        return site
    if not choice.overridable:
        raise OptionRefused(f"the site does not let users choose {name}: it is {site}", phase=Phase.PREPARE)
    return wanted


def _check_others(wanted: Policy) -> None:
    """Options without a key of their own in [limits]: refuse what could not mean anything."""
    low, high = TIMEOUTS_S
    for name in ("stall_timeout", "connect_timeout"):
        # Written so that NaN fails too.
        if not low <= getattr(wanted, name) <= high:
            raise OptionRefused(f"{name} must be {low:g} to {high:g} seconds", phase=Phase.PREPARE)
    if wanted.stream_rate < 0:
        raise OptionRefused("stream_rate cannot be less than 0", phase=Phase.PREPARE)
    if not 0 <= wanted.zero_size <= MAX_ZERO_SIZE:
        raise OptionRefused(f"zero_size must be 0 to {MAX_ZERO_SIZE} bytes", phase=Phase.PREPARE)
    if not re.fullmatch(r"[a-z0-9_]{0,15}", wanted.congestion):
        raise OptionRefused("congestion is not the name of a TCP congestion control", phase=Phase.PREPARE)
