"""All invariants of billing."""

from __future__ import annotations

from services.billing.invariants import journal, money, sold
from services.billing.invariants.invariant import Invariant
from services.billing.networks import checks as networks
from services.billing.offers import checks as offers
from services.billing.seats import checks as seats

ALL: tuple[Invariant, ...] = (
    journal.LedgerBalances(),
    journal.BalancesFollowTheJournal(),
    journal.DeferredRollsForward(),
    journal.BooksKeepTheCalendar(),
    money.CapturedIsSettled(),
    money.DisputesAreBooked(),
    money.PayoutsAreBooked(),
    money.RefundsAreBooked(),
    money.TransfersAreBooked(),
    money.GiftsAreOwed(),
    sold.OrdersArePaidOnce(),
    sold.PaidInvoicesHaveEntitlements(),
    sold.BundlesOpenWhatWasPaidFor(),
    money.ContributionsAreEarned(),
    sold.InboxIsHandled(),
    sold.RefundsWithinCaptured(),
    sold.MrrMovementsSum(),
    sold.MrrRollsForward(),
    sold.PeriodsDoNotOverlap(),
    journal.InvoicesAreNumberedWithoutGaps(),
    journal.PaymentsHaveInvoices(),
    seats.SeatsArePaidFor(),
    seats.MembersReadAsTheirOwners(),
    networks.NetworksAreToldAndEnd(),
    offers.OffersAreCounted(),
)
