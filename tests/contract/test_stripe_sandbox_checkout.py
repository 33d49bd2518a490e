"""Checkout through the SDK and the hosted page's form."""

from collections.abc import AsyncIterator

import pytest
import stripe

from infra.stripe_sandbox.settings import API_VERSION

from .stripe_sandbox_fixtures import DECLINED, NO_FUNDS, SECURE, World
from .stripe_shapes import PINNED_VERSION


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


def test_the_sandbox_speaks_the_version_that_the_sdk_pins() -> None:
    assert API_VERSION == PINNED_VERSION


async def test_a_paid_session_leaves_every_object_in_its_place(world: World) -> None:
    session = await world.session(
        client_reference_id="reader-7",
        metadata={"agency": "bao-mau", "0": "digits are a name too"},
        customer_creation="always",
    )
    assert (session.status, session.payment_status) == ("open", "unpaid")
    assert session.url.endswith(session.id)
    answer = await world.pay(session)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"http://bao.example/cam-on?phien={session.id}"

    done = await world.reread(session, "customer")
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    assert done.client_reference_id == "reader-7"
    assert done.metadata.to_dict() == {"agency": "bao-mau", "0": "digits are a name too"}
    assert done.customer.email == "doc.gia@example.vn"
    assert done.customer_details.name == "BẠN ĐỌC"

    intents = await world.stripe.v1.payment_intents.list_async(
        {"expand": ["data.latest_charge.balance_transaction", "data.payment_method"]}
    )
    (intent,) = intents.data
    assert (intent.status, intent.amount_received) == ("succeeded", 59_000)
    assert intent.payment_method.card.last4 == "4242"
    entry = intent.latest_charge.balance_transaction
    assert (entry.amount, entry.fee, entry.net) == (59_000, 1_711, 57_289)


async def test_an_event_shows_its_object_as_it_was_then(world: World) -> None:
    await world.subscribed()
    shown = [event.data.object.status for event in await world.events("invoice.created")]
    assert shown == ["draft"]


async def test_a_single_payment_needs_no_customer(world: World) -> None:
    session = await world.single(payment_intent_data={"metadata": {"article": "88"}})
    await world.pay(session)
    done = await world.reread(session, "payment_intent.latest_charge")
    assert done.customer is None
    assert done.payment_intent.metadata.to_dict() == {"article": "88"}
    assert done.payment_intent.latest_charge.amount == 12_000


async def test_a_single_payment_makes_a_customer_where_asked(world: World) -> None:
    session = await world.single(customer_creation="always")
    await world.pay(session)
    done = await world.reread(session, "customer")
    assert done.customer.email == "doc.gia@example.vn"


async def test_a_known_customer_pays_under_its_own_name(world: World) -> None:
    customer = await world.stripe.v1.customers.create_async({"email": "quen@example.vn"})
    session = await world.session(
        customer=customer.id, payment_intent_data={"setup_future_usage": "off_session"}
    )
    await world.pay(session)
    done = await world.reread(session, "payment_intent.payment_method")
    assert done.customer == done.payment_intent.payment_method.customer == customer.id
    assert len((await world.stripe.v1.customers.list_async()).data) == 1


@pytest.mark.parametrize(
    ("number", "words", "code"),
    [
        (DECLINED, "Thẻ của bạn đã bị từ chối", "generic_decline"),
        (NO_FUNDS, "không đủ số dư", "insufficient_funds"),
    ],
)
async def test_a_decline_is_told_on_the_page_and_another_card_pays_the_same_session(
    world: World, number: str, words: str, code: str
) -> None:
    session = await world.single()
    answer = await world.pay(session, number)
    page = await world.browser.get(answer.headers["location"])
    assert words in page.text
    tried = await world.reread(session, "payment_intent.latest_charge")
    assert tried.status == "open"
    assert tried.payment_intent.status == "requires_payment_method"
    assert tried.payment_intent.last_payment_error.decline_code == code
    assert tried.payment_intent.latest_charge.outcome.reason == code

    await world.pay(session)
    done = await world.reread(session, "payment_intent")
    assert done.payment_intent.id == tried.payment_intent.id
    assert (done.status, done.payment_intent.status) == ("complete", "succeeded")
    charges = await world.stripe.v1.charges.list_async({"payment_intent": done.payment_intent.id})
    assert [charge.status for charge in charges.data] == ["succeeded", "failed"]
    assert [event.type for event in await world.events("charge.failed")] == ["charge.failed"]


async def test_a_declined_payment_leaves_no_customer(world: World) -> None:
    session = await world.session(customer_creation="always")
    await world.pay(session, DECLINED)
    assert (await world.stripe.v1.customers.list_async()).data == []


async def test_a_3d_secure_card_pays_once_its_holder_approves(world: World) -> None:
    session = await world.session()
    answer = await world.pay(session, SECURE)
    assert answer.headers["location"] == f"/c/pay/{session.id}/3ds"
    assert (await world.reread(session)).status == "open"
    answer = await world.browser.post(answer.headers["location"], data={"answer": "approve"})
    assert answer.headers["location"].startswith("http://bao.example/cam-on")
    charges = await world.stripe.v1.charges.list_async()
    secure = charges.data[0].payment_method_details.card.three_d_secure
    assert secure.result == "authenticated"


