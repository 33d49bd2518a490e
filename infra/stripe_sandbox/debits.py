"""Bank debits: the asynchronous method. The bank answers later, yes or no.

Account numbers and what they do: https://docs.stripe.com/payments/sepa-debit/accept-a-payment
At Stripe this method takes euros only; here it takes what the payment is in, so that a payment in
đồng can stay ``processing`` too.
"""

from dataclasses import dataclass
from typing import Literal

TYPE = "sepa_debit"


@dataclass(frozen=True)
class TestAccount:
    """One test account number and its bank's answer."""

    __test__ = False  # pytest would take the name for a test class

    iban: str
    label: str
    outcome: Literal["succeed", "fail"]
    alias: str


TEST_ACCOUNTS = {
    account.iban: account
    for account in (
        TestAccount("AT321904300235473204", "debit succeeds", "succeed", "pm_successDelayed_at"),
        TestAccount("AT051904300235473205", "debit fails", "fail", "pm_failedDelayed_at"),
    )
}
ALIASES = {account.alias: account for account in TEST_ACCOUNTS.values()}


def compact(text: str) -> str:
    """The number without the spaces people type."""
    return "".join(char for char in text if not char.isspace()).upper()
