"""Test cards: what each number does. Pure; no number but these is ever accepted or kept.

Numbers, names and behaviour: https://docs.stripe.com/testing
"""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["succeed", "challenge", "decline"]
Refunding = Literal["at_once", "waits", "fails"]


@dataclass(frozen=True)
class Decline:
    """Why a card was declined, in Stripe's codes."""

    code: str
    decline_code: str | None
    message: str
    param: str | None = None


GENERIC = Decline("card_declined", "generic_decline", "Your card was declined.")
FUNDS = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.", "exp_month")
CVC = Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.", "cvc")
AUTHENTICATION = Decline(
    "payment_intent_authentication_failure",
    None,
    "We are unable to authenticate your payment method. Please choose a different payment method "
    "and try again.",
)
SETUP_AUTHENTICATION = Decline(
    "setup_intent_authentication_failure",
    None,
    "The latest attempt to set up the payment method has failed because authentication failed.",
)
# The holder is not there to be asked: the bank declines, and the holder has to come.
NEEDS_HOLDER = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)


@dataclass(frozen=True)
class TestCard:
    """One test number and its behaviour."""

    __test__ = False  # pytest would take the name for a test class

    number: str
    brand: str
    label: str
    alias: str
    decline: Decline | None = None
    needs_authentication: bool = False
    always_authenticates: bool = False
    declines_off_session: bool = False
    refund: Refunding = "at_once"
    is_disputed: bool = False


TEST_CARDS = {
    card.number: card
    for card in (
        TestCard("4242424242424242", "visa", "success", "pm_card_visa"),
        TestCard("5555555555554444", "mastercard", "success", "pm_card_mastercard"),
        TestCard(
            "4000000000000002", "visa", "declined", "pm_card_visa_chargeDeclined", decline=GENERIC
        ),
        TestCard(
            "4000000000009995",
            "visa",
            "insufficient funds",
            "pm_card_visa_chargeDeclinedInsufficientFunds",
            decline=FUNDS,
        ),
        TestCard(
            "4000000000000069",
            "visa",
            "expired",
            "pm_card_chargeDeclinedExpiredCard",
            decline=EXPIRED,
        ),
        TestCard(
            "4000000000000127",
            "visa",
            "wrong security code",
            "pm_card_chargeDeclinedIncorrectCvc",
            decline=CVC,
        ),
        TestCard(
            "4000002500003155",
            "visa",
            "3-D Secure",
            "pm_card_authenticationRequiredOnSetup",
            needs_authentication=True,
        ),
        TestCard(
            "4000002760003184",
            "visa",
            "3-D Secure every time",
            "pm_card_authenticationRequired",
            needs_authentication=True,
            always_authenticates=True,
        ),
        TestCard(
            "4000000000000341",
            "visa",
            "fails on renewal",
            "pm_card_chargeCustomerFail",
            declines_off_session=True,
        ),
        TestCard(
            "4000000000007726", "visa", "refund waits", "pm_card_pendingRefund", refund="waits"
        ),
        TestCard("4000000000005126", "visa", "refund fails", "pm_card_refundFail", refund="fails"),
        TestCard("4000000000000259", "visa", "disputed", "pm_card_createDispute", is_disputed=True),
    )
}
ALIASES = {card.alias: card for card in TEST_CARDS.values()}


def decide(
    card: TestCard, *, off_session: bool, authenticated: bool, set_up: bool = True
) -> tuple[Verdict, Decline]:
    """What the bank says. The decline is meaningful only with the verdict ``decline``.

    ``set_up``: whether the holder agreed, when the card was saved, that it is charged later.
    """
    if card.decline is not None:
        return "decline", card.decline
    if off_session:
        if card.declines_off_session:
            return "decline", GENERIC
        if card.always_authenticates or (card.needs_authentication and not set_up):
            return "decline", NEEDS_HOLDER
        return "succeed", GENERIC
    if card.needs_authentication and not authenticated:
        return "challenge", GENERIC
    return "succeed", GENERIC


def digits(text: str) -> str:
    """The number without the spaces people type."""
    return "".join(char for char in text if not char.isspace() and char != "-")


def passes_luhn(number: str) -> bool:
    """The check digit that every card number carries (ISO/IEC 7812)."""
    if not (number.isascii() and number.isdigit() and 12 <= len(number) <= 19):
        return False
    total = 0
    for place, char in enumerate(reversed(number)):
        value = int(char) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def problem_with(
    number: str, month: int, year: int, cvc: str, *, today: tuple[int, int]
) -> str | None:
    """The first thing wrong with a typed card, as a key of the page's words, or None.

    ``today`` is (year, month). A number that is not a test number is refused here, before
    anything is stored: a real card must never enter the sandbox.
    """
    if not passes_luhn(number):
        return "incorrect_number"
    if number not in TEST_CARDS:
        return "not_a_test_card"
    if not 1 <= month <= 12:
        return "invalid_expiry"
    if (year, month) < today or year > today[0] + 50:
        return "invalid_expiry"
    if not (cvc.isascii() and cvc.isdigit() and 3 <= len(cvc) <= 4):
        return "invalid_cvc"
    return None
