from __future__ import annotations

import pytest

from authsvc.channel.incident import note_incident


def test_the_peer_gets_an_id_and_the_log_gets_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise RuntimeError("the secret is 12345")
    except RuntimeError as exc:
        error = note_incident("call='x'", exc)
    incident = error.reason.split()[-1]
    assert "12345" not in str(error)
    assert f"incident={incident} call='x'" in caplog.text
    assert "the secret is 12345" in caplog.text
    assert "Traceback" in caplog.text
