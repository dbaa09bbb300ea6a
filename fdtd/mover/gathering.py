"""Small files at the source: read into one buffer, one behind the other, with their checksums.

Decides what is plain: a file that is, after it was read, what pre-flight found.  That goes by a short way, which knows
no errors; with any other the long way finds out what is wrong, and says so.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from fdtcp.errors import FdtError, SourceChanged
from fdtd.mover.asking import Asking
from fdtd.mover.frames import Entry
from fdtd.mover.outbox import Outbox


def gather(outbox: Outbox, asking: Asking, files: Sequence[int], buffer: memoryview) -> tuple[list[Entry], int]:
    """Read these files into `buffer`; returns what to say of those that could be read, and how many bytes they are.

    The others have been given up.  Raises StreamBroken if the stream was.
    """
    entries: list[Entry] = []
    used = 0
    update, nothing = outbox.checksum.update, outbox.checksum.start
    with outbox.reading() as reading:
        for file, path, size, mtime_ns, ctime_ns in outbox.facts(files):
            view = buffer[used : used + size]
            asking.ask(file)
            if reading is None or reading.read(path, view) != (size, mtime_ns, ctime_ns):
                try:
                    _read(outbox, file, view)
                except FdtError as exc:
                    # If the stream was given up meanwhile, another one reads this file by now, and judges it.
                    asking.answered()
                    outbox.failed(file, exc)
                    continue
            entries.append(Entry(file, size, update(view, nothing), mtime_ns))
            used += size
    return entries, used


def _read(outbox: Outbox, file: int, view: memoryview) -> None:
    """Fill `view` with a file.  Raises SourceChanged and what opening raises."""
    source = outbox.open_alone(file)
    try:
        if view and source.read_into(view, 0) != len(view):
            raise SourceChanged(f"{os.fsdecode(outbox.path(file))} became shorter")
        facts = source.facts()
    finally:
        source.close()
    outbox.check_unchanged(file, facts)
