"""What a proof proves."""

from __future__ import annotations

from pathlib import Path

from fdtd.mover.handshake import CONNECTOR, LISTENER, READER, WRITER, is_proven, prove

BASE = (b"s" * 32, CONNECTOR + READER, b"j" * 16, 1, (b"a" * 32, b"b" * 32))


def test_the_same_facts_give_the_same_proof() -> None:
    assert is_proven(prove(*BASE), prove(*BASE))


def test_each_fact_matters() -> None:
    secret, role, job, stream, nonces = BASE
    others = [
        prove(b"t" * 32, role, job, stream, nonces),
        prove(secret, LISTENER + READER, job, stream, nonces),
        prove(secret, CONNECTOR + WRITER, job, stream, nonces),
        prove(secret, role, b"k" * 16, stream, nonces),
        prove(secret, role, job, 2, nonces),
        prove(secret, role, job, stream, (nonces[1], nonces[0])),
        prove(*BASE, b"f" * 32),
    ]
    assert not any(is_proven(other, prove(*BASE)) for other in others)
    assert len(set(others)) == len(others)


def test_the_protocol_document_shows_a_proof() -> None:
    text = (Path(__file__).parents[3] / "docs/protocol.md").read_text().replace(" ", "").replace("\n", "")
    nonces, secret = (b"\xaa" * 32, b"\xbb" * 32), bytes(range(32))
    proof = prove(secret, CONNECTOR + READER, bytes(range(16)), 1, nonces, b"\xcc" * 32)
    assert proof.hex() in text
    assert (b"fdt-data-1CR" + bytes(range(16)) + b"\0\0\0\1" + b"".join(nonces) + b"\xcc" * 32).hex() in text
