"""One payment, a saved card, and charging it later: with its holder there or not."""

from collections.abc import AsyncIterator

import pytest
import stripe

from .stripe_sandbox_fixtures import (
    ALWAYS_SECURE,
    DECLINED,
    FAILS_LATER,
    GOOD,
    IBAN_FAILS,
    IBAN_PAYS,
    NO_FUNDS,
    SECURE,
    World,
)
from .stripe_shapes import must_fit


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


async def types(world: World) -> list[str]:
    return [event.type for event in await world.events()]


# -- Checkout, mode=payment ------------------------------------------------------------------------


async def test_a_payment_saves_its_card_where_asked(world: World) -> None:
    session = await world.single(
        customer_creation="always",
        client_reference_id="order-7",
        metadata={"order": "7"},
        payment_intent_data={"setup_future_usage": "off_session", "metadata": {"order": "7"}},
        expires_at=int(world.time) + 1800,
        locale="vi",
    )
    page = (await world.browser.get(f"/c/pay/{session.id}")).text
    assert "đồng ý để cách thanh toán này được dùng cho các lần gia hạn sau" in page
    await world.pay(session)
    done = await world.reread(session, "payment_intent.latest_charge.balance_transaction")
    intent = done.payment_intent
    assert (done.status, done.payment_status) == ("complete", "paid")
    assert (intent.status, intent.metadata.to_dict()) == ("succeeded", {"order": "7"})
    entry = intent.latest_charge.balance_transaction
    assert (entry.amount, entry.fee, entry.net) == (12_000, 348, 11_652)
    kept = await world.stripe.v1.payment_methods.retrieve_async(intent.payment_method)
    assert kept.customer == done.customer
    assert await types(world) == [
        "payment_intent.created",
        "customer.created",
        "payment_method.attached",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]
    later = await world.charge_saved(done.customer, intent.payment_method)
    assert later.status == "succeeded"


async def test_a_payment_that_saves_nothing_leaves_a_card_that_cannot_be_used_again(
    world: World,
) -> None:
    session = await world.single(customer_creation="always")
    await world.pay(session)
    done = await world.reread(session, "payment_intent")
    with pytest.raises(stripe.InvalidRequestError, match="previously used"):
        await world.charge_saved(done.customer, done.payment_intent.payment_method)


async def test_an_order_of_nothing_is_complete_without_card_and_intent(world: World) -> None:
    session = await world.single(0, customer_creation="always")
    assert session.payment_status == "no_payment_required"
    page = (await world.browser.get(f"/c/pay/{session.id}")).text
    assert "Hoàn tất" in page and 'name="number"' not in page
    answer = await world.browser.post(f"/c/pay/{session.id}", data={})
    assert answer.headers["location"].startswith("http://bao.example/cam-on")
    done = await world.reread(session, "customer")
    assert (done.status, done.payment_status) == ("complete", "no_payment_required")
    assert done.payment_intent is None
    assert done.customer.email == "doc.gia@example.vn"
    assert (await world.stripe.v1.payment_intents.list_async()).data == []
    assert await types(world) == ["customer.created", "checkout.session.completed"]


async def test_the_intent_of_an_expired_session_takes_no_money(world: World) -> None:
    session = await world.single()
    await world.pay(session, DECLINED)
    intent = (await world.reread(session)).payment_intent
    await world.stripe.v1.checkout.sessions.expire_async(session.id)
    after = await world.stripe.v1.payment_intents.retrieve_async(intent)
    assert after.status == "canceled"
    assert (await types(world))[-2:] == ["payment_intent.canceled", "checkout.session.expired"]


