from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from authsvc import der
from authsvc.attributecert import parse
from tests.authsvc.vomsing import FQANS, HOST, VO, VomsServer, extension
from tests.helpers.pki import Pki


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> VomsServer:
    return VomsServer(pki, tmp_path_factory.mktemp("vomsdir"))


@pytest.fixture(scope="module")
def honest(server: VomsServer) -> bytes:
    return value_of(extension(server.grant(targets=("se.example.org", "SE2.example.org"))))


def value_of(item: x509.UnrecognizedExtension) -> bytes:
    return item.value


def test_an_honest_one_is_read(server: VomsServer, honest: bytes) -> None:
    (found,) = parse(honest)
    assert found.holder_serial == server.forge.user.serial_number
    assert (found.vo, found.host) == (VO, HOST)
    assert found.fqans == (f"/{VO}", FQANS[1])
    assert found.targets == ("se.example.org", "se2.example.org")
    assert (found.hash_name, found.key_kind) == ("sha256", "rsassa_pkcs1v15")
    assert len(found.chain) == 1
    assert (found.not_after - found.not_before).total_seconds() == 7200


def test_a_target_of_another_kind_is_nobody(server: VomsServer) -> None:
    group = der.wrap(der.SEQUENCE, der.wrap(der.SEQUENCE, der.wrap(0xA1, b"")))
    grant = server.grant(extra=(("2.5.29.55", True, group),))
    assert parse(value_of(extension(grant)))[0].targets == ()


@given(st.data())
def test_whatever_is_changed_is_read_or_refused(honest: bytes, data: st.DataObject) -> None:
    changed = bytearray(honest)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse(bytes(changed))
    except ValueError:
        pass  # refused, as it should be


@given(st.integers(0, 2000))
def test_whatever_is_cut_off_is_refused(honest: bytes, size: int) -> None:
    part = honest[: min(size, len(honest) - 1)]
    with pytest.raises(ValueError):  # any text will do
        parse(part)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(junk: bytes) -> None:
    for value in (junk, der.wrap(der.SEQUENCE, der.wrap(der.SEQUENCE, junk))):
        with pytest.raises(ValueError):  # any text will do
            parse(value)


def test_a_hundred_thousand_levels_are_refused() -> None:
    deep = b"\x30\x80" * 100_000
    with pytest.raises(ValueError, match=r"."):
        parse(deep)
