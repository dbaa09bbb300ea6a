"""What holds for every test: a skip in CI is a failure, and no test leaves a process behind."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Generator, Iterator

import psutil
import pytest

IN_CI = os.environ.get("CI") == "true"
_PR_SET_CHILD_SUBREAPER = 36
# A mover may take its two seconds to flush and go; but no signal ends a sync that the kernel is in, and on a busy disk
# that has been seen to take ten.
_GONE_WITHIN_S = 40.0


def pytest_configure() -> None:
    """Become the parent of orphans, so that a daemon's left-over child is seen as ours."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a subreaper")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs root for others."""
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],  # noqa: ARG001  # the hook's signature
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure in CI: a test that did not run has not passed."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {item.nodeid}: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def leaves_no_process() -> Iterator[None]:
    """Fail a test after which a process is still there that was not there before."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    deadline = time.monotonic() + _GONE_WITHIN_S
    while left := [child for child in psutil.Process().children(recursive=True) if child.pid not in before]:
        for child in left:
            _reap(child)
        alive = [child for child in left if child.is_running()]
        if not alive:
            return
        if time.monotonic() > deadline:
            names = [_describe(child) for child in alive]
            for child in alive:
                child.kill()
            pytest.fail(f"left behind: {'; '.join(names)}")
        psutil.wait_procs(alive, timeout=0.05)


def _reap(child: psutil.Process) -> None:
    """Collect an adopted orphan's exit status; a child that subprocess waits for is none of ours by now."""
    try:
        if child.status() == psutil.STATUS_ZOMBIE:
            os.waitpid(child.pid, os.WNOHANG)
    except (psutil.NoSuchProcess, ChildProcessError):
        pass


def _describe(child: psutil.Process) -> str:
    try:
        return f"{child.pid} {' '.join(child.cmdline())[:200]}"
    except psutil.Error:
        return str(child.pid)
