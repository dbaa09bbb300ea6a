"""One partial in the hands of a writer: its verified parts on their way into the journal.

Decides the order of a checkpoint: the bytes are made safe, then the journal says so, never the other way round; and
when a partial is worth keeping for a later attempt.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from fdtcp.model.order import Checksum, DestinationFile, Extent, KeptPartial
from fdtd.mover.journal import Identity, encode_anew, encode_records, encode_start
from fdtd.storage.base import Partial

# After these a later attempt can go on from what is safe; after all others the partial is worthless or suspect.
_WORTH_KEEPING: Final = frozenset(
    {"abandoned", "streams-lost", "data-connect-failed", "source-failed", "destination-full"}
)


@dataclass(slots=True)
class Holding:
    """What is open for one file.  `fresh` and `safe` belong to whoever holds the landing's lock."""

    file: DestinationFile
    partial: Partial
    has_journal: bool = False
    safe: int = 0  # bytes in the journal
    fresh: list[Extent] = field(default_factory=list)  # verified, not in the journal
    checked: float = field(default_factory=time.monotonic)  # when the last checkpoint was made, or the first block came
    busy: threading.Lock = field(default_factory=threading.Lock)  # held by who uses the descriptor outside of a block

    def is_due(self, now: float, first_s: float, next_s: float) -> bool:
        """Whether there is something for the journal: `first_s` after the first block, `next_s` after a checkpoint."""
        return bool(self.fresh) and now - self.checked >= (next_s if self.has_journal else first_s)

    def checkpoint(self, extents: list[Extent], checksum: Checksum) -> None:
        """Make `extents` safe and note them; call with `busy` held.  Raises DestinationFull, DestinationFailed."""
        self.partial.sync_data()
        data = encode_records(extents)
        if not self.has_journal:
            inode = self.partial.facts().identity[1]
            data = encode_start(Identity.of(self.file, checksum, inode)) + data
        self.partial.append_journal(data)
        self.has_journal = True
        self.safe += sum(extent.length for extent in extents)
        self.checked = time.monotonic()

    def keep_only(self, extents: list[Extent]) -> None:
        """Make the journal say `extents` and nothing else; call with `busy` held.  Raises as `checkpoint`."""
        self.safe = 0  # if the journal cannot be written it must go, and its partial with it
        self.partial.append_journal(encode_anew(extents))
        self.safe = sum(extent.length for extent in extents)

    def let_go(self, code: str, *, may_keep: bool) -> KeptPartial | None:
        """Close, after the file failed with `code`; returns what stays."""
        kept = None
        if self.safe and may_keep and code in _WORTH_KEEPING:
            kept = KeptPartial(self.partial.path, self.safe)
        else:
            self.partial.remove()
        self.partial.close()
        return kept
