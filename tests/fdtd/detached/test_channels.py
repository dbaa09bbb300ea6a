"""How a detached job reaches its two daemons."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Sequence

import pytest

from authsvc.credentials import Credential
from authsvc.errors import ChannelLost, CredentialExpired
from fdtcp.contract import About, AboutReply, Reply, Request, decode_reply, encode_request
from fdtcp.detached import PeerName, Terms
from fdtcp.errors import RemoteProblem, Side, Unreachable
from fdtcp.lines import Channel
from fdtcp.model.order import Policy
from fdtcp.model.pfn import Address
from fdtd.detached.channels import LocalChannel, Openings
from fdtd.errors import UnknownSession
from fdtd.site.config import Network
from tests.authsvc.listening import Listening
from tests.helpers.pki import Pki

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]
HERE = AboutReply("1", 1, "here", ())


def answer(_request: Request) -> Reply:
    return HERE


class Lent:
    """A loan without a file of its own."""

    def __init__(self, credential: Credential, not_after: float) -> None:
        self.credential = credential
        self.not_after = not_after


def openings(
    pki: Pki, sources: Sequence[Network] = LOOPBACK, *, not_after: float | None = None, peers: tuple[PeerName, ...] = ()
) -> Openings:
    until = time.time() + 60 if not_after is None else not_after
    loan = Lent(pki.proxy, until)
    return Openings(answer, loan, pki.certificates, Terms(Policy(), peers=peers), sources)  # type: ignore[arg-type]  # it has what is used of one


def open_source(one: Openings, host: str, port: int) -> Channel:
    return one.open(Side.SOURCE, Address(host, port), time.monotonic() + 10)


def test_the_destinations_end_stays_in_the_process(pki: Pki) -> None:
    channel = openings(pki).open(Side.DESTINATION, Address("nowhere.invalid", 1), 0.0)
    assert decode_reply(About(), channel.call(*encode_request(About()), 1.0)) == HERE
    channel.close()
    with pytest.raises(ChannelLost):
        channel.call(*encode_request(About()), 1.0)


def test_refusals_and_bugs_of_our_own_end_are_problems_as_over_the_network(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_request: Request) -> Reply:
        raise UnknownSession("no such job")

    def fail(_request: Request) -> Reply:
        raise KeyError("secret")

    with pytest.raises(RemoteProblem) as caught:
        LocalChannel(refuse).call(*encode_request(About()), 1.0)
    assert caught.value.remote.code == "unknown-session"
    with pytest.raises(RemoteProblem) as caught:
        LocalChannel(fail).call(*encode_request(About()), 1.0)
    assert "secret" not in str(caught.value)
    assert "secret" in caplog.text


def test_the_source_sees_the_user(pki: Pki) -> None:
    with Listening(pki) as listening:
        channel = open_source(openings(pki), *listening.address)
        assert channel.call("echo", {"x": 1}, 5.0) == {"x": 1}
        channel.close()
        assert listening.callers[0].identity.dn == pki.user_dn


def test_a_host_may_be_known_by_its_dn(pki: Pki) -> None:
    with Listening(pki) as listening:
        host, port = listening.address
        known = openings(pki, peers=(PeerName(host, "/O=fdt-test/CN=localhost"),))
        open_source(known, host, port).close()
        with pytest.raises(Exception, match="not /O=fdt-test/CN=other"):
            open_source(openings(pki, peers=(PeerName(host, "/O=fdt-test/CN=other"),)), host, port)


@pytest.mark.parametrize("sources", [[], [ipaddress.ip_network("10.0.0.0/8")]])
def test_this_host_connects_only_where_the_site_lets_it(
    pki: Pki, sources: list[Network], caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:
        address = listener.getsockname()
        with pytest.raises(Unreachable) as refused:
            open_source(openings(pki, sources), *address)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert "event=source-refused" in caplog.text
    # Whoever asks cannot tell a forbidden address from a closed port.
    with pytest.raises(Unreachable) as closed:
        open_source(openings(pki), *address)
    assert "127.0.0.2" in refused.value.reason
    assert refused.value.reason == closed.value.reason


def test_services_of_the_system_are_not_called(pki: Pki) -> None:
    with pytest.raises(Unreachable):
        open_source(openings(pki), "127.0.0.1", 22)


def test_an_ended_proxy_opens_nothing_until_it_is_renewed(pki: Pki) -> None:
    one = openings(pki, not_after=time.time() - 1)
    with Listening(pki) as listening:
        with pytest.raises(CredentialExpired, match="delegated"):
            open_source(one, *listening.address)
        one.loan.not_after = time.time() + 60
        open_source(one, *listening.address).close()