@pytest.mark.parametrize(
    ("iban", "status", "session_status", "event"),
    [
        (IBAN_PAYS, "succeeded", "paid", "checkout.session.async_payment_succeeded"),
        (
            IBAN_FAILS,
            "requires_payment_method",
            "unpaid",
            "checkout.session.async_payment_failed",
        ),
    ],
)
async def test_a_bank_debit_is_processing_until_its_time_has_come(
    world: World, iban: str, status: str, session_status: str, event: str
) -> None:
    await world.switch(bank_debits=True)
    session = await world.single(payment_intent_data={"setup_future_usage": "off_session"},
                                 customer_creation="always")  # fmt: skip
    answer = await world.debit(session, iban)
    assert answer.headers["location"].startswith("http://bao.example/cam-on")
    done = await world.reread(session, "payment_intent.latest_charge")
    assert (done.status, done.payment_status) == ("complete", "unpaid")
    assert done.payment_intent.status == "processing"
    assert done.payment_intent.latest_charge.status == "pending"
    assert done.payment_intent.latest_charge.balance_transaction is None

    await world.later(179)
    assert (await world.reread(session, "payment_intent")).payment_intent.status == "processing"
    await world.later(2)
    done = await world.reread(session, "payment_intent.latest_charge")
    assert (done.payment_intent.status, done.payment_status) == (status, session_status)
    assert (await types(world))[-1] == event
    if status == "succeeded":
        assert done.payment_intent.latest_charge.balance_transaction
        again = await world.charge_saved(done.customer, done.payment_intent.payment_method)
        assert again.status == "processing"
    else:
        assert done.payment_intent.last_payment_error.code


async def test_the_control_page_answers_for_the_bank(world: World) -> None:
    await world.switch(bank_debits=True)
    session = await world.single()
    await world.debit(session)
    intent = (await world.reread(session)).payment_intent
    settled = await world.act(f"payment_intents/{intent}/settle", outcome="fail")
    assert settled["status"] == "requires_payment_method"
    refused = await world.control(f"/sandbox/payment_intents/{intent}/settle", {"outcome": "fail"})
    assert refused.status_code == 400
    await world.later()  # what was noted for later finds nothing to do
    assert (await world.reread(session)).payment_status == "unpaid"


async def test_a_debit_is_only_offered_where_it_is_switched_on(
    world: World,
) -> None:
    session = await world.single()
    assert session.payment_method_types == ["card"]
    assert (await world.debit(session)).status_code == 422
    await world.switch(bank_debits=True)
    assert (await world.single()).payment_method_types == ["card", "sepa_debit"]


# -- Checkout, mode=setup --------------------------------------------------------------------------


async def test_a_setup_saves_a_card_and_charges_nothing(world: World) -> None:
    customer = await world.stripe.v1.customers.create_async({"email": "quen@example.vn"})
    session = await world.setup(customer=customer.id, setup_intent_data={"metadata": {"m": "1"}})
    assert (session.amount_total, session.payment_status) == (None, "no_payment_required")
    assert "Hôm nay không trừ tiền" in (await world.browser.get(f"/c/pay/{session.id}")).text
    await world.pay(session)
    done = await world.reread(session, "setup_intent.payment_method")
    assert done.status == "complete"
    assert done.setup_intent.status == "succeeded"
    assert done.setup_intent.payment_method.customer == customer.id
    assert done.setup_intent.metadata.to_dict() == {"m": "1"}
    assert (await world.stripe.v1.charges.list_async()).data == []
    assert await types(world) == [
        "customer.created",
        "setup_intent.created",
        "payment_method.attached",
        "setup_intent.succeeded",
        "checkout.session.completed",
    ]


async def test_a_setup_that_fails_takes_another_card(world: World) -> None:
    session = await world.setup(customer_creation="always")
    page = await world.browser.get((await world.pay(session, NO_FUNDS)).headers["location"])
    assert "không đủ số dư" in page.text
    await world.pay(session, SECURE)
    challenge = await world.browser.get(f"/c/pay/{session.id}/3ds")
    assert "việc lưu thẻ này" in challenge.text and "₫" not in challenge.text
    await world.browser.post(f"/c/pay/{session.id}/3ds", data={"answer": "refuse"})
    failed = await world.reread(session, "setup_intent")
    assert failed.setup_intent.last_setup_error.code == "setup_intent_authentication_failure"
    assert (await world.stripe.v1.customers.list_async()).data == []
    await world.pay(session)
    assert (await world.reread(session)).customer
    assert (await types(world)).count("setup_intent.setup_failed") == 2


