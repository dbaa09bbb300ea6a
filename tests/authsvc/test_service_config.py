from __future__ import annotations

import re
from pathlib import Path

import pytest

from authsvc.service_config import SPEC, load_config
from fdtcp.errors import BadSettings

SHIPPED = Path(__file__).parents[2] / "etc" / "authsvc.conf"


def write(directory: Path, text: str) -> str:
    path = directory / "authsvc.conf"
    path.write_text(text)
    return str(path)


def test_the_shipped_file_shows_every_key_with_its_default(tmp_path: Path) -> None:
    shown = re.sub(r"(?m)^# (\w+ = )", r"\1", SHIPPED.read_text())
    assert load_config(write(tmp_path, shown)) == load_config("") == load_config(str(SHIPPED))
    names = [line.partition(" = ")[0] for line in SPEC if " = " in line]
    told = re.findall(r"(?m)^(?:#     )?(\w+) = ", shown)
    assert told == names


def test_the_shipped_example_of_a_renewal_is_good(tmp_path: Path) -> None:
    example = re.sub(r"(?m)^#     (\[\[\w+\]\]|\w+ = \S+).*$", r"\1", SHIPPED.read_text())
    (renewal,) = load_config(write(tmp_path, example)).renew
    assert (renewal.name, renewal.username, renewal.credential) == ("transfers", "site_transfers", "renewable")
    assert (renewal.lifetime, renewal.when_left) == (12 * 3600, 6 * 3600)


def test_a_renewal_uses_the_services_certificate_if_it_names_none(tmp_path: Path) -> None:
    text = "[security]\ncertificate = /c\nkey = /k\n[renew]\n[[one]]\nproxy = /p\nserver = myproxy.example.org\n"
    (renewal,) = load_config(write(tmp_path, text)).renew
    assert (renewal.certificate, renewal.key, renewal.port, renewal.vo) == ("/c", "/k", 7512, "")


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("[service]\nlisten = here:1,\n", "numeric address"),
        ("[service]\nlisten = ,\n", "at least one"),
        ("[service]\ncallers = CN=x,\n", "is not a DN"),
        ("[renew]\n[[one]]\nproxy = p\nserver = s\n", "absolute path"),
        ("[renew]\n[[one]]\nproxy = /p\nserver = -s\n", "host's name"),
        ("[renew]\n[[one]]\nproxy = /p\nserver = s\nusername = -d\n", "characters"),
        ("[renew]\n[[one]]\nproxy = /p\nserver = s\nvo = --vo\n", "is not a VO"),
        ("[renew]\n[[one]]\nserver = s\n", "proxy"),
    ],
)
def test_bad_values_are_told_with_what_is_allowed(text: str, allowed: str, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=re.escape(allowed)):
        load_config(write(tmp_path, text))
