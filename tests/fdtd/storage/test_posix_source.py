"""What is special about sources on a POSIX file system; the rest is in tests/contract."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import PathRefused, SourceMissing, SourceNotAFile
from fdtd.storage.paths import Prefixes
from fdtd.storage.posix_source import PosixSources


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[PosixSources]:
    (tmp_path / "in").mkdir()
    with Prefixes([os.fsencode(tmp_path / "in")]) as prefixes:
        found = PosixSources(prefixes)
        yield found
        found.close()


def test_symlinks_are_followed_within_the_prefix_only(sources: PosixSources, tmp_path: Path) -> None:
    inside = tmp_path / "in"
    (inside / "real").mkdir()
    (inside / "real/file").write_bytes(b"x")
    (inside / "link").symlink_to("real")
    (tmp_path / "secret").write_bytes(b"x")
    (inside / "out").symlink_to("../secret")
    sources.open(os.fsencode(inside / "link/file")).close()
    with pytest.raises(PathRefused):
        sources.open(os.fsencode(inside / "out"))


def test_a_pipe_is_refused_without_waiting_for_its_writer(sources: PosixSources, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "in/pipe")
    with pytest.raises(SourceNotAFile, match="a pipe"):
        sources.open(os.fsencode(tmp_path / "in/pipe"))


def test_a_name_that_is_too_long_is_missing(sources: PosixSources, tmp_path: Path) -> None:
    with pytest.raises(SourceMissing):
        sources.open(os.fsencode(tmp_path / "in") + b"/" + b"x" * 300)


def test_a_directory_that_was_made_anew_is_found(sources: PosixSources, tmp_path: Path) -> None:
    path = tmp_path / "in/d/file"
    path.parent.mkdir()
    path.write_bytes(b"x")
    sources.open(os.fsencode(path)).close()
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(SourceMissing):
        sources.open(os.fsencode(path))
    path.parent.mkdir()
    path.write_bytes(b"x")
    sources.open(os.fsencode(path)).close()


def test_advice_that_nobody_takes_fails_nothing(
    sources: PosixSources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_values: int) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    (tmp_path / "in/file").write_bytes(b"x")
    source = sources.open(os.fsencode(tmp_path / "in/file"))
    monkeypatch.setattr("fdtd.storage.posix_source.allowed_memory", lambda: 0)
    monkeypatch.setattr(os, "posix_fadvise", refuse)
    source.passed(0, 1)
    source.close()