async def test_a_setup_needs_its_currency_and_no_lines(world: World) -> None:
    with pytest.raises(stripe.InvalidRequestError) as wrong:
        await world.session(mode="setup")
    assert wrong.value.param == "currency"
    with pytest.raises(stripe.InvalidRequestError) as lines:
        await world.setup(line_items=[{"price": "price_x", "quantity": 1}])
    assert lines.value.param == "line_items"


# -- charging a saved card -------------------------------------------------------------------------


async def test_a_saved_card_is_charged_while_its_holder_is_away(world: World) -> None:
    customer, method = await world.saved()
    params = {"metadata": {"cycle": "1"}, "description": "Gói tháng"}
    first = await world.charge_saved(customer, method, key="cycle-1", **params)
    again = await world.charge_saved(customer, method, key="cycle-1", **params)
    assert first.id == again.id
    assert (first.status, first.amount_received) == ("succeeded", 59_000)
    listed = await world.stripe.v1.payment_intents.list_async({"customer": customer})
    assert [one.id for one in listed.data] == [first.id]
    charge = await world.stripe.v1.charges.retrieve_async(first.latest_charge)
    assert charge.metadata.to_dict() == {"cycle": "1"}


async def attached(world: World, name: str) -> tuple[str, str]:
    """A card attached by its test name: nobody was there to agree to later charges."""
    customer = await world.stripe.v1.customers.create_async({"email": "a@example.vn"})
    method = await world.stripe.v1.payment_methods.attach_async(name, {"customer": customer.id})
    return customer.id, method.id


@pytest.mark.parametrize(
    ("number", "code", "decline_code"),
    [
        (FAILS_LATER, "card_declined", "generic_decline"),
        (ALWAYS_SECURE, "authentication_required", "authentication_required"),
    ],
)
async def test_a_decline_tells_of_the_intent_it_leaves(
    world: World, number: str, code: str, decline_code: str
) -> None:
    customer, method = await world.saved(number)
    with pytest.raises(stripe.CardError) as refused:
        await world.charge_saved(customer, method, key="cycle-1")
    assert (refused.value.http_status, refused.value.code) == (402, code)
    error = refused.value.error
    assert error is not None and error.payment_intent is not None
    assert error.decline_code == decline_code
    assert error.payment_method is not None and error.payment_method.id == method
    intent = error.payment_intent
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.last_payment_error.code == code
    assert intent.last_payment_error.payment_method.id == method
    assert intent.latest_charge == error.charge
    charge = await world.stripe.v1.charges.retrieve_async(intent.latest_charge)
    assert (charge.status, charge.failure_code) == ("failed", code)
    must_fit(intent.to_dict())
    # The same key tells the same again and tries nothing.
    with pytest.raises(stripe.CardError) as replayed:
        await world.charge_saved(customer, method, key="cycle-1")
    assert replayed.value.error.payment_intent.id == intent.id
    assert (await types(world))[-2:] == ["charge.failed", "payment_intent.payment_failed"]


@pytest.mark.parametrize(
    ("name", "code", "decline_code", "param"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline", None),
        (
            "pm_card_visa_chargeDeclinedInsufficientFunds",
            "card_declined",
            "insufficient_funds",
            None,
        ),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card", "exp_month"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc", "cvc"),
    ],
)
async def test_each_bad_card_is_declined_in_its_own_words(
    world: World, name: str, code: str, decline_code: str, param: str | None
) -> None:
    customer = await world.stripe.v1.customers.create_async({"email": "a@example.vn"})
    with pytest.raises(stripe.CardError) as attaching:
        await world.stripe.v1.payment_methods.attach_async(name, {"customer": customer.id})
    assert attaching.value.code == code
    with pytest.raises(stripe.CardError) as refused:
        await world.charge_saved(customer.id, name)
    assert (refused.value.code, refused.value.param) == (code, param)
    assert refused.value.error.decline_code == decline_code


