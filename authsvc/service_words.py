"""The question that a daemon asks the site's account service, and the answer.

Decides their form and bounds, for both ends.  The one call is `accounts`: a name and the FQANs that the daemon has
verified in, all accounts that they may use out.  Which of them is used is the daemon's decision, under its own floor:
so one answer serves every request of that caller, and a service that is taken over still cannot make anybody root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fdtcp.errors import ProtocolViolation
from fdtcp.value import dataclass

if TYPE_CHECKING:
    from authsvc.channel import Value

CALL: Final = "accounts"
# Ours to choose, next to fdtd's 8444.
DEFAULT_PORT: Final = 8445
# Longer than any name that a certificate of a real CA has.
MAX_DN: Final = 4096
# A member of every group of a large VO has some 50.
MAX_FQANS: Final = 256
MAX_FQAN: Final = 512
# What one line of a map can hold is less.
MAX_ACCOUNTS: Final = 4096


@dataclass(frozen=True, slots=True)
class Question:
    """Who called the daemon: DN of his end-entity certificate, FQANs in the VO's order."""

    dn: str
    fqans: tuple[str, ...]

    def encode(self) -> dict[str, Value]:
        """Return the question as plain values."""
        return {"dn": self.dn, "fqans": list(self.fqans)}

    @classmethod
    def decode(cls, value: dict[str, Value]) -> Question:
        """Read what `encode` made.  Raises ProtocolViolation."""
        match value:
            case {"dn": str(dn), "fqans": list(fqans)} if 0 < len(dn) <= MAX_DN and len(fqans) <= MAX_FQANS:
                return cls(dn, _texts(fqans, MAX_FQAN))
        raise ProtocolViolation("a question for accounts has a dn and fqans")


@dataclass(frozen=True, slots=True)
class Answer:
    """The accounts that he may use, the default first; none if the site does not know him."""

    accounts: tuple[str, ...]

    def encode(self) -> dict[str, Value]:
        """Return the answer as plain values."""
        return {"accounts": list(self.accounts)}

    @classmethod
    def decode(cls, value: dict[str, Value]) -> Answer:
        """Read what `encode` made.  Raises ProtocolViolation."""
        match value:
            case {"accounts": list(accounts)} if len(accounts) <= MAX_ACCOUNTS:
                # 32 is what the kernel and useradd allow for a name.
                return cls(_texts(accounts, 32))
        raise ProtocolViolation("an answer of the account service has a list of accounts")


def _texts(values: list[Value], longest: int) -> tuple[str, ...]:
    texts = tuple(value for value in values if isinstance(value, str) and 0 < len(value) <= longest)
    if len(texts) != len(values):
        raise ProtocolViolation("a list of names holds something else, or a name that is too long")
    return texts
