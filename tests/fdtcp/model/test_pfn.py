from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdtcp.errors import BadPfn
from fdtcp.model.pfn import DEFAULT_PORT, Address, Pfn, show

NAMES = st.binary(min_size=1, max_size=40).filter(lambda raw: b"/" not in raw and b"\0" not in raw)


@pytest.mark.parametrize(
    ("text", "address", "path"),
    [
        (b"fdt://host.example:8444/data/file", Address("host.example", 8444), b"/data/file"),
        (b"fdt://host/data/file", Address("host", DEFAULT_PORT), b"/data/file"),
        (b"fdt://HOST.Example:1/f", Address("host.example", 1), b"/f"),
        (b"FDT://host//data//file", Address("host", DEFAULT_PORT), b"/data//file"),
        (b"fdt://[::1]:8080/f", Address("::1", 8080), b"/f"),
        (b"fdt://[2001:DB8:0::1]/f", Address("2001:db8::1", DEFAULT_PORT), b"/f"),
        (b"fdt://127.0.0.2:99/f", Address("127.0.0.2", 99), b"/f"),
        (b"fdt://host:/f", Address("host", DEFAULT_PORT), b"/f"),
        (b"fdt://host/a%20b c\xff", Address("host", DEFAULT_PORT), b"/a%20b c\xff"),
        (b"fdt://host/dev/zero", Address("host", DEFAULT_PORT), b"/dev/zero"),
        (b"fdt://host/a?b#c", Address("host", DEFAULT_PORT), b"/a?b#c"),
    ],
)
def test_a_pfn_names_a_daemon_and_a_path(text: bytes, address: Address, path: bytes) -> None:
    pfn = Pfn.parse(text)
    assert (pfn.address, pfn.path) == (address, path)
    assert pfn.text == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"/data/file", "names no host"),
        (b"file", "names no host"),
        (b"", "names no host"),
        (b"file:///data/file", "scheme file is not ours"),
        (b"gsiftp://host/f", "scheme gsiftp is not ours"),
        (b"fdt://host", "no path"),
        (b"fdt://host/", "no path"),
        (b"fdt://host//", "no path"),
        (b"fdt:///f", "not the name of a host"),
        (b"fdt://user@host/f", "no user name"),
        (b"fdt://host:0/f", "1 to 65535"),
        (b"fdt://host:65536/f", "1 to 65535"),
        (b"fdt://host:999999999/f", "1 to 65535"),
        (b"fdt://host:99999999999999999999/f", "not host:port"),
        (b"fdt://host:http/f", "not host:port"),
        (b"fdt://::1/f", "brackets"),
        (b"fdt://[host]/f", "not an IPv6 address"),
        (b"fdt://[1::2::3]/f", "not an IPv6 address"),
        (b"fdt://[fe80::1%25eth0]/f", "not an IPv6 address"),
        (b"fdt://-host/f", "not the name of a host"),
        (b"fdt://ho st/f", "not the name of a host"),
        (b"fdt://h\xc3\xb6st/f", "not the name of a host"),
        (b"fdt://host/dir/", "names a directory"),
        (b"fdt://host/dir/..", "names a directory"),
        (b"fdt://host/a\0b", "no NUL"),
        (b"fdt://host/" + b"a" * 4095, "the limit is 4095"),
    ],
)
def test_what_is_no_pfn_is_refused_with_what_is_allowed(text: bytes, why: str) -> None:
    with pytest.raises(BadPfn, match=why) as caught:
        Pfn.parse(text)
    assert caught.value.remedy


@given(NAMES)
def test_any_bytes_can_be_a_name(name: bytes) -> None:
    if name in (b".", b".."):
        return
    pfn = Pfn.parse(b"fdt://host/dir/" + name)
    assert pfn.path == b"/dir/" + name
    assert str(pfn).isprintable()


@given(st.binary(max_size=60))
def test_whatever_is_written_is_a_pfn_or_refused(text: bytes) -> None:
    try:
        assert Pfn.parse(text).text == text
    except BadPfn:
        pass


def test_spellings_of_one_file_are_in_one_place() -> None:
    one = Pfn.parse(b"fdt://host//data/./dir//file")
    other = Pfn.parse(b"fdt://HOST:8444/data/dir/file")
    assert one.place == other.place
    assert one != other


def test_an_address_is_written_as_in_a_pfn() -> None:
    assert str(Address("::1", 5)) == "[::1]:5"
    assert str(Address("host", 5)) == "host:5"


def test_what_cannot_be_shown_is_escaped() -> None:
    assert show(b"a\nb\xff\xc3\xa4") == "a\\nb\\xffä"
