from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.proxycert import INDEPENDENT, INHERIT_ALL, LIMITED, ProxyCertInfo, decode, encode


def test_the_plain_proxy_has_the_bytes_of_the_rfc() -> None:
    assert encode(ProxyCertInfo(INHERIT_ALL)).hex() == "300c300a06082b06010505071501"


ARCS = st.lists(st.integers(0, 1 << 40), max_size=8)
OIDS = st.tuples(st.integers(0, 2), st.integers(0, 39), ARCS).map(lambda p: ".".join(map(str, (p[0], p[1], *p[2]))))


@given(
    OIDS | st.sampled_from([INHERIT_ALL, LIMITED, INDEPENDENT]),
    st.none() | st.integers(0, 1 << 16),
    st.none() | st.binary(max_size=300),
)
def test_what_is_written_can_be_read(language: str, path_length: int | None, policy: bytes | None) -> None:
    info = ProxyCertInfo(language, path_length, policy)
    assert decode(encode(info)) == info


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        info = decode(data)
    except ValueError:
        return
    assert encode(info) == data


@pytest.mark.parametrize(
    ("der", "why"),
    [
        ("", "missing"),
        ("300c300a06082b0601050507150100", "follows"),
        ("300d300a06082b0601050507150100", "another kind|missing|follows"),
        ("300c300a06082b060105050715", "cut off"),
        ("30810c300a06082b06010505071501", "shortest"),
        ("3080300a06082b060105050715010000", "shortest"),
        ("300f0201ff300a06082b06010505071501", "path length"),
        ("30100202000130" + "0a06082b06010505071501", "path length"),
        ("3004300206" + "00", "cut off"),
        ("30053003060180", "shortest|cut off"),
    ],
)
def test_sloppy_encodings_are_refused(der: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode(bytes.fromhex(der))
