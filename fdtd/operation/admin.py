"""Local administration: a UNIX socket that says what the daemon is doing, and takes commands about it.

Decides who may ask (the socket's mode: the daemon's account and its group; the kernel names the asker in the log) and
how: one JSON object a line, `{"command": "status"}`, answered by one line.  Which commands there are is the daemon's.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from fdtcp.errors import BadSettings
from fdtd.errors import NotServing

_log: Final = logging.getLogger("fdtd.admin")

SOCKET_NAME: Final = "control.sock"
SOCKET_MODE: Final = 0o660
# A command is a word; a status has some 300 bytes for each session.
MAX_REQUEST_BYTES: Final = 4096
# The asker is a program on this host; in this time it has written its line or never will.
REQUEST_TIMEOUT_S: Final = 2.0
STATUS_TIMEOUT_S: Final = 5.0
_PEER_CREDENTIALS: Final = struct.Struct("3i")

Status = dict[str, object]
Command = Callable[[Mapping[str, object]], Status]


class ControlSocket:
    """The daemon's end; a context manager, because it owns the socket's file and a thread."""

    def __init__(self, run_dir: str, commands: Mapping[str, Command]) -> None:
        """Take commands by name; each gets the whole request, and raises ValueError for what it does not understand."""
        self._path = os.path.join(run_dir, SOCKET_NAME)
        self._commands = commands
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)

    def __enter__(self) -> ControlSocket:
        """Bind.  The state directory's lock is held by now, so a file that is there belongs to a dead daemon."""
        try:
            if os.path.lexists(self._path):
                os.unlink(self._path)
            # Bound under another name, so that nobody meets it before it has its mode.
            fresh = f"{self._path}.{os.getpid()}"
            self._listener.bind(fresh)
            os.chmod(fresh, SOCKET_MODE)
            os.rename(fresh, self._path)
        except OSError as exc:
            self._listener.close()
            raise BadSettings(f"[service] run_dir: cannot make {self._path}: {exc}") from exc
        self._listener.listen()
        # Wakes the thread now and then, to see that the daemon leaves.
        self._listener.settimeout(0.2)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join(REQUEST_TIMEOUT_S + STATUS_TIMEOUT_S)
        self._listener.close()
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass  # an administrator has cleaned up

    def _serve(self) -> None:
        while not self._leaving.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError as exc:
                _log.error("event=control-accept-failed reason=%r", str(exc))
                self._leaving.wait(REQUEST_TIMEOUT_S)
                continue
            with connection:
                try:
                    self._answer(connection)
                except (OSError, ValueError, RecursionError) as exc:
                    _log.info("event=control-lost reason=%r", str(exc))
                except Exception:  # noqa: BLE001  # the boundary of the thread: the next one is to be answered
                    _log.exception("event=control-failed")

    def _answer(self, connection: socket.socket) -> None:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
        pid, uid, _ = _PEER_CREDENTIALS.unpack(raw)
        command = json.loads(_read_line(connection, REQUEST_TIMEOUT_S))
        _log.info("event=control command=%.100r uid=%d pid=%d", command, uid, pid)
        reply = json.dumps(self._obey(command)).encode() + b"\n"
        # What reading left of its time may be nothing.
        connection.settimeout(REQUEST_TIMEOUT_S)
        connection.sendall(reply)

    def _obey(self, command: object) -> Status:
        word = command.get("command") if isinstance(command, dict) else None
        if not isinstance(command, dict) or not isinstance(word, str) or word not in self._commands:
            return {"error": f"unknown command; there is: {', '.join(self._commands)}"}
        try:
            return self._commands[word](command)
        except ValueError as exc:
            return {"error": str(exc)}


def ask_status(run_dir: str) -> Status:
    """Ask the daemon that runs there what it does.  Raises NotServing."""
    return _ask(run_dir, {"command": "status"})


def ask_rate(run_dir: str, rate: int) -> Status:
    """Have the daemon that runs there move at most so many bytes per second, 0: no limit.  Raises NotServing."""
    return _ask(run_dir, {"command": "rate", "rate": rate})


def _ask(run_dir: str, command: Mapping[str, object]) -> Status:
    path = os.path.join(run_dir, SOCKET_NAME)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(STATUS_TIMEOUT_S)
            sock.connect(path)
            sock.sendall(json.dumps(command).encode() + b"\n")
            reply = json.loads(_read_line(sock, STATUS_TIMEOUT_S, most=64 << 20))
    except (OSError, ValueError) as exc:
        raise NotServing(f"no fdtd answers at {path}: {exc}") from exc
    assert isinstance(reply, dict)
    if "error" in reply:
        raise NotServing(f"the fdtd at {path} refuses: {reply['error']}")
    return reply


def _read_line(sock: socket.socket, timeout: float, most: int = MAX_REQUEST_BYTES) -> bytes:
    deadline = time.monotonic() + timeout
    data = bytearray()
    while not data.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or len(data) > most:
            raise ValueError("no line within the limits of time and length")
        sock.settimeout(left)
        piece = sock.recv(65536)
        if not piece:
            raise ValueError("the connection was closed within a line")
        data += piece
    return bytes(data)
