"""The configuration file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fdtcp.errors import BadSettings
from fdtcp.model.order import Mapped
from fdtd.site.config import SPEC, format_endpoint, is_loopback_only, load_config

SHIPPED = Path(__file__).parents[3] / "etc" / "fdtd.conf"
DEFAULT_LINE = re.compile(r"# (?P<line>[a-z_]+ = .*)")


def write(path: Path, text: str) -> str:
    (path / "fdtd.conf").write_text(text)
    return str(path / "fdtd.conf")


def test_the_shipped_file_shows_every_key_with_its_default(tmp_path: Path) -> None:
    lines = SHIPPED.read_text().splitlines()
    shown = [match["line"] if (match := DEFAULT_LINE.fullmatch(line)) else line for line in lines]
    assert load_config(write(tmp_path, "\n".join(shown))) == load_config("")
    # Sections that a site names itself are shown as examples only.
    fixed = re.sub(r"\[\[__many__\]\]\n[^\[]*", "", "\n".join(SPEC)).splitlines()
    keys = [line.partition(" = ")[0] for line in fixed if " = " in line and "__many__" not in line]
    assert [line.partition(" = ")[0] for line in shown if re.match(r"[a-z_]+ = ", line)] == keys


def test_the_shipped_file_is_good_as_it_is() -> None:
    assert load_config(str(SHIPPED)) == load_config("")


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("[service]\nlisten = host:8444,\n", "0.0.0.0:8444 or [::1]:8444"),
        ("[service]\nlisten = 127.0.0.1:99999,\n", "numeric address and port"),
        ("[service]\nlog_dir = logs\n", "absolute path"),
        ("[data]\nport_range = 80-90\n", "from 1024 to 65535"),
        ("[data]\nport_range = 54400-54321\n", "range of ports"),
        ("[data]\npeers = 10.0.0.1/8,\n", "192.0.2.0/24"),
        ("[data]\ninterfaces = not an interface,\n", "interface name such as eth0"),
        ("[accounts]\nmode = setuid\n", "setuid"),
        ("[session]\nclient_grace = soon\n", "30s"),
        ("[limits]\n[[streams]]\nmax = many\n", "whole number"),
        ("[monitoring]\nstatsd = 8125\n", "collector.example.org:8125"),
        ("[service]\nlisten_on = 1\n", "unknown key"),
        ("[storage]\n/mnt/hadoop = hdfs://namenode/\n", "webhdfs://"),
        ("[storage]\n/cloud = s3://key:secret@bucket/\n", "the mapped account's"),
    ],
)
def test_a_bad_value_is_told_with_file_line_key_and_what_is_allowed(tmp_path: Path, text: str, allowed: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BadSettings) as caught:
        load_config(path)
    line = len(text.splitlines())
    key = text.splitlines()[-1].partition(" = ")[0]
    assert f"{path}, line {line}" in caught.value.reason
    assert key in caught.value.reason
    assert allowed in caught.value.reason


@pytest.mark.parametrize(
    "text",
    [
        "[service]\nlisten = ,\n",
        "[paths]\nread = ,\n",
        "[limits]\n[[streams]]\nmin = 5\nmax = 4\n",
        "[limits]\n[[reverse]]\nsource = refused\ndestination = required\naccounts = atlas,\n",
    ],
)
def test_what_cannot_work_together_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSettings):
        load_config(write(tmp_path, text))


def test_lists_take_one_value_or_several(tmp_path: Path) -> None:
    one = load_config(write(tmp_path, "[service]\nlisten = 127.0.0.1:1\n[data]\ninterfaces = eth0, 10.0.0.1\n"))
    assert one.service.listen == (("127.0.0.1", 1),)
    assert one.data.interfaces == ("eth0", "10.0.0.1")


def test_loopback_only_means_all_listeners(tmp_path: Path) -> None:
    assert is_loopback_only(load_config(write(tmp_path, "[service]\nlisten = 127.0.0.2:1, [::1]:2\n")))
    assert not is_loopback_only(load_config(write(tmp_path, "[service]\nlisten = 127.0.0.2:1, 0.0.0.0:2\n")))


def test_endpoints_are_written_as_they_are_read() -> None:
    assert format_endpoint("::1", 8444) == "[::1]:8444"
    assert format_endpoint("127.0.0.1", 8444) == "127.0.0.1:8444"


def test_directories_are_mapped_to_storage(tmp_path: Path) -> None:
    text = "[storage]\n/mnt/hadoop = webhdfs://nn:9870/\n/mnt/hadoop/tmp = posix\n'/with space' = sequential\n"
    assert load_config(write(tmp_path, text)).storage == (
        Mapped(b"/mnt/hadoop", "webhdfs://nn:9870/"),
        Mapped(b"/mnt/hadoop/tmp", "posix"),
        Mapped(b"/with space", "sequential"),
    )


@pytest.mark.parametrize("line", ["hadoop = sequential", "/mnt/../etc = posix", "/mnt = posix, sequential"])
def test_what_is_mapped_is_one_absolute_directory_to_one_storage(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load_config(write(tmp_path, f"[storage]\n{line}\n"))
    assert "[storage]" in caught.value.reason
