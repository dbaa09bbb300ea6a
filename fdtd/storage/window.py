"""From blocks in any order to bytes in one order, within a bounded amount of memory.

Decides when bytes may go to a storage that cannot take them back: after their block was verified (a flipped bit costs a
block that is sent again; what is appended already cannot be), and after all bytes before them.  Until then pieces wait
here.  The reader keeps within the window (docs/decisions/0040), so nothing ever has to wait for room: whoever does not
keep to it fails the file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from fdtcp.errors import FdtError, ProtocolViolation

# Eight blocks of the default size: enough for the block that is sent again after a flipped bit and for those that four
# streams have under way meanwhile; over 50 ms it lets 640 MB/s through.  What is held in order is one block a stream.
WINDOW_BYTES: Final = 32 << 20


class Window:
    """The bytes of one file between the streams and an `append` that takes them from the first to the last."""

    def __init__(self, append: Callable[[bytes], None], size: int = WINDOW_BYTES) -> None:
        self._append = append
        self._size = size
        self._lock = threading.Lock()  # for what is below; never held while the storage works
        self._order = threading.Lock()  # held by the thread that appends
        self._pieces: dict[int, bytes] = {}
        self._held = 0
        self._verified: dict[int, int] = {}  # offset: length
        self._error: FdtError | None = None
        self.position = 0  # how much has been appended

    def write(self, view: memoryview, offset: int) -> None:
        """Hold a piece of a block that is not verified yet; a piece at the same offset is replaced.

        Raises ProtocolViolation for a sender who does not keep to the window, and what an earlier append raised.
        """
        piece = bytes(view)
        with self._lock:
            if self._error is not None:
                raise self._error
            held = self._held + len(piece) - len(self._pieces.get(offset, b""))
            if offset < self.position or offset + len(piece) > self.position + self._size or held > self._size:
                raise ProtocolViolation(
                    f"bytes at {offset}, where the storage takes them in order and is at {self.position}:"
                    f" the source runs ahead by more than {self._size}"
                )
            self._pieces[offset] = piece
            self._held = held

    def accept(self, offset: int, length: int) -> None:
        """Take a block for good, and append all that is in order now.  Raises what the storage raises."""
        with self._order:
            with self._lock:
                if self._error is not None:
                    raise self._error
                self._verified[offset] = length
            try:
                while (block := self._next_block()) is not None:
                    for piece in block:
                        self._append(piece)
                        with self._lock:
                            self.position += len(piece)
            except FdtError as exc:
                with self._lock:
                    self._error = exc
                    self._drop()
                raise

    def drop(self) -> None:
        """Forget all that is held: the file has failed, or is complete."""
        with self._lock:
            self._drop()

    def _next_block(self) -> list[bytes] | None:
        with self._lock:
            if (length := self._verified.pop(self.position, None)) is None:
                return None
            pieces = []
            at = self.position
            while at < self.position + length:
                piece = self._pieces.pop(at)
                pieces.append(piece)
                at += len(piece)
            self._held -= length
            # Pieces of blocks that broke off and came again cut otherwise are left over behind us.
            for stale in [offset for offset in self._pieces if offset < at]:
                self._held -= len(self._pieces.pop(stale))
            return pieces

    def _drop(self) -> None:
        self._pieces.clear()
        self._verified.clear()
        self._held = 0
