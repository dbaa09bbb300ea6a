"""Which paths a daemon hands to its movers at all.

Decides the early refusal of what is obviously not allowed, so that a user hears of it in pre-flight.  It looks at the
text only: fdtd never opens, stats or lists a user's path.  The mover enforces the same prefixes at every open, where
symlinks show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from fdtcp.errors import PathRefused, Phase, Problem, Side
from fdtd.storage.names import partial_name

# Linux: limits.h; with its final zero byte.
PATH_MAX: Final = 4096
NAME_MAX: Final = 255
# Memory tests read and write these; they are the movers' own back end, not files.
DEVICES: Final = {Side.SOURCE: b"/dev/zero", Side.DESTINATION: b"/dev/null"}
# What stands behind the last slash of no file's path.
_NO_NAMES: Final = frozenset({b"", b".", b".."})


@dataclass(frozen=True, slots=True)
class PathPolicy:
    """The prefixes below which one side of a transfer may work."""

    side: Side
    prefixes: tuple[bytes, ...]
    # What the caller's bearer token leaves to him: these paths and all below them.  None: he brought no token.
    scopes: tuple[bytes, ...] | None = None

    @classmethod
    def of(cls, side: Side, prefixes: Sequence[str]) -> PathPolicy:
        """Make the policy from directories as text."""
        return cls(side, tuple(prefix.encode("utf-8", "surrogateescape") for prefix in prefixes))

    def limited_to(self, scopes: tuple[bytes, ...] | None) -> PathPolicy:
        """Return the policy under which also the caller's token must allow a path."""
        return replace(self, scopes=scopes)

    def refusal(self, path: bytes) -> Problem | None:
        """Return why this path is refused, or None."""
        why = self._why_not(path)
        if why is None:
            return None
        return PathRefused(f"{path[:200].decode('utf-8', 'replace')!r} {why}").problem(self.side, Phase.PREFLIGHT)

    def refusals(self, paths: Sequence[bytes]) -> dict[int, Problem]:
        """Return the places of those that are refused, and why; files of one directory are judged by it together."""
        if _are_plain(paths) and all(map(self._allows_all_in, {path.rpartition(b"/")[0] for path in paths})):
            return {}
        refused: dict[int, Problem] = {}
        known: dict[bytes, bool] = {}
        for place, path in enumerate(paths):
            directory, _, name = path.rpartition(b"/")
            if (is_open := known.get(directory)) is None:
                is_open = known[directory] = self._allows_all_in(directory)
            is_plain = name not in _NO_NAMES and len(name) <= NAME_MAX and len(path) < PATH_MAX and b"\0" not in name
            if not (is_open and is_plain) and (problem := self.refusal(path)) is not None:
                refused[place] = problem
        return refused

    def _allows_all_in(self, directory: bytes) -> bool:
        """Say whether any file right in this directory may be used; a path that is allowed alone is not enough."""
        parts = split_path(directory)
        if not directory.startswith(b"/") or b"\0" in directory or b".." in parts:
            return False
        if any(len(part) > NAME_MAX for part in parts):
            return False
        is_below = any(parts[: len(above)] == above for above in map(split_path, self.prefixes))
        if not is_below or self.scopes is None:
            return is_below
        return any(parts[: len(above)] == above for above in map(split_path, self.scopes))

    def _why_not(self, path: bytes) -> str | None:
        if not path.startswith(b"/"):
            return "is not absolute"
        if b"\0" in path or len(path) >= PATH_MAX:
            return "cannot be a file's name"
        parts = split_path(path)
        if not parts or path.endswith(b"/"):
            return "is a directory's name"
        if b".." in parts:
            return "has a .. in it"
        if any(len(part) > NAME_MAX for part in parts):
            return "has a name of more than 255 bytes in it"
        is_device = path == DEVICES[self.side]
        if not is_device and not any(_is_below(parts, prefix) for prefix in self.prefixes):
            return "is not below a directory that the site allows"
        # Memory tests touch no path; a token that allows nothing on this side does not allow them either.
        if self.scopes is None or (is_device and self.scopes):
            return None
        if any(parts[: len(above)] == above for above in map(split_path, self.scopes)):
            return None
        return "is not within what the bearer token allows"


def _are_plain(paths: Sequence[bytes]) -> bool:
    """Whether all of them end in a name, and in none that is too long."""
    text = b"\0".join((*paths, b""))
    is_odd = any(end + b"\0" in text for end in (b"/", b"/.", b"/.."))
    return not is_odd and text.count(b"\0") == len(paths) and max(map(len, paths), default=0) <= NAME_MAX


def split_path(path: bytes) -> list[bytes]:
    """Return the components, without those that say nothing: two spellings of one path compare equal."""
    return [part for part in path.split(b"/") if part not in (b"", b".")]


def partial_path(destination: bytes) -> bytes:
    """Return where the mover keeps the unfinished `destination`, in one spelling."""
    *directory, name = split_path(destination)
    return b"/" + b"/".join([*directory, partial_name(name)])


def is_covered(scopes: tuple[bytes, ...] | None, by: tuple[bytes, ...] | None) -> bool:
    """Say whether all that a token with `scopes` allows is allowed `by` another, too; None is no token: everything."""
    if by is None:
        return True
    above = [split_path(one) for one in by]
    return all(
        any(parts[: len(one)] == one for one in above)
        for parts in map(split_path, (b"/",) if scopes is None else scopes)
    )


def _is_below(parts: list[bytes], prefix: bytes) -> bool:
    above = split_path(prefix)
    return parts[: len(above)] == above and len(parts) > len(above)
