"""What our client makes of honest daemons, of wrong ones, and of hostile ones."""

from __future__ import annotations

import datetime as dt
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest

from authsvc.channel import Connection
from authsvc.credentials import Credential
from authsvc.errors import (
    BadCredential,
    BadTrust,
    ChannelLost,
    CredentialExpired,
    CredentialRefused,
    NotAuthentic,
)
from fdtcp.errors import FdtError, Phase, RemoteProblem, Side, Unreachable
from tests.authsvc.hostile import Forge, Plan
from tests.authsvc.listening import HOST, Listening
from tests.helpers.pki import Pki


def open_at(pki: Pki, address: tuple[str, int], *, patience_s: float = 5) -> Connection:
    return Connection.open(
        *address,
        credential=pki.proxy,
        ca_dir=pki.certificates,
        deadline=time.monotonic() + patience_s,
    )


def test_hello_says_who_one_is_and_calls_are_answered(pki: Pki, listening: Listening) -> None:
    with listening.open() as connection:
        assert (connection.hello.dn, connection.hello.account) == (pki.user_dn, "alice")
        assert (connection.hello.limited, connection.hello.version) == (False, "7.0")
        assert connection.peer_address == HOST
        assert connection.call("echo", {"path": b"\xff/\n", "n": 1 << 60}, 5) == {"path": b"\xff/\n", "n": 1 << 60}


