"""The daemon's log file."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest

from fdtcp.errors import BadSettings
from fdtd.operation.logs import logging_to
from fdtd.site.config import ServiceSettings, load_config


def service(directory: Path) -> ServiceSettings:
    return replace(load_config("").service, log_dir=str(directory))


def test_lines_carry_time_level_and_event(tmp_path: Path) -> None:
    with logging_to(service(tmp_path)):
        logging.getLogger("fdtd").info("event=%s", "ready")
        logging.getLogger("fdtd").debug("event=noise")
    line = (tmp_path / "fdtd.log").read_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    fdtd event=ready\n", line)


def test_a_rotated_log_is_followed_without_a_signal(tmp_path: Path) -> None:
    with logging_to(service(tmp_path)):
        logging.getLogger("fdtd").info("before")
        (tmp_path / "fdtd.log").rename(tmp_path / "fdtd.log.1")
        logging.getLogger("fdtd").info("after")
    assert "after" in (tmp_path / "fdtd.log").read_text()
    assert "after" not in (tmp_path / "fdtd.log.1").read_text()


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="log_dir"), logging_to(service(tmp_path / "nowhere")):
        raise AssertionError("not reached")
