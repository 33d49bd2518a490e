"""Test cards: what each number does. Pure; no number but these is ever accepted or kept."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["succeed", "challenge", "decline"]


@dataclass(frozen=True)
class Decline:
    """Why a card was declined, in Stripe's codes."""

    code: str
    decline_code: str | None
    message: str


GENERIC = Decline("card_declined", "generic_decline", "Your card was declined.")
FUNDS = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.")
CVC = Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.")
AUTHENTICATION = Decline(
    "payment_intent_authentication_failure",
    None,
    "We are unable to authenticate your payment method. Please choose a different payment method "
    "and try again.",
)


@dataclass(frozen=True)
class TestCard:
    """One test number and its behaviour."""

    __test__ = False  # pytest would take the name for a test class

    number: str
    brand: str
    label: str
    decline: Decline | None = None
    needs_authentication: bool = False
    declines_off_session: bool = False


TEST_CARDS = {
    card.number: card
    for card in (
        TestCard("4242424242424242", "visa", "success"),
        TestCard("5555555555554444", "mastercard", "success"),
        TestCard("4000000000000002", "visa", "declined", decline=GENERIC),
        TestCard("4000000000009995", "visa", "insufficient funds", decline=FUNDS),
        TestCard("4000000000000069", "visa", "expired", decline=EXPIRED),
        TestCard("4000000000000127", "visa", "wrong security code", decline=CVC),
        TestCard("4000002500003155", "visa", "3-D Secure", needs_authentication=True),
        TestCard("4000000000000341", "visa", "fails on renewal", declines_off_session=True),
    )
}


def decide(card: TestCard, *, off_session: bool, authenticated: bool) -> tuple[Verdict, Decline]:
    """What the bank says. The decline is meaningful only with the verdict ``decline``."""
    if card.decline is not None:
        return "decline", card.decline
    if off_session:
        # A card authenticated when it was saved renews without its holder.
        return ("decline", GENERIC) if card.declines_off_session else ("succeed", GENERIC)
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
