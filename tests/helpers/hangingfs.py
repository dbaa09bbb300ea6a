"""A file system in which reads of a file hang in the kernel, as on a dead NFS mount: FUSE, spoken by hand.

A directory with regular files of zeros.  Files whose name begins with "dead" can be looked at and opened; who reads one
waits until the file system is taken away.  So does who asks for what it does not answer at all (`silent`).
linux/fuse.h has the structures.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import threading
from collections.abc import Sequence, Set
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _RELEASE, _FLUSH, _INIT, _BATCH_FORGET = 1, 2, 3, 14, 15, 18, 25, 26, 42
STATFS, OPENDIR = 17, 27
_ENOENT, _ENOSYS = 2, 38
_ROOT: Final = 1
# As with NFS: who waits for a page can be killed.
_ASYNC_READ: Final = 1
_IN: Final = struct.Struct("=IIQQIIII")
_OUT: Final = struct.Struct("=IiQ")
_ATTR: Final = struct.Struct("=6Q10I")
_VALID_S: Final = 3600
_MNT_DETACH: Final = 2
_MTIME: Final = 1_000_000_000


class HangingFs:
    """Mounted at `at`, which is made; a context manager.  For root."""

    def __init__(self, at: Path, names: Sequence[str], size: int, silent: Set[int] = frozenset()) -> None:
        self.at = at
        self._silent = silent
        self._names = [os.fsencode(name) for name in names]
        self._size = size
        self._device = -1
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._thread = threading.Thread(target=self._serve, name="hanging file system", daemon=True)

    def __enter__(self) -> HangingFs:
        self.at.mkdir()
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if self._libc.mount(b"hanging", os.fsencode(self.at), b"fuse", 0, options) != 0:
            os.close(self._device)
            raise OSError(ctypes.get_errno(), "mounting a FUSE file system")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.take_away()
        self._thread.join(10)
        os.close(self._device)

    def take_away(self) -> None:
        """Let go of whoever still hangs, with an error; reading the device ends, too.

        Who waits for an answer to anything but a read cannot be killed before.
        """
        self._libc.umount2(os.fsencode(self.at), 1 | _MNT_DETACH)

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, 1 << 20)
            except OSError:
                return  # it is not mounted any more
            _, opcode, unique, node, *_ = _IN.unpack_from(request)
            if opcode in (_FORGET, _BATCH_FORGET):
                continue
            answer = self._answer(opcode, node, request[_IN.size :])
            if answer is not None:
                body, error = (answer, 0) if isinstance(answer, bytes) else (b"", -answer)
                with suppress(FileNotFoundError):  # whoever asked is gone by now
                    os.write(self._device, _OUT.pack(_OUT.size + len(body), error, unique) + body)

    def _answer(self, opcode: int, node: int, body: bytes) -> bytes | int | None:
        """Return the answer's body, an errno, or None for no answer at all."""
        if opcode in self._silent:
            return None
        if opcode == _INIT:
            return struct.pack("=4I2H2I2H8I", 7, 31, 0, _ASYNC_READ, 16, 12, 1 << 17, 1, 32, 0, *[0] * 8)
        if opcode == _LOOKUP:
            name = body.rstrip(b"\0")
            if name not in self._names:
                return _ENOENT
            inode = self._names.index(name) + 2
            return struct.pack("=4Q2I", inode, 0, _VALID_S, _VALID_S, 0, 0) + self._attributes(inode)
        if opcode == _GETATTR:
            return struct.pack("=Q2I", _VALID_S, 0, 0) + self._attributes(node)
        if opcode == _OPEN:
            return struct.pack("=Q2I", 0, 0, 0)
        if opcode == _READ:
            _, offset, size = struct.unpack_from("=QQI", body)
            is_dead = self._names[node - 2].startswith(b"dead")
            return None if is_dead else bytes(max(0, min(size, self._size - offset)))
        return b"" if opcode in (_RELEASE, _FLUSH) else _ENOSYS

    def _attributes(self, inode: int) -> bytes:
        mode, size = (stat.S_IFDIR | 0o755, 0) if inode == _ROOT else (stat.S_IFREG | 0o644, self._size)
        times = (_MTIME, _MTIME, _MTIME, 0, 0, 0)
        return _ATTR.pack(inode, size, size // 512, *times, mode, 1, 0, 0, 0, 4096, 0)
