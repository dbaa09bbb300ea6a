"""An SQLite file of the daemon's own."""

from __future__ import annotations

import stat
from contextlib import closing
from pathlib import Path

import pytest

from fdtcp.errors import DestinationFull, Phase, Side
from fdtd.errors import StateFailed
from fdtd.state.database import Database, problem_text, read_problem

SCHEMA = "CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY);"


def test_what_was_written_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    with closing(Database(path, SCHEMA)) as one, one.transaction() as db:
        db.execute("INSERT INTO things VALUES ('a')")
    assert stat.S_IMODE((tmp_path / "db").stat().st_mode) == 0o640
    with closing(Database(path, SCHEMA)) as again:
        assert again.rows("SELECT name FROM things", ()) == [("a",)]


def test_a_transaction_is_whole_or_not_at_all(tmp_path: Path) -> None:
    with closing(Database(str(tmp_path / "db"), SCHEMA)) as one:
        with pytest.raises(StateFailed, match="cannot write"), one.transaction() as db:
            db.execute("INSERT INTO things VALUES ('a')")
            db.execute("INSERT INTO things VALUES ('a')")
        assert one.rows("SELECT * FROM things", ()) == []
        with pytest.raises(StateFailed, match="cannot read"):
            one.rows("SELECT * FROM nothing", ())


def test_columns_that_came_later_are_added_to_files_that_lack_them(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    with closing(Database(path, SCHEMA)) as one, one.transaction() as db:
        db.execute("INSERT INTO things VALUES ('a')")
    for _ in range(2):
        with closing(Database(path, SCHEMA, (("things", "note TEXT NOT NULL DEFAULT 'none'"),))) as later:
            assert later.rows("SELECT name, note FROM things", ()) == [("a", "none")]


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"x" * 4096)
    with pytest.raises(StateFailed, match=str(tmp_path / "db")):
        Database(str(tmp_path / "db"), SCHEMA)


def test_problems_are_kept_whole() -> None:
    problem = DestinationFull("no space").problem(Side.DESTINATION, Phase.COMMIT)
    assert read_problem(problem_text(problem)) == problem
    assert read_problem(problem_text(None)) is None
    with pytest.raises(StateFailed):
        read_problem("{}")
