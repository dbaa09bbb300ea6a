"""What a proof proves."""

from __future__ import annotations

from fdtd.mover.handshake import CONNECTOR, LISTENER, is_proven, prove

BASE = (b"s" * 32, CONNECTOR, b"j" * 16, 1, (b"a" * 32, b"b" * 32))


def test_the_same_facts_give_the_same_proof() -> None:
    assert is_proven(prove(*BASE), prove(*BASE))


def test_each_fact_matters() -> None:
    secret, role, job, stream, nonces = BASE
    others = [
        prove(b"t" * 32, role, job, stream, nonces),
        prove(secret, LISTENER, job, stream, nonces),
        prove(secret, role, b"k" * 16, stream, nonces),
        prove(secret, role, job, 2, nonces),
        prove(secret, role, job, stream, (nonces[1], nonces[0])),
    ]
    assert not any(is_proven(other, prove(*BASE)) for other in others)
    assert len(set(others)) == len(others)
