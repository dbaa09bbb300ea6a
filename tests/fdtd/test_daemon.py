"""The pieces that hold the daemon together; the whole is tested in tests/functional."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fdtcp.errors import BadSettings, Side
from fdtd.daemon import Signals, locked, make_directories, path_policies
from fdtd.errors import AlreadyRunning
from fdtd.site.config import Settings, load_config


def settings_below(directory: Path) -> Settings:
    settings = load_config("")
    names = {name: str(directory / name) for name in ("log_dir", "state_dir", "run_dir")}
    return replace(settings, service=replace(settings.service, **names))  # type: ignore[arg-type]  # three texts


@contextmanager
def restored_handlers() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_signals_set_flags_and_end_the_wait() -> None:
    with restored_handlers(), Signals() as signals:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGHUP)).start()
        begun = time.monotonic()
        signals.wait(20.0)
        assert time.monotonic() - begun < 10.0
        assert signals.leave_when_idle and not signals.leave_now
        os.kill(os.getpid(), signal.SIGTERM)
        signals.wait(20.0)
        assert signals.leave_now


def test_a_state_directory_has_one_daemon(tmp_path: Path) -> None:
    with (
        locked(str(tmp_path)),
        pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"),
        locked(str(tmp_path)),
    ):
        raise AssertionError("not reached")
    with locked(str(tmp_path)):
        pass


def test_missing_directories_are_made_for_the_daemon_only(tmp_path: Path) -> None:
    make_directories(settings_below(tmp_path))
    assert (tmp_path / "log_dir" / "transfers").is_dir()
    assert (tmp_path / "state_dir").stat().st_mode & 0o007 == 0


def test_a_directory_that_cannot_be_made_is_told_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "state_dir").write_text("a file")
    with pytest.raises(BadSettings, match="state_dir"):
        make_directories(settings_below(tmp_path))


def test_users_may_say_where_a_prefix_leads(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    settings = load_config("")
    linked = replace(settings, paths=replace(settings.paths, write=(str(tmp_path / "link"),)))
    policy = path_policies(linked)[Side.DESTINATION]
    for name in ("real", "link"):
        assert policy.refusal(os.fsencode(tmp_path / name / "f")) is None
    assert policy.refusal(os.fsencode(tmp_path / "f")) is not None
