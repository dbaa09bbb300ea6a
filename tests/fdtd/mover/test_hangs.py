"""What is on a device that hangs."""

from __future__ import annotations

from fdtcp.errors import DestinationHangs
from fdtd.mover.hangs import Hangs

ERROR = DestinationHangs("x")


def test_what_hangs_is_all_of_a_device_and_nothing_else() -> None:
    hangs = Hangs()
    for above, device in ((b"/a", 1), (b"/b", 2), (b"/a/c", 1), (b"/d", 2)):
        hangs.note_site(above, device)
    assert hangs.error_of(b"/b/file") is None
    hangs.note(b"/b/file", ERROR)
    hangs.note(b"/d/file", DestinationHangs("y"))
    assert [hangs.error_of(path) for path in (b"/a/1", b"/a/c/1", b"/b/1", b"/d/1")] == [None, None, ERROR, ERROR]
    assert hangs.first is ERROR and hangs.devices == {2: ERROR}


def test_a_directory_that_was_made_anew_is_where_it_is_now() -> None:
    hangs = Hangs()
    for above, device in ((b"/a", 1), (b"/b", 2), (b"/b", 1)):
        hangs.note_site(above, device)
    assert hangs.device_of(b"/a/file") == hangs.device_of(b"/b/file") == 1
