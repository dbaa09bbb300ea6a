"""The times of an ending."""

from __future__ import annotations

from fdtd.sessions.patience import HURRY, Patience


def test_a_daemon_that_leaves_waits_less_at_every_step() -> None:
    usual = Patience(client_grace=30.0)
    assert HURRY.client_grace == 0.0
    assert all(getattr(HURRY, step) < getattr(usual, step) for step in ("stop", "cut", "terminate"))
