from __future__ import annotations

from dataclasses import dataclass

import pytest

from fdtcp.errors import ProtocolViolation
from fdtcp.model.calls import CallTable


@dataclass(frozen=True)
class Ask:
    what: str


@dataclass(frozen=True)
class Answer:
    number: int


TABLE = CallTable[Ask, Answer]({"ask": (Ask, Answer)})


def test_a_call_and_its_answer_survive_the_way() -> None:
    name, argument = TABLE.encode_request(Ask("?"))
    assert (name, argument) == ("ask", {"what": "?"})
    request = TABLE.decode_request(name, argument)
    assert TABLE.decode_reply(request, TABLE.encode_reply(Answer(42))) == Answer(42)


def test_what_is_not_in_the_table_is_a_violation() -> None:
    assert "tell" not in TABLE
    with pytest.raises(ProtocolViolation, match="tell"):
        TABLE.decode_request("tell", {})
