"""The scenes of billing's pages: what readers buy, change, give and share, and what staff see of it.

Each begins with new readers, so that it can be played again; what it leaves behind are example readers and their payments.
"""

from __future__ import annotations

import re
import secrets

from playwright.sync_api import BrowserContext, Page, expect

from infra.docs.camera import ACCEPTED, AGENCY, Camera, code_for, pay
from infra.news_site.articles import read_articles

STATION = "dai-song-hong"
PATIENCE_MS = 30_000


def own(camera: Camera, path: str, agency: str = AGENCY) -> str:
    return f"{camera.url('BILLING_URL')}/r/{agency}/{path}"


def address(name: str) -> str:
    return f"{name}.{secrets.token_hex(2)}@example.vn"


def sign_in(camera: Camera, page: Page, email: str) -> None:
    """On the page that asks for the address."""
    page.fill("input[name=email]", email)
    page.click("main form button[type=submit]")
    outbox = f"{camera.url('BILLING_URL')}/dev/mail"
    page.fill("input[name=code]", code_for(page.context, outbox, email))
    page.click("main form button[type=submit]")
    page.wait_for_load_state("load")


def new_reader(camera: Camera, context: BrowserContext, name: str, agency: str = AGENCY) -> Page:
    """Signed in, at the account."""
    page = context.new_page()
    page.goto(own(camera, "sign-in", agency))
    sign_in(camera, page, address(name))
    return page


def choose(page: Page, price: str, way: str) -> None:
    """On the page of plans."""
    card = page.locator("form.plan", has_text=re.compile(rf"(?<![\d.]){re.escape(price)}"))
    card.first.get_by_role("button", name=way).click()


def subscribe(camera: Camera, page: Page, price: str = "59.000") -> None:
    page.goto(own(camera, "plans"))
    choose(page, price, "Trả bằng thẻ")
    pay(page, ACCEPTED)
    page.wait_for_selector("#read-on")


def transfer(page: Page, note: str | None = None) -> None:
    """From an order's page at the demo bank; with the order's own note it is paid."""
    with page.context.expect_page() as opened:
        page.click("#demo-bank")
    bank = opened.value
    if note is not None:
        bank.fill("#note", note)
    bank.click("#transfer-form button[type=submit]")
    bank.wait_for_selector(".receipt")
    bank.close()
    if note is None:
        page.wait_for_selector("#read-on", timeout=PATIENCE_MS)


def letter_link(camera: Camera, page: Page, pattern: str, email: str) -> str:
    """The newest link of this kind in the letters to ``email``: the worker fills the outbox, with other readers' letters as well."""
    mail = page.context.new_page()
    for _ in range(30):
        mail.goto(f"{camera.url('BILLING_URL')}/dev/mail")
        letters = mail.locator(".mail", has_text=email).all()
        found = re.search(pattern, "".join(one.inner_html() for one in letters))
        if found is not None:
            mail.close()
            return found[0].replace("&amp;", "&")
        mail.wait_for_timeout(1000)
    raise LookupError(f"no letter has a link like {pattern}")


def in_sight(page: Page, selector: str) -> None:
    page.locator(selector).first.evaluate("one => one.scrollIntoView({block: 'center'})")


def subscriber(camera: Camera) -> None:
    """An order by transfer, a subscription's account on both screens, a change with its preview, and a letter's link that keeps and cancels."""
    context = camera.phone()
    page = new_reader(camera, context, "lan")
    email = page.locator("main .address").first.inner_text()
    page.goto(own(camera, "plans"))
    choose(page, "59.000", "Chuyển khoản (VietQR)")
    page.wait_for_selector("#demo-bank")
    camera.take(page, "reader-order")
    subscribe(camera, page)
    page.goto(own(camera, "account"))
    page.locator("details.cancel summary").click()
    in_sight(page, "details.cancel")
    camera.take(page, "reader-cancel")
    page.locator("details.choice summary", has_text="Đổi gói").click()
    page.locator("ul.others a", has_text="590.000").click()
    camera.take(page, "reader-change")
    page.click("main form button.wide")
    page.wait_for_selector("#read-on", timeout=PATIENCE_MS)
    page.goto(own(camera, "account"))
    camera.take(page, "reader-account")
    wide = camera.desktop()
    wide.add_cookies(context.cookies())  # type: ignore[arg-type]
    desk = wide.new_page()
    desk.goto(own(camera, "account"))
    camera.take(desk, "reader-account-desktop")
    desk.goto(own(camera, "plans"))
    camera.take(desk, "reader-plans-desktop")
    wide.close()
    page.locator("details.cancel summary").click()
    page.get_by_role("button", name="Đồng ý hủy gói").click()
    page.wait_for_load_state("load")
    link = letter_link(camera, page, rf"http[^\s\"<>]+/r/{AGENCY}/s/[^\s\"<>]+", email)
    context.close()
    stranger = camera.phone()
    opened = stranger.new_page()
    opened.goto(link)
    opened.get_by_role("button", name="Giữ gói của tôi").click()
    opened.locator("details.cancel summary").click()
    camera.take(opened, "reader-cancel-link")
    stranger.close()


