"""The Stripe adapter against the sandbox: pages, charges without the holder, outcomes that are unknown.

What is answered, notified and looked up is the same fact.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from services.billing.payments.adapters.port import (
    Captured,
    Failed,
    GoneError,
    Look,
    MethodGone,
    MethodSaved,
    NotOurs,
    Page,
    PageClosed,
    PageOpen,
    Processing,
    ProviderFailedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from services.billing.payments.adapters.stripe import StripeProvider
from tests.integration.billing.stripe_till import (
    ALWAYS_SECURE,
    CHARGE,
    DECLINED,
    FAILS_LATER,
    GOOD,
    IBAN_FAILS,
    IBAN_PAYS,
    MASTERCARD,
    Till,
)


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    made = Till()
    yield made
    await made.close()


# -- pages ----------------------------------------------------------------------------------


async def test_a_page_is_open_until_it_is_paid_and_the_card_is_kept(till: Till) -> None:
    page = await till.open()
    assert await till.provider.page_facts(page.id) == PageOpen(CHARGE, page.url)
    till.now += timedelta(minutes=5)
    await till.pay(page)
    fact = await till.provider.page_facts(page.id)
    assert isinstance(fact, Captured) and fact.method is not None
    assert fact == Captured(CHARGE, fact.reference, 59_000, "VND", till.now, fact.method)
    assert (fact.method.label, fact.method.expires_on) == ("Visa •••• 4242", date(2034, 12, 31))
    assert fact.method.customer.startswith("cus_")
    bare = replace(fact, method=replace(fact.method, label="", expires_on=None))
    assert await till.told() == [bare, Look("page", page.id)]
    assert await till.seen("checkout.session.completed") == [fact]
    assert await till.provider.look(Look("payment", fact.reference)) == fact
    assert await till.provider.charge_facts(fact.reference) == fact
    assert await till.provider.close_page(page.id) == fact
    assert await till.provider.method(fact.method.id) == fact.method


@pytest.mark.parametrize("email", ["lan@example.vn", ""])
async def test_a_page_that_keeps_nothing_says_all_in_its_own_event(till: Till, email: str) -> None:
    form = {"email": "lan@example.vn"} if not email else {}
    page = await till.open(keeps=False, email=email)
    await till.reader.post(
        urlsplit(page.url).path,
        data={"number": GOOD, "expiry": "12/34", "cvc": "123", "name": "Lan", **form},
    )
    fact = await till.provider.page_facts(page.id)
    assert isinstance(fact, Captured) and fact.method is None
    assert await till.told() == [fact, fact]


async def test_a_known_customer_keeps_a_second_card(till: Till) -> None:
    first = await till.saved()
    second = await till.paid(MASTERCARD, customer=first.customer, email="")
    assert second.method is not None and second.method.customer == first.customer
    assert second.method.label == "Mastercard •••• 4444"


async def test_a_decline_on_a_page_is_not_the_end(till: Till) -> None:
    page = await till.open()
    await till.pay(page, DECLINED)
    assert await till.provider.page_facts(page.id) == PageOpen(CHARGE, page.url)
    assert await till.told() == [NotOurs()]
    await till.pay(page)
    fact = await till.provider.page_facts(page.id)
    assert isinstance(fact, Captured)
    # The first news is still the decline's; looked up again, it is what has become of it.
    assert (await till.told())[0] == NotOurs()
    assert await till.provider.look(Look("payment", fact.reference)) == fact


async def test_a_closed_page_takes_no_money(till: Till) -> None:
    page = await till.open()
    await till.pay(page, DECLINED)
    assert await till.provider.close_page(page.id) == PageClosed(CHARGE)
    assert await till.provider.close_page(page.id) == PageClosed(CHARGE)
    assert await till.told("checkout.session.expired") == [PageClosed(CHARGE)]
    with pytest.raises(ProviderRefusedError):
        await till.provider.page_facts("cs_test_unknown")
    for wrong in ("", "cs_1/../x", "cs 1"):
        with pytest.raises(ProviderRefusedError, match="is not an id"):
            await till.provider.page_facts(wrong)


async def test_a_page_of_nothing_only_keeps_the_card(till: Till) -> None:
    page = await till.open(amount_vnd=0)
    assert await till.provider.page_facts(page.id) == PageOpen(CHARGE, page.url)
    await till.pay(page)
    fact = await till.provider.page_facts(page.id)
    assert isinstance(fact, MethodSaved) and fact.charge_id == CHARGE
    assert fact.method.label == "Visa •••• 4242"
    assert await till.told() == [Look("page", page.id)]
    assert await till.seen() == [fact]
    await till.provider.revoke(fact.method.id)
    gone = await till.provider.page_facts(page.id)
    assert isinstance(gone, Failed) and gone.method_gone and gone.charge_id == CHARGE


async def test_the_same_key_is_the_same_page_and_another_wish_under_it_is_refused(
    till: Till,
) -> None:
    spec = till.spec()
    first = await till.provider.open_page(spec)
    assert await till.provider.open_page(spec) == first
    with pytest.raises(ProviderRefusedError):
        await till.provider.open_page(replace(spec, amount_vnd=1))


# -- mandates -------------------------------------------------------------------------------


async def test_a_card_that_was_kept_is_charged_without_its_holder(till: Till) -> None:
    paid = await till.paid(charge_id=UUID(int=1))
    assert paid.method is not None
    till.now += timedelta(days=30)
    spec = till.mandate(paid.method)
    fact = await till.provider.charge(spec)
    assert fact == Captured(CHARGE, fact.reference, 59_000, "VND", till.now, paid.method)
    assert await till.provider.charge(spec) == fact
    assert await till.provider.find_charge(CHARGE, paid.method.customer) == fact
    assert await till.provider.find_charge(UUID(int=1), paid.method.customer) == paid
    assert await till.provider.find_charge(UUID(int=2), paid.method.customer) is None
    told = (await till.told("payment_intent.succeeded"))[-1]
    assert told == replace(fact, method=replace(paid.method, label="", expires_on=None))


@pytest.mark.parametrize(
    ("number", "code", "needs_holder"),
    [
        (FAILS_LATER, "generic_decline", False),
        (ALWAYS_SECURE, "authentication_required", True),
    ],
)
async def test_a_decline_without_the_holder_is_the_end_of_that_charge(
    till: Till, number: str, code: str, needs_holder: bool
) -> None:
    method = await till.saved(number)
    fact = await till.provider.charge(till.mandate(method))
    assert fact.reference.startswith("pi_")
    assert fact == Failed(CHARGE, fact.reference, code, needs_holder=needs_holder)
    assert await till.told("payment_intent.payment_failed") == [fact]
    assert await till.provider.find_charge(CHARGE, method.customer) == fact
    assert await till.provider.look(Look("payment", fact.reference)) == fact


async def test_of_several_tries_the_one_that_took_the_money_is_found(till: Till) -> None:
    bad = await till.saved(FAILS_LATER)
    page = await till.open(amount_vnd=0, customer=bad.customer, email="")
    await till.pay(page)
    saved = await till.provider.page_facts(page.id)
    assert isinstance(saved, MethodSaved)
    assert isinstance(await till.provider.charge(till.mandate(bad)), Failed)
    good = await till.provider.charge(till.mandate(saved.method))
    assert isinstance(await till.provider.charge(till.mandate(bad)), Failed)
    assert await till.provider.find_charge(CHARGE, bad.customer) == good


async def test_a_bank_debit_is_processing_until_the_bank_answers(till: Till) -> None:
    await till.switch(bank_debits=True)
    page = await till.open()
    await till.debit(page, IBAN_PAYS)
    waiting = await till.provider.page_facts(page.id)
    assert isinstance(waiting, Processing) and waiting.charge_id == CHARGE
    assert await till.told() == [waiting, waiting]
    till.now += timedelta(days=4)
    await till.bank(f"payment_intents/{waiting.reference}/settle", outcome="succeed")
    fact = await till.provider.page_facts(page.id)
    assert isinstance(fact, Captured) and fact.method is not None
    assert fact == Captured(CHARGE, waiting.reference, 59_000, "VND", till.now, fact.method)
    assert (fact.method.label, fact.method.expires_on) == ("SEPA •••• 3204", None)
    assert await till.seen("checkout.session.async_payment_succeeded") == [fact]
    (told,) = await till.told("payment_intent.succeeded")
    assert isinstance(told, Captured) and told.captured_at == till.now

    again = till.mandate(fact.method, charge_id=UUID(int=8))
    waits = await till.provider.charge(again)
    assert waits == Processing(UUID(int=8), waits.reference)
    assert await till.provider.find_charge(UUID(int=8), fact.method.customer) == waits
    await till.bank(f"payment_intents/{waits.reference}/settle", outcome="fail")
    code = "payment_intent_payment_attempt_failed"
    failed = Failed(UUID(int=8), waits.reference, code)
    assert await till.provider.charge_facts(waits.reference) == failed
    assert await till.told("payment_intent.payment_failed") == [failed]


async def test_a_bank_debit_that_fails_ends_its_page(till: Till) -> None:
    await till.switch(bank_debits=True)
    page = await till.open()
    await till.debit(page, IBAN_FAILS)
    waiting = await till.provider.page_facts(page.id)
    assert isinstance(waiting, Processing)
    await till.bank(f"payment_intents/{waiting.reference}/settle", outcome="fail")
    fact = Failed(CHARGE, waiting.reference, "payment_intent_payment_attempt_failed")
    assert await till.provider.page_facts(page.id) == fact
    assert await till.provider.close_page(page.id) == fact
    assert await till.told("payment_intent.payment_failed") == [NotOurs()]
    assert await till.seen("checkout.session.async_payment_failed") == [fact]


async def test_a_customer_who_was_deleted_is_gone_with_every_card(till: Till) -> None:
    method = await till.saved()
    assert await till.provider.look(Look("customer", method.customer)) == NotOurs()
    assert await till.provider.look(Look("method", method.id)) == NotOurs()
    await till.provider._call("delete", f"/v1/customers/{method.customer}")
    gone = [MethodGone(method=method.id), MethodGone(customer=method.customer)]
    assert await till.told("payment_method.detached", "customer.deleted") == gone
    assert await till.provider.look(Look("method", method.id)) == gone[0]
    assert await till.provider.look(Look("customer", method.customer)) == gone[1]
    assert await till.provider.look(Look("customer", "cus_never")) == MethodGone(
        customer="cus_never"
    )
    for amount in (59_000, 0):
        with pytest.raises(GoneError):
            await till.open(customer=method.customer, email="", amount_vnd=amount)
    fact = await till.provider.charge(till.mandate(method))
    assert fact == Failed(CHARGE, "", "resource_missing", method_gone=True)
    assert await till.provider.find_charge(CHARGE, method.customer) is None


async def test_a_card_that_was_let_go_is_never_charged_again(till: Till) -> None:
    method, other = await till.saved(), await till.saved()
    paid = await till.provider.charge(till.mandate(method, charge_id=UUID(int=1)))
    assert isinstance(paid, Captured) and paid.method == method
    await till.provider.revoke(method.id)
    await till.provider.revoke(method.id)
    await till.provider.revoke("pm_never")
    for missing in (method.id, "pm_never"):
        with pytest.raises(GoneError):
            await till.provider.method(missing)
    gone = Failed(CHARGE, "", "resource_missing", method_gone=True)
    for wrong in (method, replace(method, id="pm_never"), replace(method, id=other.id)):
        assert await till.provider.charge(till.mandate(wrong)) == gone
    assert await till.provider.charge_facts(paid.reference) == replace(paid, method=None)
    with pytest.raises(ProviderRefusedError):
        await till.provider.charge(till.mandate(other, amount_vnd=0))


# -- unknown outcomes -----------------------------------------------------------------------


@pytest.mark.parametrize("effect", [False, True])
async def test_a_stored_failure_is_looked_up_and_tried_under_another_key(
    till: Till, effect: bool
) -> None:
    method = await till.saved()
    await till.switch(fail_creates=1, fail_after_effect=effect)
    spec = till.mandate(method)
    for _ in range(2):
        with pytest.raises(ProviderFailedError):
            await till.provider.charge(spec)
    found = await till.provider.find_charge(CHARGE, method.customer)
    assert isinstance(found, Captured) is effect
    if not effect:
        assert found is None
        again = await till.provider.charge(replace(spec, key="another"))
        assert isinstance(again, Captured)


@pytest.mark.parametrize("effect", [False, True])
async def test_after_a_closed_connection_the_same_key_gives_the_same_payment(
    till: Till, effect: bool
) -> None:
    method = await till.saved()
    await till.switch(no_answer=1, no_answer_after_effect=effect)
    spec = till.mandate(method)
    with pytest.raises(ProviderUnavailableError) as unknown:
        await till.provider.charge(spec)
    assert not isinstance(unknown.value, ProviderFailedError)
    known = await till.provider.find_charge(CHARGE, method.customer)
    fact = await till.provider.charge(spec)
    assert isinstance(fact, Captured)
    assert known == (fact if effect else None)
    assert await till.provider.find_charge(CHARGE, method.customer) == fact


async def test_a_key_still_in_use_is_no_decision(till: Till) -> None:
    spec = till.spec()
    await till.switch(slow_seconds=0.2)
    answers = await asyncio.gather(
        till.provider.open_page(spec), till.provider.open_page(spec), return_exceptions=True
    )
    assert {type(one) for one in answers} == {Page, ProviderUnavailableError}
    await till.switch(slow_seconds=0)
    assert await till.provider.open_page(spec) in answers


async def test_a_wrong_key_is_not_an_answer(till: Till) -> None:
    wrong = till.as_who("sk_wrong")
    for asked in (wrong.page_facts("cs_1"), wrong.method("pm_1"), wrong.look(Look("refund", "r"))):
        with pytest.raises(ProviderUnavailableError):
            await asked
    await wrong.close()


async def test_without_a_key_nothing_is_sent() -> None:
    off = StripeProvider("")
    with pytest.raises(ProviderRefusedError, match="STRIPE_SECRET_KEY is empty"):
        await off.page_facts("cs_1")
    await off.close()
