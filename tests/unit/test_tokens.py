"""Signed tokens: only ours, only for us, only while they last; keys can be changed without a pause."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from shared.auth import ExpiredTokenError, InvalidTokenError, RemoteKeySet, SigningKeySet
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
    with pytest.raises(InvalidTokenError, match="Audience"):
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
    with pytest.raises(InvalidTokenError, match=r"^signed by an unknown key$"):
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
        with pytest.raises(InvalidTokenError, match=r"(?i)recursion|surrogates|segments"):
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


# --- The form, by the standards' own example (RFC 8037, appendix A) -----------------------------------------

EXAMPLE_SECRET = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"  # published
EXAMPLE_PUBLIC = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
EXAMPLE_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


EXAMPLE = Ed25519PrivateKey.from_private_bytes(decoded(EXAMPLE_SECRET))


def test_a_public_key_is_published_as_the_standard_writes_it():
    assert SigningKeySet("press-billing", [EXAMPLE]).jwks() == {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": EXAMPLE_PUBLIC,
                "kid": EXAMPLE_THUMBPRINT[:16],
                "alg": "EdDSA",
                "use": "sig",
            }
        ]
    }


def test_a_token_is_exactly_what_the_form_says():
    signer = SigningKeySet("press-billing", [EXAMPLE, Ed25519PrivateKey.generate()])
    token = signer.sign(
        {"sub": "r", "iss": "x", "exp": 0}, audience="a", now=NOW, lifetime_seconds=9
    )
    at = int(NOW.timestamp())
    header, body, signature = token.split(".")
    assert decoded(header) == (
        b'{"alg":"EdDSA","typ":"JWT","kid":"%s"}' % EXAMPLE_THUMBPRINT[:16].encode()
    )
    assert decoded(body) == (
        f'{{"sub":"r","iss":"press-billing","exp":{at + 9},"aud":"a","iat":{at}}}'.encode()
    ), "what we say of ourselves cannot be said otherwise by a caller"
    assert decoded(signature) == EXAMPLE.sign(f"{header}.{body}".encode())
    assert "=" not in token


@pytest.mark.parametrize(
    ("raw", "text"), [(b"\x00\x00\x17", "AAAX"), (b"\xfb\xff", "-_8"), (b"\xff", "_w"), (b"", "")]
)
def test_base64_is_for_addresses_and_has_no_padding(raw, text):
    assert tokens_module._base64url(raw) == text


def test_a_token_ends_five_seconds_late_for_clocks_that_differ_and_not_a_moment_later():
    assert verify(GOOD, now=NOW + timedelta(seconds=305))
    with pytest.raises(ExpiredTokenError, match=r"^expired$"):
        verify(GOOD, now=NOW + timedelta(seconds=305, microseconds=1))


def test_a_token_is_checked_with_the_callers_clock_and_no_other():
    assert verify(GOOD, now=NOW - timedelta(days=1))
    for year in (2001, 2100):
        then = NOW.replace(year=year)
        token = KEYS.sign({}, audience="press-paywall", now=then, lifetime_seconds=60)
        assert verify(token, now=then)


def test_keys_come_from_pem_in_their_order_with_anything_between_them(tmp_path):
    first, second = SigningKeySet.new_pem(), SigningKeySet.new_pem()
    both = SigningKeySet.from_pem("i", f"{first}\n{second}\n\n")
    alone = [SigningKeySet.from_pem("i", pem).jwks()["keys"][0] for pem in (first, second)]
    assert both.jwks()["keys"] == alone
    (tmp_path / "keys.pem").write_text(first + second, encoding="ascii")
    from_file = SigningKeySet.from_file("i", str(tmp_path / "keys.pem"))
    assert (from_file.issuer, from_file.jwks()) == ("i", both.jwks())
    (tmp_path / "odd.pem").write_text(first + "ố", encoding="utf-8")
    with pytest.raises(UnicodeDecodeError):
        SigningKeySet.from_file("i", str(tmp_path / "odd.pem"))


def test_a_key_of_another_kind_signs_nothing():
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(ValueError, match=r"^signing keys must be Ed25519$"):
        SigningKeySet.from_pem("i", SigningKeySet.new_pem() + other.decode())
    with pytest.raises(ValueError, match=r"^a signer needs at least one key$"):
        SigningKeySet("i", [])


def test_what_a_signer_generates_is_its_own():
    one, other = SigningKeySet.generate("i"), SigningKeySet.generate("i")
    assert one.issuer == "i"
    assert one.jwks() != other.jwks()


# --- When a verifier looks for keys again -------------------------------------------------------------------


@pytest.fixture
def seconds(monkeypatch):
    now = [5.0]  # a machine that has just started
    monkeypatch.setattr(tokens_module.time, "monotonic", lambda: now[0])
    return now


def ask(remote: RemoteKeySet, token: str = GOOD):
    return remote.verify(token, audience="press-paywall", now=NOW)


async def test_a_verifier_asks_again_after_five_minutes_and_not_before(seconds):
    publisher = Publisher(KEYS)
    remote = publisher.remote()
    await ask(remote)
    for after, asked in ((300.0, 1), (0.5, 2), (300.0, 2), (0.5, 3)):
        seconds[0] += after
        await ask(remote)
        assert publisher.asked == asked


async def test_an_unknown_key_is_asked_about_every_two_seconds_at_most(seconds):
    publisher = Publisher(KEYS)
    remote = publisher.remote()
    other = SigningKeySet.generate("press-billing").sign(
        {}, audience="press-paywall", now=NOW, lifetime_seconds=60
    )
    await ask(remote)
    for after, asked in ((2.0, 1), (0.5, 2), (1.0, 2), (1.0, 2), (0.5, 3)):
        seconds[0] += after
        with pytest.raises(InvalidTokenError, match="unknown key"):
            await ask(remote, other)
        await ask(remote)
        assert publisher.asked == asked


async def test_a_token_that_names_no_key_is_refused_as_one_of_an_unknown_key(seconds):
    token = jwt.encode(
        jwt.decode(GOOD, options={"verify_signature": False}), KEYS._keys[0], algorithm="EdDSA"
    )
    with pytest.raises(InvalidTokenError, match="unknown key"):
        await ask(Publisher(KEYS).remote(), token)
    with pytest.raises(InvalidTokenError, match="unknown key"):
        verify(token)


async def test_an_issuer_that_is_away_is_not_asked_for_every_token(seconds):
    publisher = Publisher(KEYS)
    publisher.away = True
    remote = publisher.remote()
    for _ in range(5):
        with pytest.raises(InvalidTokenError):
            await ask(remote)
    assert publisher.asked == 1
    publisher.away = False
    seconds[0] += 2.5
    assert (await ask(remote))["sub"] == "reader-1"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"keys": [7]},
        {"keys": [{"crv": "Ed25519", "kid": "k"}]},
        {"keys": [{"crv": "Ed25519", "x": "AAAA", "kid": "k"}]},
    ],
)
async def test_an_answer_that_is_none_leaves_the_keys_in_hand(seconds, answer):
    documents = [KEYS.jwks(), answer]
    urls, timeouts = [], []

    def handle(request: httpx.Request) -> httpx.Response:
        urls.append(str(request.url))
        timeouts.append(set(request.extensions["timeout"].values()))
        return httpx.Response(200, json=documents.pop(0))

    client = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    remote = RemoteKeySet("press-billing", "http://billing/jwks", client)
    await ask(remote)
    seconds[0] += 301
    assert (await ask(remote))["sub"] == "reader-1"
    assert urls == ["http://billing/jwks"] * 2
    assert timeouts == [{2.0}] * 2


async def test_keys_of_other_kinds_beside_ours_are_passed_over(seconds):
    others = [{"kty": "RSA", "kid": "r"}, {"kty": "OKP", "crv": "X25519", "kid": "x", "x": "AA"}]
    document = {"keys": [others[0], *KEYS.jwks()["keys"], others[1]]}
    client = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, json=document))
    )
    remote = RemoteKeySet("press-billing", "http://billing/jwks", client)
    assert (await ask(remote))["sub"] == "reader-1"
    with pytest.raises(InvalidTokenError):
        await remote.verify(GOOD, audience="another", now=NOW)
    stranger = RemoteKeySet("press-ads", "http://billing/jwks", client)
    with pytest.raises(InvalidTokenError):
        await ask(stranger)


async def test_an_issuer_that_has_no_key_left_is_believed(seconds):
    documents = [KEYS.jwks(), {"keys": []}]
    client = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, json=documents.pop(0)))
    )
    remote = RemoteKeySet("press-billing", "http://billing/jwks", client)
    await ask(remote)
    seconds[0] += 301
    with pytest.raises(InvalidTokenError, match="unknown key"):
        await ask(remote)


async def test_whose_key_is_known_does_not_wait_while_others_keys_are_fetched(seconds):
    fetching, go = asyncio.Event(), asyncio.Event()
    answers = 0

    async def answer(_request: httpx.Request) -> httpx.Response:
        nonlocal answers
        answers += 1
        if answers > 1:
            fetching.set()
            await go.wait()
        return httpx.Response(200, json=KEYS.jwks())

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        remote = RemoteKeySet("press-billing", "http://billing.test/jwks", client)
        await ask(remote)
        seconds[0] += 3
        unknown = SigningKeySet.generate("press-billing").sign(
            {}, audience="press-paywall", now=NOW, lifetime_seconds=60
        )
        stranger = asyncio.create_task(ask(remote, unknown))
        await fetching.wait()
        assert (await asyncio.wait_for(ask(remote), 5))["sub"] == "reader-1"
        go.set()
        with pytest.raises(InvalidTokenError, match="unknown key"):
            await stranger