async def test_a_card_is_charged_later_only_if_its_holder_agreed_to_that(world: World) -> None:
    customer, method = await world.saved(SECURE)
    assert (await world.charge_saved(customer, method)).status == "succeeded"
    other, bare = await attached(world, "pm_card_authenticationRequiredOnSetup")
    with pytest.raises(stripe.CardError) as refused:
        await world.charge_saved(other, bare)
    assert refused.value.code == "authentication_required"


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"amount": 0}, "amount", "parameter_invalid_integer"),
        ({"currency": "usd"}, "currency", None),
        ({"confirm": False}, "confirm", None),
        ({"off_session": False}, "off_session", None),
        ({"customer": "cus_nowhere"}, "customer", "resource_missing"),
        ({"payment_method": "pm_nowhere"}, "payment_method", "resource_missing"),
        ({"return_url": "http://x.example"}, "return_url", "parameter_unknown"),
        ({"colour": "red"}, "colour", "parameter_unknown"),
        ({"payment_method_types": ["card"]}, "payment_method_types", "parameter_unknown"),
    ],
)
async def test_a_wrong_parameter_of_an_intent_is_named(
    world: World, change: dict[str, object], param: str, code: str | None
) -> None:
    customer, method = await world.saved()
    with pytest.raises(stripe.InvalidRequestError) as wrong:
        await world.charge_saved(customer, method, **change)
    assert (wrong.value.http_status, wrong.value.param, wrong.value.code) == (400, param, code)
    assert (await world.stripe.v1.payment_intents.list_async()).data == []


# -- cards and customers that are gone -------------------------------------------------------------


async def test_a_customer_that_was_deleted_is_missing_by_name(world: World) -> None:
    customer, method = await world.saved()
    await world.stripe.v1.customers.delete_async(customer)
    for make in (world.charge_saved(customer, method), world.single(customer=customer)):
        with pytest.raises(stripe.InvalidRequestError) as gone:
            await make
        assert (gone.value.http_status, gone.value.code) == (400, "resource_missing")
        assert gone.value.param == "customer"
        assert gone.value.user_message == f"No such customer: '{customer}'"
    card = await world.stripe.v1.payment_methods.retrieve_async(method)
    assert card.customer is None


async def test_a_detached_card_is_nobodys_default_and_of_no_more_use(world: World) -> None:
    customer, method = await world.saved()
    default = {"invoice_settings": {"default_payment_method": method}}
    changed = await world.stripe.v1.customers.update_async(customer, default)
    assert changed.invoice_settings.default_payment_method == method
    away = await world.stripe.v1.payment_methods.detach_async(method)
    assert away.customer is None
    again = await world.stripe.v1.customers.retrieve_async(customer)
    assert again.invoice_settings.default_payment_method is None
    assert (await types(world))[-2:] == ["customer.updated", "payment_method.detached"]
    with pytest.raises(stripe.InvalidRequestError, match="detached"):
        await world.charge_saved(customer, method)
    with pytest.raises(stripe.InvalidRequestError):
        await world.stripe.v1.payment_methods.attach_async(method, {"customer": customer})
    with pytest.raises(stripe.InvalidRequestError, match="not attached"):
        await world.stripe.v1.payment_methods.detach_async(method)


async def test_a_card_is_used_by_its_own_customer_only(world: World) -> None:
    customer, method = await world.saved(GOOD)
    other, own = await attached(world, "pm_card_mastercard")
    with pytest.raises(stripe.InvalidRequestError) as foreign:
        await world.charge_saved(other, method)
    assert (foreign.value.param, foreign.value.code) == ("payment_method", "resource_missing")
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        await world.stripe.v1.payment_methods.attach_async(method, {"customer": other})
    found = await world.stripe.v1.payment_methods.retrieve_async(own)
    assert (found.customer, found.card.brand) == (other, "mastercard")
    assert (await world.stripe.v1.payment_methods.retrieve_async(method)).customer == customer
