"""Signed tokens: only ours, only for us, only while they last; keys can be changed without a pause."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.auth import InvalidTokenError, RemoteKeySet, SigningKeySet
from shared.auth import tokens as tokens_module

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
KEYS = SigningKeySet.generate("press-billing")
GOOD = KEYS.sign({"sub": "reader-1"}, audience="press-paywall", now=NOW, lifetime_seconds=300)


def verify(token: str, *, keys: SigningKeySet = KEYS, audience="press-paywall", now=NOW):
    return keys.verify(token, audience=audience, now=now)


def encoded(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_token_says_what_was_signed():
    claims = verify(GOOD)
    assert claims["sub"] == "reader-1"
    assert claims["exp"] - claims["iat"] == 300


@pytest.mark.parametrize(("seconds", "good"), [(0, True), (300, True), (305, True), (306, False)])
def test_a_token_ends_by_the_clock_it_is_checked_with(seconds, good):
    now = NOW + timedelta(seconds=seconds)
    if good:
        assert verify(GOOD, now=now)
    else:
        with pytest.raises(InvalidTokenError, match="expired"):
            verify(GOOD, now=now)


def test_a_token_for_somebody_else_is_refused():
    with pytest.raises(InvalidTokenError):
        verify(GOOD, audience="site:bao-hung-yen")


def test_a_token_of_another_issuer_is_refused_though_the_key_is_the_same():
    other = SigningKeySet("press-paywall", KEYS._keys)
    token = other.sign({}, audience="press-paywall", now=NOW, lifetime_seconds=300)
    with pytest.raises(InvalidTokenError):
        verify(token)


def test_a_token_of_an_unknown_key_is_refused():
    token = SigningKeySet.generate("press-billing").sign(
        {}, audience="press-paywall", now=NOW, lifetime_seconds=300
    )
    with pytest.raises(InvalidTokenError, match="unknown key"):
        verify(token)


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS256", ""])
def test_another_algorithm_is_refused_with_any_signature(algorithm):
    kid = KEYS.jwks()["keys"][0]["kid"]
    body = jwt.decode(GOOD, options={"verify_signature": False})
    for signature in ("", GOOD.split(".")[2], encoded(b"x" * 64)):
        token = f"{encoded({'alg': algorithm, 'kid': kid})}.{encoded(body)}.{signature}"
        with pytest.raises(InvalidTokenError):
            verify(token)


def test_the_public_key_is_no_secret_to_sign_with():
    """The classic confusion: HS256 keyed by the published key."""
    jwk = KEYS.jwks()["keys"][0]
    public = base64.urlsafe_b64decode(jwk["x"] + "=")
    body = jwt.decode(GOOD, options={"verify_signature": False})
    forged = jwt.encode(
        body, public.ljust(64, b"\0"), algorithm="HS256", headers={"kid": jwk["kid"]}
    )
    with pytest.raises(InvalidTokenError):
        verify(forged)


@pytest.mark.parametrize("claim", ["exp", "iat", "aud", "iss"])
def test_a_token_without_a_needed_claim_is_refused(claim):
    body = jwt.decode(GOOD, options={"verify_signature": False})
    del body[claim]
    kid = KEYS.jwks()["keys"][0]["kid"]
    token = jwt.encode(body, KEYS._keys[0], algorithm="EdDSA", headers={"kid": kid})
    with pytest.raises(InvalidTokenError):
        verify(token)


@given(st.integers(0, len(GOOD) - 1), st.sampled_from("ABab01-_.=%\u00e9"))
def test_one_changed_character_makes_it_no_token_of_ours(position, character):
    changed = GOOD[:position] + character + GOOD[position + 1 :]
    try:
        claims = verify(changed)
    except InvalidTokenError:
        return
    # Only the unused low bits of base64's last character can differ: the same signature.
    assert claims == verify(GOOD)


@given(st.text(max_size=200))
def test_no_text_brings_the_check_down(text):
    with pytest.raises(InvalidTokenError):
        verify(text)


@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64"]),
        st.none() | st.integers() | st.text() | st.lists(st.integers()),
    )
)
def test_no_header_brings_the_check_down(header):
    with pytest.raises(InvalidTokenError):
        verify(f"{encoded(header)}.{encoded({})}.{encoded(b'x')}")


@pytest.mark.parametrize(
    "token",
    [
        f"{encoded(b'[' * 50_000)}.e30.e30",
        f"{encoded({'alg': 'EdDSA'})}.{encoded(b'[' * 50_000)}.e30",
        "\ud800.\ud800.\ud800",
        "a" * 1_000_000,
        "..",
        "",
    ],
)
def test_hostile_tokens_are_only_invalid(token):
    with pytest.raises(InvalidTokenError):
        verify(token)


def test_keys_change_without_a_pause():
    old = SigningKeySet.new_pem()
    before = SigningKeySet.from_pem("press-billing", old)
    during = SigningKeySet.from_pem("press-billing", SigningKeySet.new_pem() + old)
    token_before = before.sign({}, audience="a", now=NOW, lifetime_seconds=300)
    token_during = during.sign({}, audience="a", now=NOW, lifetime_seconds=300)
    assert verify(token_before, keys=during, audience="a")
    assert verify(token_during, keys=during, audience="a")
    with pytest.raises(InvalidTokenError):
        verify(token_during, keys=before, audience="a")
    assert len(during.jwks()["keys"]) == 2
    assert all(
        set(jwk) == {"kty", "crv", "x", "kid", "alg", "use"} for jwk in during.jwks()["keys"]
    )


def test_no_key_or_another_kind_of_key_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        SigningKeySet.from_pem("x", "")


class Publisher:
    """A JWKS address that counts how often it is asked."""

    def __init__(self, keys: SigningKeySet) -> None:
        self.keys, self.asked, self.away = keys, 0, False

    def answer(self, _request: httpx.Request) -> httpx.Response:
        self.asked += 1
        return httpx.Response(503) if self.away else httpx.Response(200, json=self.keys.jwks())

    def remote(self) -> RemoteKeySet:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        return RemoteKeySet("press-billing", "http://billing/.well-known/jwks.json", client)


async def test_a_verifier_asks_once_and_then_knows():
    publisher = Publisher(KEYS)
    remote = publisher.remote()
    for _ in range(5):
        assert (await remote.verify(GOOD, audience="press-paywall", now=NOW))["sub"] == "reader-1"
    assert publisher.asked == 1


async def test_a_verifier_meets_a_new_key_and_looks_again_but_not_for_every_forgery(monkeypatch):
    publisher = Publisher(KEYS)
    remote = publisher.remote()
    await remote.verify(GOOD, audience="press-paywall", now=NOW)
    publisher.keys = SigningKeySet.generate("press-billing")
    fresh = publisher.keys.sign({}, audience="press-paywall", now=NOW, lifetime_seconds=60)
    for _ in range(20):
        with pytest.raises(InvalidTokenError):
            await remote.verify(fresh, audience="press-paywall", now=NOW)
    assert publisher.asked == 1
    monkeypatch.setattr(tokens_module, "UNKNOWN_KEY_RETRY_SECONDS", 0.0)
    assert await remote.verify(fresh, audience="press-paywall", now=NOW)
    assert publisher.asked == 2


async def test_keys_in_hand_stay_good_while_the_issuer_is_away(monkeypatch):
    publisher = Publisher(KEYS)
    remote = publisher.remote()
    await remote.verify(GOOD, audience="press-paywall", now=NOW)
    publisher.away = True
    monkeypatch.setattr(tokens_module, "REFRESH_AFTER_SECONDS", -1.0)
    assert await remote.verify(GOOD, audience="press-paywall", now=NOW)
    assert publisher.asked == 2


async def test_without_any_key_everything_is_refused():
    publisher = Publisher(KEYS)
    publisher.away = True
    with pytest.raises(InvalidTokenError):
        await publisher.remote().verify(GOOD, audience="press-paywall", now=NOW)


async def test_hostile_tokens_reach_no_network():
    publisher = Publisher(KEYS)
    remote = publisher.remote()
    for token in (f"{encoded(b'[' * 50_000)}.e30.e30", "\ud800", "x"):
        with pytest.raises(InvalidTokenError):
            await remote.verify(token, audience="press-paywall", now=NOW)
    assert publisher.asked == 0


async def test_readers_who_come_while_the_first_keys_are_being_fetched_wait_for_them():
    fetching, go = asyncio.Event(), asyncio.Event()

    async def answer(_request: httpx.Request) -> httpx.Response:
        fetching.set()
        await go.wait()
        return httpx.Response(200, json=KEYS.jwks())

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        keys = RemoteKeySet("press-billing", "http://billing.test/jwks", client)
        ask = [
            asyncio.create_task(keys.verify(GOOD, audience="press-paywall", now=NOW))
            for _ in range(3)
        ]
        await fetching.wait()
        go.set()
        claims = await asyncio.gather(*ask)
    assert claims[0] == claims[1] == claims[2]
