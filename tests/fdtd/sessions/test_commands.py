"""The words between the session and its shell."""

from __future__ import annotations

from typing import get_args

from fdtcp.model.order import Listen
from fdtd.sessions import commands


def test_every_command_of_the_module_belongs_to_the_vocabulary() -> None:
    defined = {thing for thing in vars(commands).values() if getattr(thing, "__module__", "") == commands.__name__}
    assert defined == set(get_args(commands.Command))


def test_a_secret_does_not_show_when_a_command_is_printed() -> None:
    assert "s3cret" not in repr(commands.Send(Listen(("127.0.0.1",), (1,), b"s3cret")))
