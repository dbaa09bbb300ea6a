"""The proxy that was lent to one job."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from authsvc.delegation import Delegated
from fdtd.detached.loan import Loan
from fdtd.errors import StateFailed

FIRST = Delegated(b"first", 100.0, limited=False)
SECOND = Delegated(b"second", 200.0, limited=False)


def test_there_is_a_file_as_long_as_the_job_runs(tmp_path: Path) -> None:
    loan = Loan(str(tmp_path), FIRST)
    (file,) = tmp_path.iterdir()
    assert (file.read_bytes(), loan.not_after, file.stat().st_mode & 0o777) == (b"first", 100.0, 0o600)
    assert loan.renew(SECOND)
    assert list(tmp_path.iterdir()) == [file]
    assert (file.read_bytes(), loan.not_after) == (b"second", 200.0)
    loan.end()
    assert not loan.renew(FIRST)
    assert os.listdir(tmp_path) == []


def test_a_proxy_that_cannot_be_renewed_stays_as_it_is(tmp_path: Path) -> None:
    directory = tmp_path / "proxies"
    directory.mkdir()
    loan = Loan(str(directory), FIRST)
    directory.rename(tmp_path / "moved")
    with pytest.raises(StateFailed):
        loan.renew(SECOND)
    assert loan.not_after == 100.0
    (tmp_path / "moved").rename(directory)
    assert Path(loan.credential.cert_path).read_bytes() == b"first"


def test_a_file_that_went_by_itself_is_only_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    loan = Loan(str(tmp_path), FIRST)
    os.unlink(loan.credential.key_path)
    loan.end()
    assert "event=proxy-stays" in caplog.text
