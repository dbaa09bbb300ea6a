"""What strangers can do to a listening daemon: be silent, drip, flood, talk something else."""

from __future__ import annotations

import errno
import logging
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from authsvc.channel import Acceptor, ChannelLimits, Connection
from authsvc.channel import acceptor as acceptor_module
from authsvc.credentials import Credential
from authsvc.errors import AddressTaken, BadCredential, BadTrust
from fdtcp.errors import BadSettings, RemoteProblem
from tests.authsvc.listening import (
    Listening,
    receive_hello,
    say_hello,
    send_text,
    wait_closed,
)
from tests.helpers.pki import Pki

IMPATIENT = ChannelLimits(handshake_s=0.4, frame_s=0.4)


def test_a_silent_stranger_is_shown_out_after_the_handshakes_time(pki: Pki) -> None:
    with Listening(pki, limits=IMPATIENT) as listening, listening.stranger() as stranger:
        assert wait_closed(stranger) == pytest.approx(0.4, abs=0.4)


def test_dripping_bytes_buy_no_time(pki: Pki) -> None:
    with Listening(pki, limits=IMPATIENT) as listening, listening.stranger() as stranger:
        start = time.monotonic()
        stranger.settimeout(0.05)
        closed = False
        # A TLS record that claims 512 bytes, one byte at a time.
        for byte in b"\x16\x03\x01\x02\x00\x01" + bytes(500):
            try:
                stranger.sendall(bytes([byte]))
                closed = stranger.recv(64) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                closed = True
            if closed:
                break
        assert closed
        assert time.monotonic() - start < 2.0


def test_a_dripped_hello_buys_no_time_either(pki: Pki) -> None:
    with Listening(pki, limits=IMPATIENT) as listening, listening.tls(pki.proxy) as tls:
        tls.sendall(b"\0\0\0\x40{")
        assert wait_closed(tls) < 2.0
        assert not listening.callers


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"PYRO\x01\xf6" + bytes(60),
        b"\0" * 100,
        b"SSH-2.0-x\r\n",
    ],
)
def test_plain_text_on_the_tls_port_ends_the_connection(text: bytes, listening: Listening) -> None:
    with listening.stranger() as stranger:
        stranger.sendall(text)
        assert wait_closed(stranger) < 3.0
    with listening.open() as connection:
        assert connection.call("echo", {"x": 1}, 5) == {"x": 1}


def test_known_callers_get_in_past_sixty_silent_strangers(listening: Listening) -> None:
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(listening.stranger())
        start = time.monotonic()
        first = stack.enter_context(listening.open())
        second = stack.enter_context(listening.open())
        assert first.call("echo", {"n": 1}, 5) == {"n": 1}
        assert second.call("echo", {"n": 2}, 5) == {"n": 2}
        assert first.call("echo", {"n": 3}, 5) == {"n": 3}
        assert time.monotonic() - start < 1.0


def test_a_full_house_of_strangers_makes_the_oldest_one_leave(pki: Pki) -> None:
    limits = ChannelLimits(handshake_s=30, strangers=10, strangers_per_address=8)
    with Listening(pki, limits=limits) as listening, ExitStack() as stack:
        strangers = [stack.enter_context(listening.stranger()) for _ in range(20)]
        with listening.open() as connection:
            assert connection.call("echo", {}, 5) == {}
        for stranger in strangers[:12]:
            assert wait_closed(stranger) < 5.0
        strangers[-1].settimeout(0.05)
        with pytest.raises(TimeoutError):
            strangers[-1].recv(1)


def test_one_user_cannot_hold_all_connections(pki: Pki) -> None:
    with Listening(pki, limits=ChannelLimits(connections_per_dn=2)) as listening, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(listening.open())
        with pytest.raises(RemoteProblem, match="as many as one user may") as refused:
            listening.open()
        assert refused.value.remote.code == "too-many-connections"
        assert refused.value.remote.retryable
        other = pki.make_user("Another One")
        listening.mapped["/O=fdt-test/CN=Another One"] = ("bob",)
        assert stack.enter_context(listening.open(other)).hello.account == "bob"


