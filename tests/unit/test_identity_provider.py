"""What a provider's answer is good for, and how long its documents are kept."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from services.identity.provider import rules
from services.identity.provider.adapters import kept
from services.identity.provider.adapters.kept import Kept
from services.identity.provider.adapters.openid import Client, OpenIDProvider
from services.identity.provider.rules import (
    Claims,
    Problem,
    ProviderAnswerError,
    ProviderUnavailableError,
    Purpose,
    has_second_factor,
    link_problem,
    words,
)
from shared.clock import MovableClock

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
ADDRESS = "lan.anh@bao.vn"


def claims(**changes: object) -> Claims:
    told = {
        "issuer": "https://id.example",
        "subject": "1",
        "email": ADDRESS,
        "email_verified": True,
        "second_factor": False,
        "authenticated_at": NOW,
    }
    return Claims(**(told | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("amr", "acr", "counts"),
    [
        (["pwd", "otp"], None, True),
        (["pwd"], "urn:mfa", True),
        (["pwd"], "urn:one", False),
        ([], "", False),
        (None, None, False),
        ("otp", None, False),  # no list: RFC 8176 knows none but lists
        ([["otp"], 3, None], ["urn:mfa"], False),
    ],
)
def test_only_the_deployments_own_words_count_as_a_second_factor(amr, acr, counts):
    assert has_second_factor(amr, acr, words("mfa, otp"), words("urn:mfa")) is counts
    assert has_second_factor(amr, acr, words(""), words(" , ")) is False


@pytest.mark.parametrize(
    ("changes", "address", "handed", "problem"),
    [
        ({}, ADDRESS, False, None),
        ({"email_verified": False}, ADDRESS, False, Problem.UNVERIFIED),
        ({}, "other@bao.vn", False, Problem.OTHER_ADDRESS),
        ({"email": None}, None, False, Problem.OTHER_ADDRESS),
        ({}, ADDRESS, True, Problem.HANDED),
    ],
)
def test_a_link_needs_the_verified_address_and_a_password_of_ones_own(
    changes, address, handed, problem
):
    assert link_problem(claims(**changes), address, ADDRESS, handed=handed) is problem


@pytest.mark.parametrize(
    ("purpose", "oldest"),
    [
        (Purpose.CONFIRM, NOW - rules.SKEW),
        (Purpose.SIGN_IN, NOW - rules.SKEW - timedelta(minutes=5)),
        (Purpose.LINK, NOW - rules.SKEW - timedelta(minutes=5)),
        (Purpose.INVITATION, NOW - rules.SKEW - timedelta(minutes=5)),
    ],
)
def test_a_proof_is_as_old_as_the_provider_says_and_never_older_than_was_asked_for(purpose, oldest):
    def at(told):
        later = NOW + timedelta(minutes=1)
        return rules.proved_at(claims(authenticated_at=told), purpose, NOW, later)

    assert at(oldest) == oldest
    assert at(oldest - timedelta(seconds=1)) is None
    assert at(None) is None
    assert at(NOW + timedelta(days=1)) == NOW + timedelta(minutes=1)


class Source:
    """A document that counts how often it is asked for."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False

    async def load(self) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise ProviderUnavailableError
        return self.asked


@pytest.fixture
def clock(monkeypatch):
    """Seconds that only the test moves."""
    now = [1000.0]
    monkeypatch.setattr(kept.time, "monotonic", lambda: now[0])
    return now


async def test_a_document_is_fetched_once_for_all_and_again_when_it_is_old(clock):
    source = Source()
    document = Kept(source.load)
    assert set(await asyncio.gather(*(document.get() for _ in range(5)))) == {1}
    clock[0] += kept.KEEP_SECONDS - 1
    assert await document.get() == 1
    clock[0] += 1
    assert await document.get() == 2
    clock[0] += 1
    assert await document.get(fresh=True) == 3


async def test_after_a_failure_nobody_waits_again_and_the_pause_ends(clock):
    source = Source()
    source.away = True
    document = Kept(source.load)
    for _ in range(4):
        with pytest.raises(ProviderUnavailableError):
            await document.get()
        clock[0] += kept.PAUSE_SECONDS / 5
    assert source.asked == 1
    source.away = False
    clock[0] += kept.PAUSE_SECONDS / 5
    assert await document.get() == 2


async def test_an_old_document_is_better_than_none_but_not_where_it_must_be_new(clock):
    source = Source()
    document = Kept(source.load)
    await document.get()
    source.away = True
    clock[0] += kept.KEEP_SECONDS
    assert await document.get() == 1
    with pytest.raises(ProviderUnavailableError):
        await document.get(fresh=True)


async def test_nonsense_is_told_at_once_and_not_kept(clock):
    async def nonsense() -> int:
        raise ProviderAnswerError

    document: Kept[int] = Kept(nonsense)
    for _ in range(2):
        with pytest.raises(ProviderAnswerError):
            await document.get()


# --- What the provider says about itself ---------------------------------------------------------------

ISSUER = "https://id.example/staff"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://id.example/auth",
    "token_endpoint": "https://id.example/token",
    "jwks_uri": "https://id.example/keys",
}


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://id.example/staff/"},
        {"issuer": None},
        {"token_endpoint": None},
        {"token_endpoint": "http://id.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": 5},
        {"userinfo_endpoint": "http://id.example/me"},
    ],
)
async def test_a_document_with_another_issuer_or_ways_in_the_clear_is_refused(change, monkeypatch):
    provider = OpenIDProvider(
        Client(ISSUER, "id", "secret", "client_secret_basic", "https://a.b/c", (), ("urn:mfa",), 5),
        MovableClock(NOW),
    )
    told = dict(DOCUMENT)

    async def document(url: str) -> dict[str, object]:
        assert url == f"{ISSUER}/.well-known/openid-configuration"
        return told

    monkeypatch.setattr(provider, "_document", document)
    asked = {"state": "s", "nonce": "n", "code_verifier": "v" * 43, "language": "vi"}
    url = await provider.authorization_url(**asked, max_age=timedelta(0))
    assert "prompt=login" in url and "max_age=0" in url and "acr_values=urn%3Amfa" in url
    url = await provider.authorization_url(**asked, max_age=timedelta(minutes=5))
    assert "prompt=" not in url and "max_age=300" in url
    told |= change
    provider._metadata = Kept(provider._discover)
    with pytest.raises(ProviderAnswerError):
        await provider.authorization_url(**asked, max_age=timedelta(minutes=5))


def test_words_are_separated_by_commas_or_blanks():
    assert words("mfa,otp  a,") == {"mfa", "otp", "a"}