def bundle(camera: Camera) -> None:
    """Ten articles: bought, used at the wall, and what is left in the account; an amount given; a gift bought and redeemed."""
    closed = next(one for one in read_articles().values() if one.access == "premium")
    article = camera.url("NEWS_SITE_URL") + closed.path
    context = camera.phone()
    page = new_reader(camera, context, "binh")
    page.goto(own(camera, "plans"))
    in_sight(page, "form.plan:has-text('10 bài')")
    camera.take(page, "reader-once")
    page.get_by_role("button", name="Chuyển khoản (VietQR): 10 bài").click()
    transfer(page)
    page.goto(article)
    wall = page.locator(".pr-wall")
    wall.wait_for()
    in_sight(page, ".pr-wall")
    camera.take(page, "reader-bundle-wall")
    wall.get_by_role("button").first.click()
    wall.wait_for(state="detached")
    page.goto(own(camera, "plans"))
    page.get_by_role("button", name="Chuyển khoản (VietQR): Thẻ ngày").click()
    transfer(page)
    page.goto(own(camera, "account"))
    camera.take(page, "reader-bundle-account")
    context.close()


def contribution(camera: Camera) -> None:
    """An amount of the reader's own."""
    context = camera.phone()
    page = new_reader(camera, context, "tam")
    page.goto(own(camera, "contribute"))
    page.locator(".suggested a").nth(1).click()
    camera.take(page, "reader-contribute")
    context.close()


def gifts(camera: Camera) -> None:
    """Bought by transfer; its code, to whom it is sent, and who gets it."""
    context = camera.phone()
    page = new_reader(camera, context, "nga")
    page.goto(own(camera, "gifts"))
    choose(page, "59.000", "Mua làm quà tặng")
    transfer(page)
    camera.take(page, "reader-gift-code")
    link = page.locator(".gift a.address").get_attribute("href") or ""
    page.locator("a[href$='/recipient']").click()
    page.fill("input[name=email]", address("minh"))
    page.fill("textarea[name=message]", "Chúc mừng sinh nhật!")
    camera.take(page, "reader-gift-sent")
    context.close()
    other = camera.phone()
    given = new_reader(camera, other, "minh")
    given.goto(link)
    camera.take(given, "reader-gift-redeem")
    other.close()


def own_data(camera: Camera) -> None:
    """A reader's change of e-mail address, their mobile number and password, and what is kept about them."""
    context = camera.phone()
    page = new_reader(camera, context, "thu")
    page.goto(own(camera, "account/address"))
    page.fill("input[name=email]", address("thu.moi"))
    page.click("main form button[type=submit]")
    page.wait_for_selector("input[name=code]")
    camera.take(page, "reader-address")
    page.goto(own(camera, "account/data"))
    camera.take(page, "reader-data")
    page.goto(own(camera, "account/phone"))
    page.fill("input[name=number]", f"09{secrets.randbelow(10**8):08}")
    page.click("main form button[type=submit]")
    page.wait_for_selector("input[name=code]")
    camera.take(page, "reader-phone")
    page.goto(own(camera, "account/password"))
    page.get_by_role("button", name="Gửi mã cho tôi").click()
    page.wait_for_selector("input[name=code]")
    in_sight(page, "input[name=code]")
    camera.take(page, "reader-password")
    context.close()


def term(camera: Camera) -> None:
    """A month that was paid by transfer becomes a year: what is to be paid, and the transfer for it."""
    context = camera.phone()
    page = new_reader(camera, context, "dung")
    page.goto(own(camera, "plans"))
    choose(page, "59.000", "Chuyển khoản (VietQR)")
    transfer(page)
    page.goto(own(camera, "account"))
    page.locator("details.choice summary", has_text="Đổi gói").click()
    page.locator("ul.others a", has_text="590.000").click()
    camera.take(page, "reader-change-transfer")
    page.click("main form button.wide")
    transfer(page)
    context.close()


