"""Where movers' logs go."""

from __future__ import annotations

import re

from fdtcp.model.order import Role
from fdtd.live.tools import transfer_log


def test_a_listing_of_the_logs_is_in_order_of_time() -> None:
    path = transfer_log("/var/log/fdtd", "a" * 32, Role.WRITER)
    assert re.fullmatch(r"/var/log/fdtd/transfers/\d{8}T\d{6}Z-a{32}-writer\.log", path)
