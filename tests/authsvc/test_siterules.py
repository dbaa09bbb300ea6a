from __future__ import annotations

from pathlib import Path

import pytest

from authsvc.authorities import ExpiredCrl, Need, TrustRules
from authsvc.identity import IdentityRules
from authsvc.recognition import SiteRules
from authsvc.siterules import SPEC, TRUST_SPEC, site_rules, trust_rules
from fdtcp.errors import BadSettings
from fdtcp.settings import load_settings


def load(path: Path, text: str, spec: str = SPEC) -> dict[str, object]:
    path.write_text(f"[security]\n{text}")
    section: dict[str, object] = load_settings(str(path), ["[security]", *spec.splitlines()])["security"]
    return section


def test_the_defaults_are_those_of_the_code(tmp_path: Path) -> None:
    section = load(tmp_path / "conf", "")
    assert site_rules(section) == SiteRules()
    assert not section, "every key has been used"
    assert trust_rules(load(tmp_path / "conf", "", TRUST_SPEC)) == TrustRules()


def test_each_key_means_what_it_says(tmp_path: Path) -> None:
    text = """\
signing_policy = if-present
crl = required
expired_crl = accept
limited_proxies = refuse
max_proxies = 3
min_rsa_bits = 3072
min_ec_bits = 384
min_hash_bits = 256
ban_list = /etc/banned
voms_dir = /etc/vomsdir
bad_voms = refuse
"""
    assert site_rules(load(tmp_path / "conf", text)) == SiteRules(
        TrustRules(Need.IF_PRESENT, Need.REQUIRED, ExpiredCrl.ACCEPT),
        IdentityRules(False, 3, 3072, 384, 256),
        "/etc/banned",
        "/etc/vomsdir",
        True,
    )


@pytest.mark.parametrize(
    "line", ["crl = maybe", "min_rsa_bits = 1024", "min_hash_bits = 160", "limited_proxies = no", "ban_list = banned"]
)
def test_floors_are_not_lowered_and_words_not_guessed(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadSettings, match=line.partition(" ")[0]):
        load(tmp_path / "conf", line)
