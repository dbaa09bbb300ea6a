"""How both ends of a stream prove that they know the job's secret.

Decides what is proven: role, job, stream and both nonces, so that no answer can be used for another stream, in the
other direction or a second time.  The listener answers only after the connector's proof was right: it never signs for
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


def prove(secret: bytes, role: bytes, job: bytes, stream: int, nonces: tuple[bytes, bytes]) -> bytes:
    """Return the proof of `role` for one stream; `nonces` are (connector's, listener's)."""
    text = b"".join((_PURPOSE, role, job, stream.to_bytes(4, "big"), *nonces))
    return hmac.digest(secret, text, "sha256")


def is_proven(proof: bytes, expected: bytes) -> bool:
    """Compare two proofs in constant time."""
    return hmac.compare_digest(proof, expected)