def test_a_connection_may_be_used_from_other_threads(listening: Listening) -> None:
    answers: list[object] = []
    with listening.open() as connection:
        threads = [
            threading.Thread(target=lambda n=n: answers.append(connection.call("echo", {"n": n}, 5))) for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
    assert sorted(answer["n"] for answer in answers) == list(range(8))  # type: ignore[index]  # echoes


def test_an_unanswered_call_ends_in_time_and_closes_the_connection(listening: Listening) -> None:
    hold = threading.Event()
    listening.calls["hold"] = lambda _argument: {"held": hold.wait(10)}
    with listening.open() as connection:
        start = time.monotonic()
        with pytest.raises(ChannelLost, match=r"did not answer the call hold within 0\.3 s"):
            connection.call("hold", {}, 0.3)
        assert time.monotonic() - start < 2
        with pytest.raises(ChannelLost, match="is closed"):
            connection.call("echo", {}, 5)
    hold.set()


def test_a_daemon_that_goes_away_is_a_lost_channel(pki: Pki) -> None:
    with Listening(pki) as listening:
        connection = listening.open()
    with connection, pytest.raises(ChannelLost, match="broke in the call echo") as lost:
        connection.call("echo", {}, 5)
    assert lost.value.retryable


def test_closing_from_another_thread_ends_a_waiting_call(listening: Listening) -> None:
    entered, hold = threading.Event(), threading.Event()

    def wait(argument: dict[str, object]) -> dict[str, object]:
        entered.set()
        hold.wait(10)
        return argument

    listening.calls["wait"] = wait  # type: ignore[assignment]  # plain values all the same
    connection = listening.open()
    failures: list[Exception] = []

    def ask() -> None:
        try:
            connection.call("wait", {}, 10)
        except ChannelLost as exc:
            failures.append(exc)

    thread = threading.Thread(target=ask)
    thread.start()
    assert entered.wait(5)
    connection.close()
    thread.join(5)
    hold.set()
    assert len(failures) == 1


def test_nobody_listens(pki: Pki) -> None:
    with socket.socket() as free:
        free.bind((HOST, 0))
        with pytest.raises(Unreachable, match="Connection refused"):
            open_at(pki, free.getsockname())


def test_an_unknown_name_is_unreachable(pki: Pki) -> None:
    with pytest.raises(Unreachable, match=r"no-such-host\.invalid"):
        open_at(pki, ("no-such-host.invalid", 1))


def test_a_name_works_as_well_as_an_address(pki: Pki) -> None:
    with ExitStack() as stack:
        port = stack.enter_context(Listening(pki, host="127.0.0.1")).address[1]
        connection = stack.enter_context(open_at(pki, ("localhost", port)))
        assert connection.call("echo", {}, 5) == {}


def test_the_dot_at_the_end_of_a_full_name_does_not_matter(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def resolve(host: str, *args: int, **options: int) -> object:
        return real(host.removesuffix("."), *args, **options)

    with Listening(pki, host="127.0.0.1") as listening:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        open_at(pki, ("localhost.", listening.address[1])).close()


def test_a_host_whose_certificate_names_others_is_not_authentic(pki: Pki) -> None:
    credential = pki.make_host("storage.example.org", ["192.0.2.7"])
    with Listening(pki, credential=credential) as listening, pytest.raises(NotAuthentic) as refused:
        listening.open()
    assert "is for storage.example.org, 192.0.2.7" in refused.value.reason
    assert HOST in refused.value.reason
    assert refused.value.code == "host-not-authentic"


def test_a_users_certificate_is_no_hosts(pki: Pki) -> None:
    with Listening(pki, credential=pki.user) as listening, pytest.raises(NotAuthentic):
        listening.open()


def test_a_proxy_of_a_hosts_certificate_is_no_host(pki: Pki) -> None:
    proxy = pki.make_proxy("host-proxy", pki.host)
    with Listening(pki, credential=proxy) as listening, pytest.raises(NotAuthentic):
        listening.open()


def test_a_host_of_an_unknown_ca_is_not_authentic(pki: Pki, tmp_path: object) -> None:
    other = Pki(f"{tmp_path}/other", organisation="elsewhere")
    with Listening(other) as listening, pytest.raises(NotAuthentic, match="from a CA that is not in") as refused:
        open_at(pki, listening.address)
    assert "elsewhere" in refused.value.reason
    assert "X509_CERT_DIR" in refused.value.remedy


def test_an_expired_host_certificate_is_not_authentic(pki: Pki) -> None:
    forge = Forge(pki)
    hour = dt.timedelta(hours=1)
    old = forge.user_like(Plan(pci=None, san=HOST, start=-2 * hour, end=-hour))
    with Listening(pki, credential=forge.store([old])) as listening, pytest.raises(NotAuthentic, match="has expired"):
        listening.open()


def test_a_host_without_names_is_accepted_by_its_dn_only(pki: Pki) -> None:
    forge = Forge(pki)
    nameless = forge.user_like(Plan(pci=None, cns=("fdt/host",)))
    with Listening(pki, credential=forge.store([nameless])) as listening:
        with pytest.raises(NotAuthentic, match="names no host at all"):
            listening.open()
        host, port = listening.address

        def open_expecting(dn: str) -> Connection:
            return Connection.open(
                host,
                port,
                credential=pki.proxy,
                ca_dir=pki.certificates,
                deadline=time.monotonic() + 5,
                expect_dn=dn,
            )

        dn = "/O=fdt-test/CN=fdt-test CA/CN=fdt/host"
        with open_expecting(dn) as connection:
            assert connection.call("echo", {}, 5) == {}
        with pytest.raises(NotAuthentic, match="not /O=fdt-test/CN=other"):
            open_expecting("/O=fdt-test/CN=other")


def test_an_expired_proxy_is_named_with_its_end(pki: Pki, listening: Listening) -> None:
    expired = pki.expired_proxy()
    with pytest.raises(CredentialExpired) as refused:
        listening.open(expired)
    assert expired.cert_path in refused.value.reason
    assert "expired at 20" in refused.value.reason
    assert "make a new one" in refused.value.remedy


def test_a_daemon_that_does_not_know_our_ca_says_so(tmp_path: object, listening: Listening) -> None:
    other = Pki(f"{tmp_path}/other", organisation="elsewhere")
    with pytest.raises(CredentialRefused, match="does not know the CA"):
        listening.open(other.proxy)


def test_an_independent_proxy_is_refused_with_the_daemons_words(pki: Pki, listening: Listening) -> None:
    from authsvc import proxycert

    forge = Forge(pki)
    pci = proxycert.encode(proxycert.ProxyCertInfo(proxycert.INDEPENDENT))
    with pytest.raises(RemoteProblem, match="independent"):
        listening.open(forge.store(forge.below_user(Plan(pci=pci))))


def test_an_encrypted_key_is_refused_without_a_prompt(pki: Pki, listening: Listening, tmp_path: object) -> None:
    key = f"{tmp_path}/encrypted.key"
    subprocess.run(
        ["openssl", "rsa", "-aes256", "-passout", "pass:x", "-in", pki.user.key_path, "-out", key],
        check=True,
        capture_output=True,
    )
    os.chmod(key, 0o600)
    with pytest.raises(BadCredential, match="is encrypted"):
        listening.open(Credential(pki.user.cert_path, key))


def test_a_key_of_another_certificate_is_refused(pki: Pki, listening: Listening) -> None:
    with pytest.raises(BadCredential, match="does not belong"):
        listening.open(Credential(pki.user.cert_path, pki.host.key_path))


def test_without_a_ca_directory_nobody_is_trusted(pki: Pki) -> None:
    with pytest.raises(BadTrust):
        Connection.open(HOST, 1, credential=pki.proxy, ca_dir="/nonexistent", deadline=time.monotonic() + 1)


def test_the_client_loads_no_cryptography_and_ignores_what_pyro_reads_from_the_environment(
    pki: Pki, listening: Listening
) -> None:
    code = f"""
import sys, time
from authsvc.channel import Connection, own_pyro_settings
from authsvc.credentials import find_proxy
import os
assert "Pyro5" not in sys.modules
own_pyro_settings()
credential = find_proxy(None, os.environ, os.getuid())
with Connection.open({HOST!r}, {listening.address[1]}, credential=credential, ca_dir={pki.certificates!r},
                     deadline=time.monotonic() + 10) as connection:
    assert connection.call("echo", {{"x": "y" * 500}}, 5) == {{"x": "y" * 500}}
heavy = [name for name in ("cryptography", "OpenSSL", "rich", "psutil") if name in sys.modules]
assert not heavy, heavy
"""
    hostile = {"PYRO_NOSUCH": "1", "PYRO_COMPRESSION": "1", "PYRO_SERIALIZER": "marshal", "PYRO_MAX_MESSAGE_SIZE": "1"}
    environment = os.environ | hostile | {"X509_USER_PROXY": pki.proxy.cert_path}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_failure_knows_its_phase_and_side() -> None:
    error: FdtError = ChannelLost("x")
    assert error.problem(Side.SOURCE, Phase.CONNECT).side is Side.SOURCE
