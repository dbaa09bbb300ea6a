"""The control socket."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from fdtd.errors import NotServing
from fdtd.operation.admin import SOCKET_NAME, ControlSocket, ask_rate, ask_status


def raw(directory: Path, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(10)
        sock.connect(str(directory / SOCKET_NAME))
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return sock.recv(65536)


def test_status_is_what_the_daemon_says_and_the_socket_goes_with_it(tmp_path: Path) -> None:
    with ControlSocket(str(tmp_path), {"status": lambda _: {"sessions": [1, 2]}}):
        assert ask_status(str(tmp_path)) == {"sessions": [1, 2]}
        assert stat.S_IMODE((tmp_path / SOCKET_NAME).stat().st_mode) == 0o660
    assert os.listdir(tmp_path) == []
    with pytest.raises(NotServing, match=SOCKET_NAME):
        ask_status(str(tmp_path))


def test_nonsense_is_answered_or_dropped_and_the_next_one_is_served(tmp_path: Path) -> None:
    with ControlSocket(str(tmp_path), {"status": lambda _: {"fine": True}}):
        assert b"unknown command" in raw(tmp_path, b'{"command": "reboot"}\n')
        assert b"unknown command" in raw(tmp_path, b"[]\n")
        for nonsense in (b"", b"status\n", b"{", b"[" * 4000 + b"\n", b"x" * 100_000):
            try:
                assert raw(tmp_path, nonsense) == b""
            except (BrokenPipeError, ConnectionResetError):
                pass  # it was dropped before it had said all
        assert ask_status(str(tmp_path)) == {"fine": True}


def test_the_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(tmp_path / SOCKET_NAME))
    with ControlSocket(str(tmp_path), {"status": lambda _: {"fine": True}}):
        assert ask_status(str(tmp_path)) == {"fine": True}


def test_a_command_gets_what_was_said_with_it_and_may_refuse(tmp_path: Path) -> None:
    said: list[object] = []

    def set_rate(command: Mapping[str, object]) -> dict[str, object]:
        said.append(command["rate"])
        if command["rate"] == 13:
            raise ValueError("not thirteen")
        return {"total_rate": command["rate"]}

    with ControlSocket(str(tmp_path), {"rate": set_rate}):
        assert ask_rate(str(tmp_path), 5) == {"total_rate": 5}
        with pytest.raises(NotServing, match="not thirteen"):
            ask_rate(str(tmp_path), 13)
        with pytest.raises(NotServing, match="there is: rate"):
            ask_status(str(tmp_path))
    assert said == [5, 13]


def test_a_command_that_fails_is_not_the_end_of_the_socket(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Mapping[str, object]) -> dict[str, object]:
        raise KeyError("a bug")

    with ControlSocket(str(tmp_path), {"status": lambda _: {"fine": True}, "fail": fail}):
        assert raw(tmp_path, b'{"command": "fail"}\n') == b""
        assert ask_status(str(tmp_path)) == {"fine": True}
    assert "event=control-failed" in caplog.text
