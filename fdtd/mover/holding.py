"""One partial in the hands of a writer: its verified parts on their way into the journal.

Decides the order of a checkpoint: the bytes are made safe, then the journal says so, never the other way round; and
when a partial is worth keeping for a later attempt.
"""

from __future__ import annotations

import threading
import time
from dataclasses import field
from typing import Final

from fdtcp.errors import DestinationFull, FdtError
from fdtcp.model.order import Checksum, DestinationFile, Direct, Extent, KeptPartial
from fdtcp.value import dataclass
from fdtd.mover.frames import SMALL_FILE_BYTES
from fdtd.mover.journal import Identity, encode_anew, encode_records, encode_start, end_of
from fdtd.storage.base import Partial

# After these a later attempt can go on from what is safe; after all others the partial is worthless or suspect.
_WORTH_KEEPING: Final = frozenset(
    {"abandoned", "streams-lost", "data-connect-failed", "source-failed", "destination-full"}
)


@dataclass(slots=True)
class Holding:
    """What is open for one file.  `fresh` belongs to whoever holds the landing's lock."""

    file: DestinationFile
    partial: Partial
    has_journal: bool = False
    noted: list[Extent] = field(default_factory=list)  # what the journal says; belongs to whoever holds `busy`
    lost: FdtError | None = None  # what a sync has said; for good, because the kernel says it once
    fresh: list[Extent] = field(default_factory=list)  # verified, not in the journal
    checked: float = field(default_factory=time.monotonic)  # when the last checkpoint was made, or the first block came
    busy: threading.Lock = field(default_factory=threading.Lock)  # held by who uses the descriptor outside of a block
    is_reserved: bool = False  # its partial knows how long it will be

    def is_due(self, now: float, first_s: float, next_s: float) -> bool:
        """Whether there is something for the journal: `first_s` after the first block, `next_s` after a checkpoint."""
        return bool(self.fresh) and now - self.checked >= (next_s if self.has_journal else first_s)

    @property
    def may_continue(self) -> bool:
        """Whether a later attempt may go on with it, if there are sums of its parts."""
        return self.file.size > SMALL_FILE_BYTES and self.partial.is_resumable

    @property
    def safe(self) -> int:
        """How many bytes are in the journal."""
        return sum(extent.length for extent in self.noted)

    def reserve(self, direct: Direct) -> str:
        """Tell the partial, once, how long it will be; returns a word for the log if there is something to say.

        Raises DestinationFull, DestinationFailed.
        """
        if self.is_reserved:
            return ""
        self.is_reserved = True
        self.partial.reserve(self.file.size, direct)
        if self.partial.direct_bytes:
            return "direct"
        return "direct-refused" if direct is Direct.YES else ""

    def checkpoint(self, extents: list[Extent], checksum: Checksum) -> None:
        """Make `extents` safe and note them; call with `busy` held.  Raises DestinationFull, DestinationFailed."""
        try:
            self.partial.sync_data()
            data = encode_records(extents)
            if not self.has_journal:
                inode = self.partial.facts().identity[1]
                data = encode_start(Identity.of(self.file, checksum, inode)) + data
        except FdtError as exc:
            self.lost = self.lost or exc
            raise
        try:
            self.partial.append_journal(data)
        except DestinationFull:
            raise  # no byte is lost: what the journal said before holds, for when there is room again
        except FdtError as exc:
            self.lost = self.lost or exc
            raise
        self.has_journal = True
        self.noted += extents
        self.checked = time.monotonic()

    def forget(self, offset: int) -> None:
        """Make the journal say all that it says now but the part at `offset`; with `busy`.  Raises as `checkpoint`."""
        left = [extent for extent in self.noted if extent.offset != offset]
        try:
            self.partial.append_journal(encode_anew(left))
        except FdtError as exc:
            self.lost = self.lost or exc  # it may still vouch for that part: it must go, and its partial with it
            raise
        self.noted = left

    def let_go(self, code: str, *, may_keep: bool) -> KeptPartial | None:
        """Close, after the file failed with `code`; returns what stays."""
        kept = None
        if self.noted and self.lost is None and may_keep and code in _WORTH_KEEPING:
            kept = KeptPartial(self.partial.path, self.safe)
            self.partial.cut(end_of(self.noted))
        else:
            self.partial.remove()
        self.partial.close()
        return kept
