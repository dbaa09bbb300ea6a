from __future__ import annotations

import pytest

from authsvc.channel import Value
from authsvc.service_words import MAX_FQANS, Answer, Question
from fdtcp.errors import ProtocolViolation


def test_a_question_and_an_answer_come_through() -> None:
    question = Question("/CN=x", ("/cms/Role=production", "/cms"))
    assert Question.decode(question.encode()) == question
    assert Answer.decode(Answer(("alice", "atlas")).encode()) == Answer(("alice", "atlas"))
    assert Answer.decode(Answer(()).encode()) == Answer(())


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"dn": "/CN=x"},
        {"dn": "", "fqans": []},
        {"dn": 1, "fqans": []},
        {"dn": "/CN=x", "fqans": [1]},
        {"dn": "/CN=x", "fqans": [""]},
        {"dn": "/CN=x", "fqans": ["/" + "v" * 600]},
        {"dn": "/CN=x" * 1000, "fqans": []},
        {"dn": "/CN=x", "fqans": ["/v"] * (MAX_FQANS + 1)},
    ],
)
def test_a_question_of_another_form_is_a_violation(value: dict[str, Value]) -> None:
    with pytest.raises(ProtocolViolation):
        Question.decode(value)


@pytest.mark.parametrize("value", [{}, {"accounts": "root"}, {"accounts": [0]}, {"accounts": ["a" * 33]}])
def test_an_answer_of_another_form_is_a_violation(value: dict[str, Value]) -> None:
    with pytest.raises(ProtocolViolation):
        Answer.decode(value)
