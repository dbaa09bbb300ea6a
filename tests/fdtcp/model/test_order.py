from __future__ import annotations

from fdtcp.model.order import Connect, Listen


def test_a_secret_is_not_shown() -> None:
    assert "secret" not in repr(Listen((), (), b"top secret"))
    assert "secret" not in repr(Connect((), (), b"top secret"))