def test_all_together_cannot_hold_more_than_the_limit(pki: Pki) -> None:
    with ExitStack() as stack:
        listening = stack.enter_context(Listening(pki, limits=ChannelLimits(connections=1)))
        stack.enter_context(listening.open())
        with pytest.raises(RemoteProblem, match="all 1 connections are in use"):
            listening.open()


def test_an_unmapped_user_is_told_so(pki: Pki, listening: Listening) -> None:
    stranger = pki.make_user("Nobody Here")
    with pytest.raises(RemoteProblem, match="/O=fdt-test/CN=Nobody Here is not in the grid-mapfile") as refused:
        listening.open(stranger)
    assert refused.value.remote.code == "not-mapped"
    assert refused.value.remote.status == 3


def test_a_requested_account_must_be_in_the_map(listening: Listening) -> None:
    with listening.open(account="atlas") as connection:
        assert connection.hello.account == "atlas"
    with pytest.raises(RemoteProblem, match="may not use the account 'root'"):
        listening.open(account="root")


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"account": 7, "version": "x"}', b"\xff\xfe", b"[" * 5000])
def test_a_hello_that_makes_no_sense_is_answered_and_ends_the_connection(text: bytes, listening: Listening) -> None:
    with listening.tls(listening.pki.proxy) as tls:
        send_text(tls, text)
        answer = receive_hello(tls)
        assert answer["ok"] is False
        assert "protocol-violation" in str(answer["error"])
        assert wait_closed(tls) < 3.0


def test_a_huge_hello_is_refused_before_it_is_read(listening: Listening) -> None:
    with listening.tls(listening.pki.proxy) as tls:
        tls.sendall(b"\xff\xff\xff\xff")
        assert "over the limit" in str(receive_hello(tls)["error"])


