"""One lab CA for all tests of authsvc, and a real acceptor on a port of the kernel's choice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.authsvc.listening import Listening
from tests.helpers.pki import Pki

# The machine is shared: how long an example takes says nothing about the code.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Make the CA; hosts, users and proxies are made when a test asks for them."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def listening(pki: Pki) -> Iterator[Listening]:
    """Listen on 127.0.0.2 as a daemon would; everything is closed and joined afterwards."""
    with Listening(pki) as running:
        yield running
