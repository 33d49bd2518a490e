"""The metrics of a month as lines with words, for a page and for files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from services.billing.insight import rules
from services.billing.insight.rules import ReaderRevenue

Unit = Literal["vnd", "readers", "count"]
MRR, WHO_PAYS, RENEWALS = (
    "Monthly recurring revenue",
    "Active paid readers",
    "Renewal of what ended",
)
LOST, LOST_VND = "Readers who left", "Recurring revenue that ended"
TRIALS, DUNNING = "Trials that ended", "Renewals that a card refused"
#: The groups in their order, each with what its figures mean.
GROUPS = {
    MRR: "What running subscriptions bring in a month, net of VAT: the price less its discount, divided by the months of the period (a week counts 52 times a year). A subscription counts from the day it is paid to the day it is over, also in the days of grace; a trial, a pass and an article do not. New: a reader's first. Reactivation: back after nothing. Expansion and contraction: another price or plan. Churn: nothing any more. Opening and movements make the closing. Of a renewing plan that was canceled and still runs it is ending. ARR is twelve times, ARPU a share for each active paid reader.",
    WHO_PAYS: "Readers with a period or a pass that was paid for, was not given back whole and ran when the month ended; a gift counts for who redeemed it. Trials, articles (single or of a bundle) and contributions do not count. Each reader counts once: first as renewing, then as ending, then by a term, then by a pass.",
    RENEWALS: "Periods that ended in the month, were paid for and kept to their end; another plan in the middle of one is no end. Renewed: within 7 days after the end the reader had paid for a further period, of whatever plan. The last days of a month are final 7 days after it.",
    LOST: "Of the readers with recurring revenue when the month began, those who had none when it ended, by the reason of their last loss. Of their own will: canceled, or given back whole. A renewal was not paid: every try failed until the grace was over. A prepaid term that is over and was not renewed stands apart, and so does a pause.",
    LOST_VND: "The churn of the month by the same reasons, as a share of the recurring revenue when it began.",
    TRIALS: "Trials whose last day was in the month; paid: the reader's first payment came by 7 days after the end.",
    DUNNING: "Renewals with at least one refused try: paid in the month after all, or closed in it because nobody paid in time.",
}
COHORTS = "Cohorts by month of the first payment"
COHORTS_HELP = "Readers by the month in which they first paid for a period or a pass themselves, and the share of them who were active paid readers at the end of the first, second, … month after it."
#: Reasons as they stand on the page: canceled and given back are one.
CAUSES = {
    "Of their own will": rules.VOLUNTARY,
    "A renewal was not paid": (rules.UNPAID,),
    "A term was over": (rules.LAPSED,),
    "Paused": (rules.PAUSED,),
}
MOVED = {
    "new": "New",
    "expansion": "Expansion",
    "contraction": "Contraction",
    "churn": "Churn",
    "reactivation": "Reactivation",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A line: English words that are translated where they are shown, a whole number, and a share of 1 where it is one."""

    group: str
    words: str
    value: int
    unit: Unit
    rate: float | None = None


def figures(found: ReaderRevenue) -> list[Figure]:
    return [*_recurring(found), *_readers(found), *_renewals(found), *_left(found), *_rest(found)]


def _recurring(found: ReaderRevenue) -> Iterator[Figure]:
    of = found.recurring
    lines = {
        "At the beginning": of.opening_vnd,
        **{words: of.moved_vnd[movement] for movement, words in MOVED.items()},
        "At the end": of.closing_vnd,
        "Of it: renews": of.committed_vnd,
        "Of it: ending, will not renew": of.ending_vnd,
        "Of it: prepaid terms": of.prepaid_vnd,
        "A year at this rate (ARR)": of.yearly_vnd,
    }
    for words, vnd in lines.items():
        yield Figure(MRR, words, vnd, "vnd")
    if found.arpu_vnd is not None:
        yield Figure(MRR, "For each active paid reader (ARPU)", found.arpu_vnd, "vnd")


def _readers(found: ReaderRevenue) -> Iterator[Figure]:
    of = found.paid
    lines = {
        "All": of.active,
        "With a plan that renews": of.committed,
        "With a plan that will not renew": of.ending,
        "With a prepaid term": of.prepaid,
        "With a pass only": of.passes,
    }
    for words, readers in lines.items():
        rate = None if words == "All" else rules.share(readers, of.active)
        yield Figure(WHO_PAYS, words, readers, "readers", rate)


def _renewals(found: ReaderRevenue) -> Iterator[Figure]:
    for way, ended, followed in (
        ("renewal", "Plans that renew: periods that ended", "Plans that renew: renewed"),
        ("term", "Prepaid terms: periods that ended", "Prepaid terms: renewed"),
    ):
        of = found.renewals[way]
        yield Figure(RENEWALS, ended, of.ended, "count")
        yield Figure(RENEWALS, followed, of.followed, "count", of.rate)


def _left(found: ReaderRevenue) -> Iterator[Figure]:
    of = found.churn
    yield Figure(LOST, "Readers when the month began", of.opening, "readers")
    yield Figure(LOST, "Have left", sum(of.lost.values()), "readers", of.logo_rate)
    for words, reasons in CAUSES.items():
        count = sum(of.lost.get(one, 0) for one in reasons)
        yield Figure(LOST, words, count, "readers", of.rates_of(*reasons)[0])
    yield Figure(LOST_VND, "All", sum(of.lost_vnd.values()), "vnd", of.revenue_rate)
    for words, reasons in CAUSES.items():
        vnd = sum(of.lost_vnd.get(one, 0) for one in reasons)
        yield Figure(LOST_VND, words, vnd, "vnd", of.rates_of(*reasons)[1])


def _rest(found: ReaderRevenue) -> Iterator[Figure]:
    yield Figure(TRIALS, "Ended", found.trials.ended, "count")
    yield Figure(TRIALS, "Paid in time", found.trials.followed, "count", found.trials.rate)
    of = found.dunning
    yield Figure(DUNNING, "Paid in the end", of.recovered, "count", of.rate)
    yield Figure(DUNNING, "Sum of what was paid", of.recovered_vnd, "vnd")
    yield Figure(DUNNING, "Closed unpaid", of.lost, "count")
    yield Figure(DUNNING, "Sum of what was closed", of.lost_vnd, "vnd")
