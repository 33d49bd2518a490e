"""Reader-revenue metrics of a random season of readers, recomputed from an account of our own, which knows no row of billing's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from services.billing.insight.rules import ReaderRevenue
from tests.integration.billing.invariants_read import broken
from tests.integration.billing.own_account import Person
from tests.integration.billing.own_periods import Bought
from tests.integration.billing.own_plans import HANOI
from tests.integration.billing.the_year import TICKS, Year
from tests.integration.billing.world import AGENCY
from tests.integration.billing.year_begun import begun_world

DAYS, READERS = 130, 8
WEEK = timedelta(days=7)


def start_of(first: date) -> datetime:
    return datetime(first.year, first.month, 1, tzinfo=HANOI)


def month_after(first: date) -> date:
    return (first.replace(day=28) + timedelta(days=4)).replace(day=1)


@dataclass
class Seen:
    """What stood at the end of a month, by reader: recurring revenue, of it what will not renew, of it terms, and who is paid for."""

    mrr: dict[str, int] = field(default_factory=dict)
    ending: int = 0
    prepaid: int = 0
    active: set[str] = field(default_factory=set)


def look(people: dict[str, Person], at: datetime) -> Seen:
    seen = Seen()
    for email, one in people.items():
        now = at - timedelta(microseconds=1)
        seen.mrr[email] = one.mrr(now)
        renewing = sum(row.mrr(now) for row in one.renewing)
        seen.ending += sum(row.mrr(now) for row in one.renewing if row.cancels)
        seen.prepaid += one.mrr(now) - renewing
        paid = [b for b in one.everything() if b.gross and b.scope == "site"]
        if any(b.kept and b.start <= now < b.until for b in paid):
            seen.active.add(email)
    return seen


class Season(Year):
    """A year, watched: when each payment came and went back, and what stood when each month ended."""

    months: dict[date, Seen]
    came: dict[int, datetime]
    gone: dict[int, datetime]
    cut: set[int]
    mended: dict[int, datetime]

    def watch(self) -> None:
        for one in self.people.values():
            for bought in one.everything():
                self.came.setdefault(id(bought), self.now)
                if not bought.kept:
                    self.gone.setdefault(id(bought), self.now)
                if bought.cut is not None:
                    self.cut.add(id(bought))
                elif id(bought) in self.cut:
                    self.mended.setdefault(id(bought), self.now)

    def kept_at(self, bought: Bought, at: datetime) -> bool:
        gone = self.gone.get(id(bought))
        return gone is None or gone > at

    def paid_in_time(self, email: str, ended: Bought) -> bool:
        late = ended.until + WEEK
        return any(
            one is not ended
            and one.until > ended.until
            and self.came[id(one)] < late
            and self.kept_at(one, late)
            and one.gross
            for one in self.people[email].periods()
        )


async def compare(season: Season, first: date, before: Seen) -> ReaderRevenue:
    """One month that is over against our own account of it."""
    seen = season.months[first]
    found = await season.world.billing.insight.month(AGENCY, first)
    where = f"{first:%Y-%m}"
    assert found.recurring.opening_vnd == sum(before.mrr.values()), where
    assert found.recurring.closing_vnd == sum(seen.mrr.values()), where
    assert found.recurring.ending_vnd == seen.ending, where
    assert found.recurring.prepaid_vnd == seen.prepaid, where
    assert found.paid.active == len(seen.active), where
    assert found.churn.opening == sum(1 for one in before.mrr.values() if one)
    lost = [email for email, vnd in before.mrr.items() if vnd and not seen.mrr[email]]
    assert sum(found.churn.lost.values()) == len(lost), where
    assert sum(found.churn.lost_vnd.values()) == -found.recurring.moved_vnd["churn"]
    ended = [
        (email, one)
        for email, person in season.people.items()
        for one in person.periods()
        if start_of(first) <= one.until < start_of(month_after(first))
        and season.kept_at(one, one.until) and one.gross and one.cut is None
        and season.mended.get(id(one), one.start) < one.until
    ]  # fmt: skip
    terms = [one for email, one in ended if one in season.people[email].terms]
    assert found.renewals["term"].ended == len(terms), where
    assert found.renewals["renewal"].ended == len(ended) - len(terms), where
    followed = sum(season.paid_in_time(email, one) for email, one in ended)
    assert sum(one.followed for one in found.renewals.values()) == followed, where
    return found


def first_paid(season: Season) -> dict[str, date]:
    firsts = {}
    for email, person in season.people.items():
        came = [
            season.came[id(one)]
            for one in person.everything()
            if one.gross and one.scope == "site" and not one.gift
        ]
        if came:
            firsts[email] = min(came).astimezone(HANOI).date().replace(day=1)
    return firsts


@pytest.mark.timeout(600)
async def test_a_season_measured_is_as_in_an_account_of_our_own(
    empty_url: str, tmp_path: Path
) -> None:
    async with begun_world(empty_url, tmp_path) as world:
        season = Season(world, 11, READERS)
        season.months, season.came, season.gone = {}, {}, {}
        season.cut, season.mended = set(), {}
        month = date(2028, 1, 1)
        early: dict[date, ReaderRevenue] = {}
        for _ in range(DAYS):
            for wait in TICKS:
                end = start_of(month_after(month))
                if world.clock.now() < end <= world.clock.now() + wait:
                    season.months[month] = look(season.people, end)
                    month = month_after(month)
                world.clock.advance(wait)
                await season.settle()
                if wait == TICKS[0]:
                    for person in season.people.values():
                        await season.act(person)
                        season.watch()
                    await season.settle()
                else:
                    await season.terms.pay_what_waits()
                season.watch()
            for first in season.months:
                if first not in early and world.clock.now() >= start_of(month_after(first)) + WEEK:
                    early[first] = await world.billing.insight.month(AGENCY, first)
        before, reasons = Seen(), Counter[str]()
        for first in season.months:
            found = await compare(season, first, before)
            assert found == early.get(first, found), "a month that is over and settled stays"
            reasons += Counter(found.churn.lost_vnd)
            before = season.months[first]
        assert len(season.months) == 5 and found.recurring.closing_vnd > 0
        assert len(reasons) >= 4, f"hardly happened: {reasons}"
        firsts = first_paid(season)
        for cohort in found.cohorts:
            own = {email for email, at in firsts.items() if at == cohort.first}
            assert cohort.readers == len(own), cohort
            at, paying = cohort.first, []
            while (at := month_after(at)) in season.months:
                paying.append(len(own & season.months[at].active))
            assert list(cohort.paying) == paying, cohort
        assert await broken(world.billing) == {}
