"""How both ends of a stream prove that they know the job's secret.

Decides what is proven: who connected and who reads, job, stream, both nonces and the listener's certificate if there
is one, so that no answer can be used for another stream, in the other direction, by the other role, outside of its
encryption or a second time.  The listener answers only after the connector's proof was right: it never signs for
strangers.  Pure: nonces come from the caller.

    connector                listener
    HELLO(job, nonce)  ->
                       <-    CHALLENGE(nonce)
    AUTH(proof)        ->
                       <-    AUTH(proof)
"""

from __future__ import annotations

import hmac
from typing import Final

_PURPOSE: Final = b"fdt-data-1"
CONNECTOR: Final = b"C"
LISTENER: Final = b"L"
READER: Final = b"R"
WRITER: Final = b"W"


def prove(
    secret: bytes, end: bytes, job: bytes, stream: int, nonces: tuple[bytes, bytes], fingerprint: bytes = b""
) -> bytes:
    """Return the proof of one `end` of a stream.

    `end` is CONNECTOR or LISTENER and then READER or WRITER, `nonces` are (connector's, listener's), `fingerprint` is
    that of the listener's certificate, empty for a stream that is not encrypted.
    """
    text = b"".join((_PURPOSE, end, job, stream.to_bytes(4, "big"), *nonces, fingerprint))
    return hmac.digest(secret, text, "sha256")


def is_proven(proof: bytes, expected: bytes) -> bool:
    """Compare two proofs in constant time."""
    return hmac.compare_digest(proof, expected)
