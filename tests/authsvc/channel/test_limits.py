from __future__ import annotations

from authsvc.channel.limits import MAX_MESSAGE_BYTES, ChannelLimits


def test_the_defaults_fit_together() -> None:
    limits = ChannelLimits()
    assert limits.strangers_per_address < limits.strangers, "one address cannot fill the house"
    assert limits.connections_per_dn < limits.connections, "one user cannot fill the house"
    assert limits.handshake_s < limits.frame_s < limits.idle_s
    assert MAX_MESSAGE_BYTES == 4 * 1024 * 1024
