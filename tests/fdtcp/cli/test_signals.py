from __future__ import annotations

import os
import signal

import pytest

from fdtcp.cli.signals import Signals


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_each_signal_sets_the_flag_and_nothing_else(number: int) -> None:
    before = {number: signal.getsignal(number) for number in (1, 2, 3, 15)}
    try:
        signals = Signals()
        assert not signals.is_caught()
        os.kill(os.getpid(), number)
        assert signals.is_caught()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
