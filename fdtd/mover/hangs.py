"""File systems at the destination that do not answer any more.

Decides what a hang is about: not one file, but all that is on the same device, because whoever asks there next hangs as
well.  Which device a file is on was found in pre-flight, when it still answered; to ask now would be to hang.
"""

from __future__ import annotations

from fdtcp.errors import DestinationHangs


class Hangs:
    """Which device each directory is on, and what hangs; methods may be called from any thread."""

    def __init__(self) -> None:
        self.first: DestinationHangs | None = None
        self._usual: int | None = None  # the device that was seen first: most jobs know no other
        self._others: dict[bytes, int] = {}  # by directory, those that are on another one
        self.devices: dict[int | None, DestinationHangs] = {}  # those that hang

    def note_site(self, above: bytes, device: int) -> None:
        """Note on which device the files of a directory are."""
        if self._usual is None:
            self._usual = device
        if device != self._usual:
            self._others[above] = device
        elif self._others:
            self._others.pop(above, None)

    def device_of(self, path: bytes) -> int | None:
        """Return the device of a file whose directory was seen."""
        return self._device_in(path.rpartition(b"/")[0])

    def note(self, path: bytes, error: DestinationHangs) -> None:
        """Note that the device of a file hangs, for good: nobody shall wait for it again and again."""
        self.first = self.first or error
        self.devices.setdefault(self.device_of(path), error)

    def error_of(self, path: bytes) -> DestinationHangs | None:
        """Return what is to be said of a file whose device hangs; None of all others."""
        return self.error_in(path.rpartition(b"/")[0]) if self.devices else None

    def error_in(self, above: bytes) -> DestinationHangs | None:
        """Return what is to be said of all files of a directory."""
        return self.devices.get(self._device_in(above))

    def _device_in(self, above: bytes) -> int | None:
        return self._others.get(above, self._usual)