def offers(camera: Camera) -> None:
    """An introductory price on a plan's card, and a student's address that was verified."""
    context = camera.phone()
    page = context.new_page()
    page.goto(own(camera, "plans", STATION))
    in_sight(page, "form.plan.best")
    camera.take(page, "reader-offer")
    page = new_reader(camera, context, "sinhvien")
    page.goto(own(camera, "student"))
    school = f"sv.{secrets.token_hex(2)}@truong.edu.vn"
    page.fill("input[name=address]", school)
    page.get_by_role("button", name="Gửi mã").click()
    outbox = f"{camera.url('BILLING_URL')}/dev/mail"
    page.fill("input[name=code]", code_for(context, outbox, school))
    page.get_by_role("button", name="Xác minh").click()
    expect(page.get_by_role("status")).to_be_visible()
    camera.take(page, "reader-student")
    context.close()


def groups(camera: Camera) -> None:
    """A family: its owner invites, somebody accepts, and who reads with whom. And the network of an office."""
    context, member = camera.phone(), address("con")
    page = new_reader(camera, context, "me")
    page.goto(own(camera, "plans"))
    page.locator("summary", has_text="Gói gia đình").click()
    choose(page, "1.190.000", "Chuyển khoản (VietQR)")
    transfer(page)
    page.goto(own(camera, "account"))
    for email in (address("ba"), member):
        form = page.locator("form[action$='/seats/invite']")
        form.locator("input[name=email]").fill(email)
        form.get_by_role("button").click()
        page.wait_for_url("**notice=seat-invited**")
    link = letter_link(camera, page, rf"http[^\s\"<>]+/r/{AGENCY}/invitations/[^\s\"<>]+", member)
    other = camera.phone()
    invited = other.new_page()
    invited.goto(link)
    sign_in(camera, invited, member)
    camera.take(invited, "reader-invitation")
    invited.get_by_role("button", name="Nhận chỗ").click()
    invited.wait_for_url("**/account**")
    other.close()
    page.goto(own(camera, "account"))
    page.locator("#seats").evaluate("one => one.scrollIntoView()")
    camera.take(page, "reader-group")
    context.close()
    office = camera.phone()
    page = new_reader(camera, office, "co.quan")
    page.goto(own(camera, "plans"))
    page.locator("summary", has_text="Gói cơ quan").click()
    choose(page, "45.000", "Chuyển khoản (VietQR)")
    transfer(page)
    page.goto(own(camera, "account"))
    page.get_by_role("link", name="Mạng của nhóm bạn").click()
    page.fill("input[name=range]", f"113.160.{secrets.randbelow(256)}.0/24")
    page.get_by_role("button", name="Đề nghị").click()
    page.get_by_role("status").wait_for()
    camera.take(page, "reader-networks")
    office.close()


def desk(camera: Camera) -> None:
    """Staff: a transfer with a wrong note, a disputed payment, a refund on a reader's page, offers, and the month's reader revenue."""
    context = camera.phone()
    page = new_reader(camera, context, "hoa")
    email = page.locator("main .address").first.inner_text()
    page.goto(own(camera, "plans"))
    choose(page, "59.000", "Chuyển khoản (VietQR)")
    page.wait_for_selector("#demo-bank")
    transfer(page, note="Hoa chuyen tien doc bao")
    subscribe(camera, page)
    context.close()
    sandbox = camera.desktop().new_page()
    sandbox.goto(camera.url("STRIPE_SANDBOX_URL"))
    sandbox.locator("form[action*='/dispute'] button").last.click()
    sandbox.wait_for_load_state("load")
    sandbox.context.close()
    staff = f"{camera.url('BILLING_URL')}/staff/{AGENCY}"
    wide, narrow = camera.desktop(height=1000), camera.phone()
    desktop = camera.staff("finance", f"{staff}/transfers", wide)
    camera.take(desktop, "finance-credits")
    for name, path in (
        ("finance-exceptions", "exceptions"),
        ("finance-offers", "offers"),
        ("finance-revenue", "readers-revenue"),
        ("finance-networks", "networks"),
    ):
        desktop.goto(f"{staff}/{path}")
        camera.take(desktop, name)
    phone = camera.staff("finance", f"{staff}/readers", narrow)
    for screen, name in ((desktop, "finance-refund"), (phone, "finance-refund-phone")):
        screen.goto(f"{staff}/readers?words={email}")
        screen.locator("main table a, main li a").first.click()
        screen.wait_for_selector("#payments")
        screen.locator("details.confirm summary", has_text="Hoàn tiền").first.click()
        in_sight(screen, "details.confirm[open]")
        camera.take(screen, name)
    wide.close()
    narrow.close()


SCENES = {
    "subscriber": subscriber,
    "bundle": bundle,
    "contribution": contribution,
    "gifts": gifts,
    "own-data": own_data,
    "term": term,
    "offers": offers,
    "groups": groups,
    "desk": desk,
}
