"""HTTP bodies of the reader-revenue metrics."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from services.billing.insight import rules
from services.billing.insight.rules import ReaderRevenue


class RecurringOut(BaseModel):
    """Monthly recurring revenue in đồng, net of VAT: ``opening_vnd`` + movements = ``closing_vnd`` = committed + ending + prepaid."""

    opening_vnd: int
    new_vnd: int
    expansion_vnd: int
    contraction_vnd: int
    churn_vnd: int
    reactivation_vnd: int
    closing_vnd: int
    committed_vnd: int = Field(description="Of plans that renew")
    ending_vnd: int = Field(description="Of plans that were canceled and still run")
    prepaid_vnd: int = Field(description="Of terms, which end by themselves")
    yearly_vnd: int = Field(description="ARR: twelve times the closing")
    arpu_vnd: int | None = Field(description="For each active paid reader; none where nobody pays")


class PaidOut(BaseModel):
    """Readers with a paid period or pass at the month's end, each counted once; trials are not."""

    active: int
    committed: int
    ending: int
    prepaid: int
    passes: int


class FollowedOut(BaseModel):
    """What ended in the month, and how much of it a payment followed by 7 days after."""

    ended: int
    followed: int
    rate: float | None


class ReasonOut(BaseModel):
    readers: int
    vnd: int


class ChurnOut(BaseModel):
    """Readers and recurring revenue that left, by reason: canceled and returned (given back) are their own will, unpaid is a renewal
    that nobody paid, lapsed a term that is over; paused comes back by itself."""

    opening_readers: int
    lost_readers: int
    logo_rate: float | None
    lost_vnd: int
    revenue_rate: float | None
    reasons: dict[str, ReasonOut]


class DunningOut(BaseModel):
    """Renewals with a refused try that were paid in the month, or closed in it."""

    recovered: int
    recovered_vnd: int
    lost: int
    lost_vnd: int
    rate: float | None


class CohortOut(BaseModel):
    """Readers by the month of their first payment, and how many still pay after 1, 2, … months."""

    month: str
    readers: int
    paying: list[int]


class ReaderRevenueOut(BaseModel):
    """Reader revenue of a month. ``over``: the month has ended; ``settled``: so have the 7 days in which a payment still follows."""

    agency: str
    month: str
    until: datetime = Field(description="What is dated before this counts")
    over: bool
    settled: bool
    recurring: RecurringOut
    readers: PaidOut
    renewals: dict[str, FollowedOut] = Field(description="By way: renewal, term")
    churn: ChurnOut
    trials: FollowedOut
    dunning: DunningOut
    cohorts: list[CohortOut]


def followed_of(one: rules.Followed) -> FollowedOut:
    return FollowedOut(ended=one.ended, followed=one.followed, rate=one.rate)


def out_of(agency: str, found: ReaderRevenue) -> ReaderRevenueOut:
    of, paid, lost, debts = found.recurring, found.paid, found.churn, found.dunning
    return ReaderRevenueOut(
        agency=agency,
        month=found.month.name,
        until=found.month.until,
        over=found.month.over,
        settled=found.month.settled,
        recurring=RecurringOut(
            opening_vnd=of.opening_vnd,
            **{f"{movement}_vnd": vnd for movement, vnd in of.moved_vnd.items()},
            closing_vnd=of.closing_vnd,
            committed_vnd=of.committed_vnd,
            ending_vnd=of.ending_vnd,
            prepaid_vnd=of.prepaid_vnd,
            yearly_vnd=of.yearly_vnd,
            arpu_vnd=found.arpu_vnd,
        ),
        readers=PaidOut(
            active=paid.active,
            committed=paid.committed,
            ending=paid.ending,
            prepaid=paid.prepaid,
            passes=paid.passes,
        ),
        renewals={way: followed_of(one) for way, one in found.renewals.items()},
        churn=ChurnOut(
            opening_readers=lost.opening,
            lost_readers=sum(lost.lost.values()),
            logo_rate=lost.logo_rate,
            lost_vnd=sum(lost.lost_vnd.values()),
            revenue_rate=lost.revenue_rate,
            reasons={
                one: ReasonOut(readers=lost.lost.get(one, 0), vnd=lost.lost_vnd.get(one, 0))
                for one in rules.REASONS
            },
        ),
        trials=followed_of(found.trials),
        dunning=DunningOut(
            recovered=debts.recovered,
            recovered_vnd=debts.recovered_vnd,
            lost=debts.lost,
            lost_vnd=debts.lost_vnd,
            rate=debts.rate,
        ),
        cohorts=[
            CohortOut(month=f"{one.first:%Y-%m}", readers=one.readers, paying=list(one.paying))
            for one in found.cohorts
        ],
    )