def test_an_authoriser_that_crashes_lets_nobody_in_and_tells_no_details(
    listening: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    listening.mapped = None  # type: ignore[assignment]  # the bug
    with caplog.at_level(logging.ERROR, "authsvc.channel"), pytest.raises(RemoteProblem, match="incident") as refused:
        listening.open()
    assert refused.value.remote.code == "internal"
    assert "NoneType" not in refused.value.remote.reason
    incident = refused.value.remote.reason.split()[-1]
    assert incident in caplog.text
    assert "NoneType" in caplog.text


def test_a_second_daemon_on_the_same_port_is_told_which_one_is_taken(pki: Pki, listening: Listening) -> None:
    host, port = listening.address
    second = Acceptor(
        listen=[("127.0.0.3", 0), (host, port)],
        credential=pki.host,
        ca_dir=pki.certificates,
        authorise=lambda _identity, _account: "x",
        handler_for=lambda _caller: lambda _name, argument: argument,
        version="x",
    )
    with pytest.raises(AddressTaken, match=f"already listens on {host} port {port}"):
        second.start()
    second.stop()


def test_an_address_that_this_host_does_not_have_is_a_clear_error(pki: Pki) -> None:
    with pytest.raises(BadSettings, match=r"cannot listen on 192\.0\.2\.1 port"), Listening(pki, host="192.0.2.1"):
        pass


def test_ipv6_is_served(pki: Pki) -> None:
    with Listening(pki, host="::1") as listening, listening.open() as connection:
        assert connection.peer_address == "::1"
        assert listening.callers[0].peer == "::1"


def test_a_daemon_does_not_start_without_certificate_or_cas(pki: Pki, tmp_path: object) -> None:
    with pytest.raises(BadCredential, match="No such file"):
        Listening(pki, credential=Credential(f"{tmp_path}/none.pem", f"{tmp_path}/none.key"))
    other = Pki(f"{tmp_path}/other")
    other.certificates = f"{tmp_path}"
    with pytest.raises(BadTrust, match="holds none"):
        Listening(other, credential=pki.host)


def test_stopping_ends_strangers_idle_callers_and_running_calls(pki: Pki) -> None:
    entered, release = threading.Event(), threading.Event()

    def wait(argument: dict[str, object]) -> dict[str, object]:
        entered.set()
        release.wait(10)
        return argument

    with Listening(pki) as listening, ExitStack() as stack:
        listening.calls["wait"] = wait  # type: ignore[assignment]  # plain values all the same
        stranger = stack.enter_context(listening.stranger())
        idle = stack.enter_context(listening.greeted())
        busy: Connection = stack.enter_context(listening.open())
        failures: list[BaseException] = []
        caller = threading.Thread(target=lambda: failures.append(_failure_of(busy)))
        caller.start()
        assert entered.wait(5)
        stopper = threading.Thread(target=listening.acceptor.stop)
        stopper.start()
        assert wait_closed(stranger) < 3.0
        assert wait_closed(idle) < 3.0
        caller.join(10)  # before its call may end by itself: whose connection is closed last, nobody promises
        release.set()
        stopper.join(10)
        assert [type(failure).__name__ for failure in failures] == ["ChannelLost"]
        listening.acceptor = _stopped(listening.acceptor)


def _failure_of(connection: Connection) -> BaseException:
    try:
        connection.call("wait", {}, 10)
    except Exception as exc:  # noqa: BLE001  # whichever it is, the test wants to see it
        return exc
    return AssertionError("the call was answered")


def _stopped(acceptor: Acceptor) -> Acceptor:
    acceptor.stop()  # stopping twice does no harm
    return acceptor


def test_a_credential_that_ends_ends_the_connection(pki: Pki, listening: Listening) -> None:
    short = pki.make_proxy("short", hours=2.5 / 3600)
    with listening.tls(short) as tls:
        say_hello(tls)
        assert receive_hello(tls)["ok"] is True
        assert wait_closed(tls) < 4.0


def test_an_idle_caller_is_shown_out(pki: Pki) -> None:
    with Listening(pki, limits=ChannelLimits(idle_s=0.3)) as listening, listening.greeted() as tls:
        assert wait_closed(tls) == pytest.approx(0.3, abs=0.5)


def test_a_renewed_host_certificate_counts_from_the_next_connection_on(tmp_path: object) -> None:
    pki = Pki(f"{tmp_path}/pki")
    credential = pki.make_host("127.0.0.2")
    with Listening(pki, credential=credential) as listening:
        with listening.tls(pki.proxy) as before:
            old = before.getpeercert(binary_form=True)
        pki.make_host("127.0.0.2")
        with listening.tls(pki.proxy) as after:
            assert after.getpeercert(binary_form=True) != old


def test_a_ca_removed_while_running_lets_nobody_in_any_more(tmp_path: object) -> None:
    pki, other = Pki(f"{tmp_path}/pki"), Pki(f"{tmp_path}/other", organisation="other")
    with Listening(pki) as listening:
        listening.mapped[other.user_dn] = ("bob",)
        assert listening.verdict(other.proxy)[0] == "tls"
        name = _copy_ca(other, pki)
        assert listening.verdict(other.proxy) == ("ok", other.user_dn)
        name.unlink()
        assert listening.verdict(other.proxy)[0] == "tls"
        assert listening.verdict(pki.proxy)[0] == "ok"


def _copy_ca(source: Pki, target: Pki) -> Path:
    (found,) = Path(source.certificates).glob("*.0")
    copy = Path(target.certificates, found.name)
    copy.write_bytes(found.read_bytes())
    policy = found.with_suffix(".signing_policy")
    copy.with_suffix(policy.suffix).write_bytes(policy.read_bytes())
    return copy


class _Exhausted:
    """A listener of a process that has no descriptors left."""

    def accept(self) -> None:
        raise OSError(errno.EMFILE, "Too many open files")


def test_running_out_of_descriptors_is_said_and_survived(
    listening: Listening, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor_module, "_EXHAUSTED_PAUSE_S", 0.01)
    with caplog.at_level(logging.ERROR, "authsvc.channel"):
        listening.acceptor._accept(_Exhausted())  # type: ignore[arg-type]  # all of a socket that is used
    assert "cannot accept: Too many open files" in caplog.text
    with listening.open() as connection:
        assert connection.call("echo", {}, 5) == {}