async def test_a_refused_3d_secure_leaves_the_session_open_for_another_card(world: World) -> None:
    session = await world.session()
    await world.pay(session, SECURE)
    answer = await world.browser.post(f"/c/pay/{session.id}/3ds", data={"answer": "refuse"})
    page = await world.browser.get(answer.headers["location"])
    assert "Ngân hàng chưa xác thực được thẻ" in page.text
    failed = (await world.events("payment_intent.payment_failed"))[0].data.object
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"
    assert (await world.pay(session)).headers["location"].startswith("http://bao.example/cam-on")


async def test_an_answer_without_a_question_changes_nothing(world: World) -> None:
    session = await world.session()
    await world.browser.post(f"/c/pay/{session.id}/3ds", data={"answer": "approve"})
    assert (await world.reread(session)).status == "open"


async def test_a_second_click_does_not_pay_twice(world: World) -> None:
    session = await world.session()
    first, second = await world.pay(session), await world.pay(session)
    assert first.headers["location"] == second.headers["location"]
    assert len((await world.stripe.v1.charges.list_async()).data) == 1


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"number": "4242424242424241"}, "Số thẻ không hợp lệ"),
        ({"number": "4539578763621486"}, "Đừng nhập thẻ thật"),
        ({"expiry": "12 / 25"}, "Ngày hết hạn"),
        ({"expiry": "13 / 34"}, "Ngày hết hạn"),
        ({"cvc": "12"}, "Mã bảo mật không hợp lệ"),
    ],
)
async def test_a_mistyped_card_is_named_and_never_charged(
    world: World, form: dict[str, str], words: str
) -> None:
    session = await world.session()
    answer = await world.browser.post(
        f"/c/pay/{session.id}",
        data={"number": "4242424242424242", "expiry": "12 / 34", "cvc": "123", **form},
    )
    assert answer.status_code == 422
    assert words in answer.text
    assert "4242424242424242" not in answer.text.replace("4242 4242 4242 4242", "")
    assert (await world.stripe.v1.payment_intents.list_async()).data == []


async def test_the_page_is_in_vietnamese_and_in_english_where_asked(world: World) -> None:
    session = await world.session()
    vietnamese = (await world.browser.get(f"/c/pay/{session.id}")).text
    assert 'lang="vi"' in vietnamese
    assert "Thanh toán hôm nay" in vietnamese
    assert "59.000 ₫" in vietnamese
    assert "Due today" in (await world.browser.get(f"/c/pay/{session.id}?lang=en")).text
    english = await world.session(locale="en")
    assert "Due today" in (await world.browser.get(f"/c/pay/{english.id}")).text


async def test_a_form_from_another_site_is_refused(world: World) -> None:
    session = await world.session()
    answer = await world.browser.post(
        f"/c/pay/{session.id}",
        data={"number": "4242424242424242", "expiry": "12 / 34", "cvc": "123"},
        headers={"Origin": "http://evil.example"},
    )
    assert answer.status_code == 403
    assert (await world.reread(session)).status == "open"


async def test_an_expired_session_takes_no_payment(world: World) -> None:
    session = await world.session()
    expired = await world.stripe.v1.checkout.sessions.expire_async(session.id)
    assert (expired.status, expired.url) == ("expired", None)
    await world.pay(session)
    assert (await world.reread(session)).status == "expired"
    assert (await world.browser.get(f"/c/pay/{session.id}")).status_code == 410
    with pytest.raises(stripe.InvalidRequestError):
        await world.stripe.v1.checkout.sessions.expire_async(session.id)
    assert len(await world.events("checkout.session.expired")) == 1


async def test_a_session_expires_by_itself_when_its_time_has_come(world: World) -> None:
    session = await world.session(expires_at=int(world.time) + 1800)
    world.time += 1801
    assert (await world.browser.get(f"/c/pay/{session.id}")).status_code == 410
    assert (await world.reread(session)).status == "expired"


async def test_the_page_may_only_load_its_own_parts(world: World) -> None:
    session = await world.session()
    policy = (await world.browser.get(f"/c/pay/{session.id}")).headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert "default-src 'none'" in policy
    assert "form-action 'self' http://bao.example" in policy


async def test_after_a_decline_the_payer_need_not_type_their_name_again(world: World) -> None:
    session = await world.session(customer=None, customer_email=None)
    answer = await world.pay(session, DECLINED, email="lan@example.vn")
    page = (await world.browser.get(answer.headers["location"])).text
    assert 'value="lan@example.vn"' in page
    assert 'value="BẠN ĐỌC"' in page
    assert DECLINED not in page


async def test_the_session_of_a_deleted_customer_is_over(world: World) -> None:
    customer = await world.stripe.v1.customers.create_async({"email": "quen@example.vn"})
    session = await world.session(customer=customer.id)
    await world.stripe.v1.customers.delete_async(customer.id)
    await world.pay(session)
    assert (await world.reread(session)).status == "expired"
    assert (await world.stripe.v1.charges.list_async()).data == []


async def test_a_fault_of_the_sandbox_itself_is_still_an_answer_the_sdk_can_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.sandbox.store, "select", None)
    with pytest.raises(stripe.APIError, match="The sandbox failed on req_"):
        await world.stripe.v1.customers.list_async()
