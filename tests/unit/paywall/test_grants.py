"""A grant: one subject, one article, one website, five minutes; signed once while it is young."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.paywall.decisions import grants as module
from services.paywall.decisions.grants import Grants
from shared.auth import InvalidTokenError, SigningKeySet

NOW = datetime(2026, 7, 15, 5, 30, tzinfo=UTC)
KEYS = SigningKeySet.generate("press-paywall")
ASKED = {"agency": "bao-thu", "article_id": "a-1", "subject": "meter-1", "reason": "METERING"}


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def test_a_grant_says_who_may_read_what_where_why_and_until_when():
    token = Grants(KEYS).grant(**ASKED, now=NOW)
    assert KEYS.verify(token, audience="site:bao-thu", now=NOW) == {
        "article": "a-1",
        "reason": "METERING",
        "sub": "meter-1",
        "iss": "press-paywall",
        "aud": "site:bao-thu",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 300,
    }
    with pytest.raises(InvalidTokenError):
        KEYS.verify(token, audience="site:bao-khac", now=NOW)


def test_who_comes_back_within_two_minutes_gets_the_same_and_then_a_new_one():
    grants = Grants(KEYS)
    first = grants.grant(**ASKED, now=NOW)
    assert grants.grant(**ASKED, now=NOW) is first
    assert grants.grant(**ASKED, now=NOW + seconds(119)) is first
    later = grants.grant(**ASKED, now=NOW + seconds(120))
    assert later != first
    assert grants.grant(**ASKED, now=NOW + seconds(239)) is later
    earlier = grants.grant(**ASKED, now=NOW - seconds(1))
    assert KEYS.verify(earlier, audience="site:bao-thu", now=NOW)["iat"] < NOW.timestamp(), (
        "a grant from the future of a clock that was set back is not handed out"
    )


@pytest.mark.parametrize("other", ASKED)
def test_a_grant_is_nobody_elses_and_for_nothing_else(other):
    grants = Grants(KEYS)
    first = grants.grant(**ASKED, now=NOW)
    changed = ASKED | {other: "x"}
    second = grants.grant(**changed, now=NOW)
    assert second != first
    claims = KEYS.verify(second, audience=f"site:{changed['agency']}", now=NOW)
    assert (claims["article"], claims["sub"], claims["reason"]) == (
        changed["article_id"],
        changed["subject"],
        changed["reason"],
    )


def test_only_the_newest_are_remembered(monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 2)
    grants = Grants(KEYS)

    def ask(article: str, after: float) -> str:
        return grants.grant(**ASKED | {"article_id": article}, now=NOW + seconds(after))

    ask("one", 0)
    two = ask("two", 0)
    one = ask("one", 121)  # made again: now the newest
    three = ask("three", 121)
    assert ask("one", 122) is one
    assert ask("three", 122) is three
    assert len(grants._young) == 2
    assert ask("two", 100) != two
