"""What is known of a batch in the hands of a thread."""

from __future__ import annotations

from fdtcp.model.order import DestinationFile
from fdtd.mover.batches import Batch
from fdtd.mover.frames import Entry
from fdtd.mover.room import Share


def test_a_batch_has_its_files_whichever_way_they_go() -> None:
    batch = Batch(3, lambda _batch: None, Share(0))
    content = memoryview(b"")
    batch.plain.append((Entry(1, 0, 0, 0), content, DestinationFile(1, b"/x", 0, 0, 0o644, b"")))
    batch.others.append((Entry(2, 0, 0, 0), content))
    assert batch.has_any({1, 9}) and batch.has_any({2}) and not batch.has_any({3})
