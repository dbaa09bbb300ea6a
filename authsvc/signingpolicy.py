r"""`<hash>.signing_policy`: which names a CA may sign, in the form that Globus and all IGTF packages use.

Decides what is a policy, what is a malformed one, and whether a name is allowed by it.  Where the file is and what a
missing one means is `authsvc.authorities`'.  Pure.

    access_id_CA   X509     '/DC=org/DC=example/CN=Example CA'
    pos_rights     globus   CA:sign
    cond_subjects  globus   '"/DC=org/DC=example/*" "/O=Example/*"'

`*` stands for any characters, `?` for one.  Case and the spellings of attributes (Email, emailAddress) do not count, as
they do not in a grid-mapfile: what is one DN there must be one DN here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from authsvc.dn import fold
from fdtcp.value import dataclass

_INNER: Final = re.compile(r'\s*+"(?P<pattern>[^"]*+)"\s*+')
# With thousands of stars a pattern would take hours to match; those of IGTF have one or two.
MAX_STARS: Final = 16
MAX_PATTERN_CHARS: Final = 1024


@dataclass(frozen=True, slots=True)
class SigningPolicy:
    """What one file says: for each CA (folded DN) the patterns of the subjects that it may sign."""

    subjects: dict[str, tuple[re.Pattern[str], ...]]

    def allows(self, ca_dn: str, subject_dn: str) -> bool:
        """Say whether the CA may sign this subject."""
        folded = fold(subject_dn)
        return any(pattern.fullmatch(folded) for pattern in self.subjects.get(fold(ca_dn), ()))

    def names(self, ca_dn: str) -> bool:
        """Say whether the file speaks of this CA at all."""
        return fold(ca_dn) in self.subjects


def parse(text: str) -> SigningPolicy:
    """Read a policy.  Raises ValueError that begins with the number of the bad line.

    Anything that is not understood is bad, negative rights too: a rule that is skipped could have been the one that
    keeps a CA within its bounds.
    """
    subjects: dict[str, tuple[re.Pattern[str], ...]] = {}
    ca_dn, may_sign, last = "", False, 0
    for number, keyword, kind, value in _lines(text):
        last = number
        match keyword, kind:
            case "access_id_CA", "X509":
                _require_complete(ca_dn, subjects, number)
                ca_dn, may_sign = fold(_dn(value, number)), False
                if ca_dn in subjects:
                    raise ValueError(f"line {number}: this CA has been named before")
            case "pos_rights", "globus" if ca_dn:
                # A CA may have other rights besides, on lines of their own; only signing is about us.
                may_sign = may_sign or _unquoted(value, number) == "CA:sign"
            case "cond_subjects", "globus" if may_sign and ca_dn not in subjects:
                subjects[ca_dn] = tuple(_patterns(value, number))
            case (("pos_rights" | "cond_subjects"), "globus"):
                raise ValueError(f"line {number}: {keyword} stands where it may not")
            case _:
                raise ValueError(f"line {number}: {keyword} {kind} is not understood")
    _require_complete(ca_dn, subjects, last)
    if not subjects:
        raise ValueError("line 1: no CA is named")
    return SigningPolicy(subjects)


def _lines(text: str) -> Iterator[tuple[int, str, str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        words = stripped.split(None, 2)
        if len(words) != 3:
            raise ValueError(f"line {number}: a keyword, a kind and a value are needed")
        yield number, words[0], words[1], words[2]


def _require_complete(ca_dn: str, subjects: dict[str, tuple[re.Pattern[str], ...]], number: int) -> None:
    if ca_dn and ca_dn not in subjects:
        raise ValueError(f"line {number}: the CA before has no cond_subjects")


def _dn(value: str, number: int) -> str:
    text = _unquoted(value, number)
    if not text.startswith("/"):
        raise ValueError(f"line {number}: {text!r} is not a DN: it must begin with a slash")
    return text


def _unquoted(value: str, number: int) -> str:
    """Take the quotes away, and a comment after them."""
    quote = value[0]
    if quote not in "'\"":
        content, *others = value.split(None, 1)
        rest = "".join(others)
    else:
        end = value.find(quote, 1)
        if end < 0:
            raise ValueError(f"line {number}: the quote is not closed")
        content, rest = value[1:end], value[end + 1 :]
    if rest.strip() and not rest.strip().startswith("#"):
        raise ValueError(f"line {number}: {rest.strip()!r} follows where nothing may")
    return content


def _patterns(value: str, number: int) -> Iterator[re.Pattern[str]]:
    text = _unquoted(value, number)
    found = [text.strip()]
    if '"' in text:
        if not re.fullmatch(f"(?:{_INNER.pattern.replace('?P<pattern>', '?:')})+", text):
            raise ValueError(f"line {number}: the subjects are not in matching quotes")
        found = [match["pattern"] for match in _INNER.finditer(text)]
    for pattern in found:
        if not pattern.startswith(("/", "*")):
            raise ValueError(f"line {number}: {pattern!r} is not the pattern of a DN")
        if pattern.count("*") > MAX_STARS or len(pattern) > MAX_PATTERN_CHARS:
            raise ValueError(f"line {number}: a pattern is too complicated")
        yield _compile(fold(pattern))


def _compile(pattern: str) -> re.Pattern[str]:
    # Each star but the last matches as little as possible and never gives back: linear, whatever a name looks like.
    pieces = re.split(r"\*+", pattern)
    first, *rest = (re.escape(piece).replace(r"\?", ".") for piece in pieces)
    if not rest:
        return re.compile(first, re.DOTALL)
    middle = "".join(f"(?>.*?{piece})" for piece in rest[:-1])
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL)
