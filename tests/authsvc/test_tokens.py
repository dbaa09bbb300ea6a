from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authsvc.errors import TokenRefused
from authsvc.tokens import Issuer, TokenJudge
from fdtcp.errors import BadSettings
from tests.helpers.mint import AUDIENCE, ISSUER, Mint, unsigned


@pytest.fixture(scope="module")
def mint(tmp_path_factory: pytest.TempPathFactory) -> Mint:
    return Mint(tmp_path_factory.mktemp("mint"))


@pytest.fixture(scope="module")
def judge(mint: Mint) -> TokenJudge:
    return judge_of(mint)


def judge_of(mint: Mint, base_path: str = "/") -> TokenJudge:
    return TokenJudge([Issuer(ISSUER, str(mint.keys), (AUDIENCE, "other"), base_path)])


def test_a_good_token_leaves_its_paths_until_it_ends(mint: Mint, judge: TokenJudge) -> None:
    end = time.time() + 600
    grant = judge.judge(mint.token("openid storage.read:/data/a storage.modify:/data/b storage.read:/c", exp=int(end)))
    assert (grant.issuer, grant.subject) == (ISSUER, "somebody")
    assert grant.read == (b"/data/a", b"/c")
    assert grant.modify == (b"/data/b",)
    assert end <= grant.not_after <= end + 61


@pytest.mark.parametrize(
    ("scope", "read"),
    [
        ("", ()),
        ("storage.read", ()),
        ("storage.create:/x storage.stage:/y compute.read", ()),
        ("storage.reads:/x", ()),
        ("storage.read:/", (b"/base",)),
        ("storage.read:/a//b/./c/", (b"/base/a/b/c",)),
        ("storage.read:/a%20b", (b"/base/a b",)),
        ("storage.read:/%C3%AB", (b"/base/\xc3\xab",)),
    ],
)
def test_scopes_become_paths_below_the_issuers(scope: str, read: tuple[bytes, ...], mint: Mint) -> None:
    assert judge_of(mint, "/base").judge(mint.token(scope)).read == read


@pytest.mark.parametrize("path", ["", "data", "/../etc", "/a/../../etc", "/%2e%2e/etc", "/a%00b", "%2fdata"])
def test_paths_that_climb_or_are_none_are_refused(path: str, mint: Mint) -> None:
    scope = f"storage.read:{path}"
    if path == "%2fdata":
        assert judge_of(mint).judge(mint.token(scope)).read == (b"/data",)
        return
    with pytest.raises(TokenRefused, match="no usable path"):
        judge_of(mint).judge(mint.token(scope))


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://evil.example.org/"}, "does not accept"),
        ({"iss": None}, "does not accept"),
        ({"aud": "https://elsewhere.example.org"}, "audience"),
        ({"aud": None}, "aud"),
        ({"exp": int(time.time()) - 3600}, "expired"),
        ({"exp": None}, "exp"),
        ({"exp": "soon"}, "does not hold"),
        ({"nbf": int(time.time()) + 3600}, "not yet valid"),
        ({"sub": None}, "sub"),
        ({"scope": ["storage.read:/"]}, "not text"),
        ({"scope": " ".join(["storage.read:/x"] * 500)}, "more than 256"),
    ],
)
def test_claims_that_do_not_fit_are_refused(claims: dict[str, Any], why: str, mint: Mint, judge: TokenJudge) -> None:
    with pytest.raises(TokenRefused, match=why):
        judge.judge(mint.token(**{"scope": "storage.read:/", **claims}))


def test_only_the_issuers_own_key_counts(mint: Mint, judge: TokenJudge, tmp_path: Path) -> None:
    with pytest.raises(TokenRefused):
        judge.judge(Mint(tmp_path).token("storage.read:/"))
    with pytest.raises(TokenRefused, match="unknown here"):
        judge.judge(mint.token(headers={"kid": "key-2"}))
    with pytest.raises(TokenRefused, match="unknown here"):
        judge.judge(mint.token(headers={"kid": "../../key"}))
    good = mint.token("storage.read:/a")
    head, body, signature = good.split(".")
    other = mint.token("storage.read:/").split(".")[1]
    with pytest.raises(TokenRefused):
        judge.judge(f"{head}.{other}.{signature}")
    assert judge.judge(f"{head}.{body}.{signature}").read == (b"/a",)


def test_no_signature_and_shared_secrets_are_refused(mint: Mint, judge: TokenJudge) -> None:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "exp": int(time.time()) + 60, "scope": "storage.read:/"}
    for header in ({"alg": "none"}, {"alg": "HS256", "kid": "key-1"}, {"alg": "ES256", "kid": "key-1"}, {"alg": 5}):
        with pytest.raises(TokenRefused):
            judge.judge(unsigned(claims, header))
    # The classic: what everybody can know of the issuer, taken for a shared secret.
    secret = mint.public()["x"].encode()
    with pytest.raises(TokenRefused):
        judge.judge(jwt.encode(claims, secret, "HS256", headers={"kid": "key-1"}))


@given(st.text(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_no_text_gets_further_than_a_refusal(judge: TokenJudge, text: str) -> None:
    with pytest.raises(TokenRefused):
        judge.judge(text)


def test_a_key_without_a_name_serves_if_it_is_the_only_one(tmp_path: Path) -> None:
    mint = Mint(tmp_path, kid=None, bits=2048)
    assert judge_of(mint).judge(mint.token("storage.read:/a")).read == (b"/a",)


def test_new_keys_count_at_once_and_a_broken_file_leaves_the_last_good_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mint = Mint(tmp_path)
    judge = judge_of(mint)
    old = mint.token("storage.read:/a")
    judge.judge(old)
    mint.keys.write_text("{")
    assert judge.judge(old).read == (b"/a",)
    assert "last good ones" in caplog.text
    renewed = Mint(tmp_path, kid="key-2")
    assert judge.judge(renewed.token("storage.read:/b")).read == (b"/b",)
    with pytest.raises(TokenRefused, match="unknown here"):
        judge.judge(old)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "AAAA"}]}'])
def test_a_file_without_usable_keys_keeps_from_starting(content: str, mint: Mint, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(BadSettings, match="cannot use"):
        TokenJudge([Issuer(ISSUER, str(path), (AUDIENCE,))])
    path.write_text(json.dumps({"keys": [mint.public()]}))
    path.chmod(0o666)
    with pytest.raises(BadSettings, match="anybody can change"):
        TokenJudge([Issuer(ISSUER, str(path), (AUDIENCE,))])


def test_a_short_key_keeps_from_starting(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="less than 2048 bits"):
        judge_of(Mint(tmp_path, bits=1024))


def test_without_pyjwt_a_daemon_that_lists_issuers_does_not_start(mint: Mint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(BadSettings, match="PyJWT"):
        judge_of(mint)
