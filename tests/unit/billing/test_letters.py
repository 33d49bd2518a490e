"""Letters: what each says in both languages, to the word, and when it may still be sent."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import jwt
import pytest

from services.billing import letters
from services.billing.letters import (
    address_rules,
    address_words,
    gift_rules,
    number_rules,
    number_words,
    offer_rules,
    password_rules,
    password_words,
    rules,
)
from services.billing.letters.links import BadLinkError, Link, Links
from services.billing.letters.render import mail_of
from services.billing.letters.rules import Draft, Kind, Paid, Sold
from services.billing.letters.service import STRANGERS
from services.billing.letters.truth import OrderNow, SubscriptionNow, still_true
from services.billing.letters.voice import Voice
from services.billing.letters.words import code_content, code_footer, content_of, footer_of
from shared.agencies import Agency
from shared.mail import Mail
from shared.web.i18n import load_catalogues
from shared.web.pages import SHARED_FOLDER

WORDS = load_catalogues([SHARED_FOLDER / "locale", Path(letters.__file__).parents[1] / "locale"])
EXPECTED = Path(__file__).parent / "letters"
AGENCY = Agency("bao-hung-yen", "Báo Hưng Yên", "Asia/Ho_Chi_Minh")
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
END = NOW + timedelta(days=30)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
ID = UUID(int=7)
MONTH = Sold("Đọc báo không giới hạn", "Unlimited reading", "month")
VISA = "Visa •••• 4242"
YEAR = Sold("Đọc báo không giới hạn", "Unlimited reading", "year")

BUNDLE = Sold("10 bài", "10 articles", "once")


def paid(**changes) -> Paid:
    values = {
        "payment_id": ID,
        "sold": MONTH,
        "amount_vnd": 59_000,
        "vat_vnd": 0,
        "vat_basis_points": None,
        "paid_at": NOW,
        "starts_at": NOW,
        "ends_at": END,
        "order_code": "PR34679CFGH",
        "renews": False,
        "invoice": (ID, "26-000123"),
        "kind": "period",
        "uses": None,
    }
    return Paid(**values | changes)


def ending(
    kind: Kind, sold: Sold = MONTH, amount_vnd: int | None = 59_000, card: str | None = VISA
) -> Draft:
    facts = {"subscription": str(ID), "ends_at": END.isoformat(), "amount_vnd": amount_vnd}
    if kind in (Kind.RENEWAL_REMINDER, Kind.TRIAL_ENDING):
        facts["card"] = card
    return Draft(kind, "key", sold.facts | facts)


def after_a_pause(told: Draft) -> Draft:
    return Draft(told.kind, told.key, {**told.facts, "pauses": True})


def failed(**changes) -> Draft:
    values = {
        "order": (ID, 59_000, 1),
        "reads_until": END + 7 * DAY,
        "lapses_at": END + 7 * DAY,
        "needs_holder": False,
    }
    return rules.payment_failed(ID, MONTH, **values | changes)


INTRO = {"kind": "intro", "amount_vnd": 19_000, "left": 3, "full_vnd": 59_000}
GIVEN = Sold("Ủng hộ tòa soạn", "Support the newsroom", "once")


def short(sold: Sold = MONTH, kind: str = "period") -> Draft:
    order = (ID, "PR34679CFGH", 59_000, NOW + timedelta(hours=72))
    return rules.transfer_short(ID, order, sold, 5_000, 20_000, kind)


def given(message: str) -> Draft:
    """With its code, which is added when it is sent."""
    made = gift_rules.given("key", ID, MONTH, "lan@example.vn", "minh@example.vn", message)
    return Draft(made.kind, made.key, {**made.facts, "code": "ABCD-EFGH-JKLM-NPQR"})


def drafts() -> dict[str, Draft]:
    """Made in the test that asks: what is made while tests are collected is not the mutant's."""
    return {
        "welcome": rules.welcome(ID),
        "erased": rules.erased(ID, "lan@example.vn"),
        "receipt": rules.receipt(paid()),
        "receipt-card": rules.receipt(
            paid(
                sold=YEAR,
                amount_vnd=637_200,
                vat_vnd=47_200,
                vat_basis_points=800,
                starts_at=NOW + DAY,
                ends_at=END,
                renews=True,
            )
        ),
        "receipt-gift": rules.receipt(paid(starts_at=None, ends_at=None)),
        "receipt-once": rules.receipt(
            paid(
                sold=Sold("Đọc một ngày", "A day's reading", "once"),
                amount_vnd=0,
                ends_at=NOW + DAY,
                invoice=None,
            )
        ),
        "receipt-bundle": rules.receipt(
            paid(sold=BUNDLE, amount_vnd=20_000, ends_at=NOW + 90 * DAY, kind="bundle", uses=10)
        ),
        "receipt-contribution": rules.receipt(
            paid(
                sold=GIVEN,
                amount_vnd=100_000,
                starts_at=None,
                ends_at=None,
                kind="contribution",
            )
        ),
        "bundle_ending": rules.bundle_ending(ID, BUNDLE, 7, 10, END, NOW),
        "term_ending": ending(Kind.TERM_ENDING),
        "term_ended": ending(Kind.TERM_ENDED, amount_vnd=None),
        "renewal_reminder": ending(Kind.RENEWAL_REMINDER, YEAR, 590_000),
        "renewal_reminder-paused": after_a_pause(ending(Kind.RENEWAL_REMINDER, YEAR, 590_000)),
        "renewal_reminder-no-card": ending(Kind.RENEWAL_REMINDER, YEAR, 590_000, None),
        "trial_started": rules.trial_started(ID, ID, MONTH, 59_000, END),
        "trial_ending": ending(Kind.TRIAL_ENDING),
        "new_card": rules.new_card(ID, ID, MONTH, VISA, date(2034, 12, 31)),
        "new_card-unnamed": rules.new_card(ID, ID, MONTH, "", None),
        "moved": rules.moved(ID, MONTH, 59_000, END, VISA, renews=True),
        "moved-ends": rules.moved(ID, MONTH, 59_000, END, VISA, renews=False),
        "payment_failed": failed(),
        "payment_failed-holder": failed(needs_holder=True),
        "payment_failed-paused": failed(reads_until=None),
        "canceled": rules.canceled(ID, 3, MONTH, END),
        "canceled-ended": rules.canceled(ID, 3, MONTH, END, ended=True),
        "resumed": rules.resumed(ID, 3, MONTH),
        "refund_failed": rules.refund_failed(ID, MONTH, 59_000, 59_000, "period"),
        "refund_failed-contribution": rules.refund_failed(
            ID, GIVEN, 59_000, 59_000, "contribution"
        ),
        "refunded": rules.refunded(ID, MONTH, 59_000, 59_000, NOW, whole=True),
        "refunded-part": rules.refunded(ID, MONTH, 9_000, 59_000, NOW, whole=False),
        "transfer_short": short(),
        "transfer_short-contribution": short(GIVEN, "contribution"),
        "transfer_short-gift": short(kind="gift"),
        "transfer_short-bundle": short(BUNDLE, "bundle"),
        "receipt-offer": rules.receipt(paid(amount_vnd=19_000, renews=True, offer=INTRO)),
        "trial_started-offer": rules.trial_started(ID, ID, MONTH, 19_000, END, offer=INTRO),
        "price_rises": offer_rules.price_rises(
            ID, MONTH, (19_000, 59_000), END, card=VISA, student=False
        ),
        "price_rises-student": offer_rules.price_rises(
            ID, MONTH, (29_000, 59_000), END, card=None, student=True
        ),
        "address_changed": address_rules.changed(
            ID, "lan@example.vn", "l…@moi.vn", NOW, NOW + 7 * DAY
        ),
        **{
            f"password-{act}": password_rules.told(
                ID, act, "lan@example.vn", NOW, "" if act == "undone" else "Chrome · Android"
            )
            for act in ("set", "changed", "removed", "undone")
        },
        "address_undone": address_rules.undone(ID, "lan@example.vn", NOW),
        "number_added": number_rules.added(ID, "lan@example.vn", "09…678", "", NOW),
        "number_added-changed": number_rules.added(ID, "lan@example.vn", "09…678", "03…321", NOW),
        "number_removed": number_rules.removed(
            ID, "lan@example.vn", "09…678", NOW, by_number=False
        ),
        "number_removed-by_number": number_rules.removed(
            ID, "lan@example.vn", "09…678", NOW, by_number=True
        ),
        "gift": given("Chúc mừng sinh nhật!\n\nLan"),
        "gift-silent": given(""),
        "receipt-gift-sent": rules.receipt(
            paid(starts_at=None, ends_at=None, gift_to=("minh@example.vn", date(2026, 12, 31)))
        ),
        "seat_ended-network": rules.seat_ended(ID, MONTH, "network"),
        "network": rules.network_decided(ID, ID, MONTH, "113.160.1.0/24", "approved", ""),
        "network-refused": rules.network_decided(
            ID, ID, MONTH, "113.160.1.0/24", "refused", "Thiếu công văn"
        ),
        "network-ended": rules.network_decided(
            ID, ID, MONTH, "113.160.1.0/24", "ended", "Mạng đã đổi chủ"
        ),
        "win_back": offer_rules.win_back(ID, ID, MONTH, (19_000, 2, 59_000), NOW, END),
    }


NAMES = sorted(drafts())


def mail(draft: Draft, language: str = "vi", agency: Agency = AGENCY) -> Mail:
    voice = Voice(
        WORDS,
        language,
        agency,
        "https://billing.example/",
        lambda _: "token",
        lambda _: "back",
        lambda _, until: f"undo-{until:%d}",
    )
    content, to = content_of(voice, draft.kind, draft.facts), "lan@example.vn"
    stranger = STRANGERS.get(draft.kind)
    footer = stranger(voice, to, draft.facts) if stranger else footer_of(voice, to, draft.kind)
    return mail_of(voice, content, to, footer)


class Seen(HTMLParser):
    """What a reader sees of HTML, one piece after the other; a link's address after its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._tag, self._href = "", ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag, self._href = tag, dict(attrs).get("href") or self._href

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self.pieces.append(self._href)

    def handle_data(self, data: str) -> None:
        if self._tag != "title":
            self.pieces.append(data)


def only_words(text: str) -> str:
    return re.sub(r"^--$|[\s:]", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("language", ["vi", "en"])
@pytest.mark.parametrize("name", NAMES)
def test_a_letter_says_to_the_word_what_stands_in_the_file_beside(name: str, language: str) -> None:
    made = mail(drafts()[name], language)
    expected = (EXPECTED / f"{name}.{language}.txt").read_text(encoding="utf-8")
    assert f"Subject: {made.subject}\n\n{made.body}" == expected
    assert made.sender_name == "Báo Hưng Yên"


@pytest.mark.parametrize("language", ["vi", "en"])
@pytest.mark.parametrize("name", NAMES)
def test_text_and_html_say_the_same(name: str, language: str) -> None:
    made = mail(drafts()[name], language)
    assert f'<html lang="{language}">' in made.html
    seen = only_words("".join(Seen(made.html).pieces))
    assert seen == only_words(AGENCY.name + made.body)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_fetched_from_anywhere_and_links_lead_to_the_agencys_own_pages(
    name: str,
) -> None:
    html = mail(drafts()[name]).html
    assert not re.search(r"<(?:img|link|script|style|iframe)\b|\bsrc=|url\(", html)
    assert all(
        link.startswith("https://billing.example/r/bao-hung-yen/")
        for link in re.findall(r'href="([^"]*)"', html)
    )
    assert re.findall(r'href="([^"]*)"', html)


@pytest.mark.parametrize("language", ["vi", "en"])
@pytest.mark.parametrize("name", NAMES)
def test_names_are_text_in_html_and_one_line_in_headers(name: str, language: str) -> None:
    evil = 'X <script>alert(1)</script>\r\nBcc: all@example.vn\u202e "q" ' + "dài " * 50
    draft = drafts()[name]
    plan = {"plan": {"vi": evil, "en": evil}} if "plan" in draft.facts else {}
    made = mail(
        Draft(draft.kind, draft.key, {**draft.facts, **plan}),
        language,
        Agency("bao-hung-yen", evil, "Asia/Ho_Chi_Minh"),
    )
    assert "<script" not in made.html and "&lt;script&gt;" in made.html
    for header in (made.subject, made.sender_name):
        assert header.isprintable() and "\u202e" not in header
    assert len(made.subject) <= 78
    assert "\nBcc" not in made.body


@pytest.mark.parametrize("amount", [1, 10**15])
@pytest.mark.parametrize("language", ["vi", "en"])
def test_subjects_keep_their_length(amount: int, language: str) -> None:
    for draft in drafts().values():
        facts = {
            name: amount if name.endswith("_vnd") else value for name, value in draft.facts.items()
        }
        assert len(mail(Draft(draft.kind, draft.key, facts), language).subject) <= 78


def test_moments_are_of_the_agencys_zone() -> None:
    far = Agency("x", "X", "America/New_York")
    assert "22 Nov 2026 22:00" in mail(drafts()["receipt"], "en", far).body
    assert str(far.zone) == str(ZoneInfo("America/New_York"))


def test_a_code_is_mailed_as_text_and_html() -> None:
    voice = Voice(WORDS, "vi", AGENCY, "https://billing.example")
    made = mail_of(
        voice,
        code_content(voice, "123456"),
        "lan@example.vn",
        code_footer(voice, "lan@example.vn"),
    )
    assert made.subject == "123456 là mã đăng nhập của bạn"
    assert "123456" in made.body and "123456" in made.html


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_mailbox_that_is_to_be_a_readers_gets_a_code_or_the_word_that_it_has_an_account(
    language: str,
) -> None:
    voice = Voice(WORDS, language, AGENCY, "https://billing.example")
    footer = address_words.asked_footer(voice, "lan@example.vn")
    code, taken = (
        mail_of(voice, content, "lan@example.vn", footer)
        for content in (
            address_words.code_content(voice, "12345678"),
            address_words.taken_content(voice),
        )
    )
    assert code.subject.startswith("12345678 ") and "12345678" in code.body
    assert "12345678" in code.html and "/sign-in" in taken.html
    assert not re.search(r"\d{6}", taken.subject + taken.body)
    for made in (code, taken):
        assert footer in made.body and "Báo Hưng Yên" in made.body


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_code_for_a_password_says_what_it_is_for(language: str) -> None:
    voice = Voice(WORDS, language, AGENCY, "https://billing.example")
    footer = password_words.code_footer(voice, "lan@example.vn")
    made = mail_of(voice, password_words.code_content(voice, "12345678"), "lan@example.vn", footer)
    assert made.subject.startswith("12345678 ") and "12345678" in made.body
    assert "12345678" in made.html and footer in made.body and "Báo Hưng Yên" in made.body


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(0, 30), (1, 30), (2, 60), (3, 120), (7, 1_920), (8, 3_600), (9, 3_600), (500, 3_600)],
)
def test_tries_come_after_half_a_minute_up_to_an_hour(attempts: int, seconds: int) -> None:
    assert rules.delay(attempts) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("attempts", "age", "given_up"),
    [
        (10, 3 * DAY, True),
        (9, 3 * DAY, False),  # the worker was off: it has not been tried for long
        (10, 3 * DAY - SECOND, False),
        (200, 30 * DAY, True),
    ],
)
def test_a_letter_is_given_up_after_three_days_of_tries(
    attempts: int, age: timedelta, given_up: bool
) -> None:
    assert rules.gives_up(attempts, NOW, NOW + age) is given_up


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\r\nb", "a b"),
        ("a\x00\u202eb\u00a0 c", "a b c"),
        ("  Báo\tHưng Yên ", "Báo Hưng Yên"),
        ("", ""),
    ],
)
def test_a_name_becomes_one_line(text: str, line: str) -> None:
    assert rules.plain(text) == line


def test_what_is_too_long_ends_in_an_ellipsis() -> None:
    assert rules.clipped("a" * 78) == "a" * 78
    assert rules.clipped("a" * 79) == "a" * 77 + "…"


def row(**changes) -> SubscriptionNow:
    values = {
        "state": "active",
        "cancels": False,
        "period_end": END,
        "due_at": END,
        "paid": True,
        "others_until": None,
    }
    return SubscriptionNow(**values | changes)


@pytest.mark.parametrize(
    ("kind", "now", "changes", "true"),
    [
        (Kind.TERM_ENDING, END - DAY, {}, True),
        (Kind.TERM_ENDING, END - SECOND, {"others_until": END}, True),
        (Kind.TERM_ENDING, END, {}, False),  # its day has passed
        (Kind.TERM_ENDING, END - DAY, {"period_end": END + DAY}, False),  # renewed
        (Kind.TERM_ENDING, END - DAY, {"paid": False}, False),  # given back
        (Kind.TERM_ENDING, END - DAY, {"others_until": END + SECOND}, False),
        (Kind.TERM_ENDED, END, {}, True),
        (Kind.TERM_ENDED, END - SECOND, {}, False),
        (Kind.TERM_ENDED, END + 4 * DAY - SECOND, {}, True),
        (Kind.TERM_ENDED, END + 4 * DAY, {}, False),
        (Kind.TERM_ENDED, END + DAY, {"period_end": END + 30 * DAY}, False),
        (Kind.TERM_ENDED, END + DAY, {"paid": False}, False),
        (Kind.TERM_ENDED, END + DAY, {"others_until": END + DAY}, True),
        (Kind.TERM_ENDED, END + DAY, {"others_until": END + DAY + SECOND}, False),
        (Kind.RENEWAL_REMINDER, END - DAY, {}, True),
        (Kind.RENEWAL_REMINDER, END, {}, False),
        (Kind.RENEWAL_REMINDER, END - DAY, {"cancels": True}, False),
        (Kind.RENEWAL_REMINDER, END - DAY, {"state": "past_due"}, False),
        (Kind.RENEWAL_REMINDER, END - DAY, {"due_at": END + 365 * DAY}, False),
        (
            Kind.RENEWAL_REMINDER,
            END - DAY,
            {"state": "paused", "period_end": END - 30 * DAY},
            True,
        ),
        (Kind.RENEWAL_REMINDER, END - DAY, {"paid": False}, False),
        (Kind.PAYMENT_FAILED, END, {"state": "past_due"}, True),
        (Kind.PAYMENT_FAILED, END, {"state": "grace"}, True),
        (Kind.PAYMENT_FAILED, END, {"state": "active"}, False),  # paid meanwhile
        (Kind.PAYMENT_FAILED, END, {"state": "expired"}, False),
        (Kind.CANCELED, NOW, {"cancels": True}, True),
        (Kind.PAYMENT_FAILED, END, {"state": "paused"}, True),
        (Kind.TRIAL_ENDING, END - DAY, {"state": "trialing"}, True),
        (Kind.TRIAL_ENDING, END, {"state": "trialing"}, False),
        (Kind.TRIAL_ENDING, END - DAY, {"state": "ending"}, False),  # canceled meanwhile
        (Kind.TRIAL_ENDING, END - DAY, {"state": "active"}, False),
        (Kind.CANCELED, NOW, {}, False),  # resumed meanwhile
        (Kind.RESUMED, NOW, {}, True),
        (Kind.RESUMED, NOW, {"cancels": True}, False),
        (Kind.RESUMED, NOW, {"state": "expired"}, False),
    ],
)
def test_a_letter_about_a_subscription_is_sent_while_it_is_true(
    kind: Kind, now: datetime, changes: dict, true: bool
) -> None:
    facts = {"ends_at": END.isoformat()}
    assert still_true(kind, facts, now, subscription=row(**changes)) is true
    assert not still_true(kind, facts, now)


@pytest.mark.parametrize(
    ("order", "true"),
    [
        (OrderNow("open", NOW + SECOND, 39_000), True),
        (OrderNow("paid", NOW + SECOND, 39_000), False),
        (OrderNow("open", NOW, 39_000), False),
        (OrderNow("open", NOW + SECOND, 9_000), False),  # more has come
        (None, False),
    ],
)
def test_a_short_transfer_is_told_of_while_it_is_short(order: OrderNow | None, true: bool) -> None:
    assert short().facts["missing_vnd"] == 39_000
    assert still_true(Kind.TRANSFER_SHORT, short().facts, NOW, order=order) is true


@pytest.mark.parametrize(
    "kind",
    [
        Kind.WELCOME,
        Kind.RECEIPT,
        Kind.REFUNDED,
        Kind.REFUND_FAILED,
        Kind.NEW_CARD,
        Kind.TRIAL_STARTED,
        Kind.ADDRESS_CHANGED,
        Kind.ADDRESS_UNDONE,
        Kind.PASSWORD,
        Kind.NUMBER_ADDED,
        Kind.NUMBER_REMOVED,
    ],
)
def test_what_has_happened_stays_true(kind: Kind) -> None:
    assert still_true(kind, {}, NOW)


def test_a_gift_is_sent_while_its_code_may_be_redeemed() -> None:
    assert still_true(Kind.GIFT, given("").facts, NOW, gift_stands=True)
    assert not still_true(Kind.GIFT, given("").facts, NOW)


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_text_is_one_part_whatever_the_agency_is_called(language: str) -> None:
    """160 characters of the default alphabet; with a letter outside of it there would be 70 a part."""
    long = replace(AGENCY, name="Báo và Phát thanh, Truyền hình của tỉnh có tên dài nhất Việt Nam")
    voice = Voice(WORDS, language, long, "https://billing.example")
    for made in (
        number_words.sign_in_text(voice, "+84912345678", "12345678"),
        number_words.add_text(voice, "+84912345678", "12345678"),
        number_words.taken_text(voice, "+84912345678"),
    ):
        assert made.body.isascii() and 60 < len(made.body) <= 160, made.body
        assert made.body[-1] == ".", "nothing is cut off"
        assert "Bao va Phat thanh, Truyen hinh" in made.body


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_givers_words_are_text_and_in_quotation_marks(language: str) -> None:
    made = mail(given('<script>alert(1)</script>\n<a href="x">y</a>'), language)
    assert "<script" not in made.html and "“&lt;script&gt;alert(1)&lt;/script&gt;”" in made.html
    assert '“<a href="x">y</a>”' in made.body and '<a href="x"' not in made.html


def test_keys_tell_facts_apart() -> None:
    made = [
        *(draft.key for name, draft in drafts().items() if draft.key != "key" and "-" not in name),
        rules.canceled(ID, 4, MONTH, END).key,
        failed(order=(ID, 59_000, 2)).key,
        rules.welcome(UUID(int=8)).key,
    ]
    assert len(set(made)) == len(made)
    assert rules.receipt(paid(amount_vnd=1)).key == rules.receipt(paid()).key


def test_a_link_is_good_for_35_days_at_its_own_agency_and_with_its_own_secret() -> None:
    links, link = Links("s" * 32), Link("bao-hung-yen", ID, UUID(int=8))
    token = links.token(link, NOW)
    assert links.read("bao-hung-yen", token, NOW + 35 * DAY - SECOND) == link
    for agency, secret, now, text in (
        ("bao-hung-yen", "s" * 32, NOW + 35 * DAY, token),
        ("dai-song-hong", "s" * 32, NOW, token),
        ("bao-hung-yen", "t" * 32, NOW, token),
        ("bao-hung-yen", "s" * 32, NOW, token[:-6] + "AAAAAA"),
        ("bao-hung-yen", "s" * 32, NOW, token * 9),
        ("bao-hung-yen", "s" * 32, NOW, "\ud800"),
        ("bao-hung-yen", "s" * 32, NOW, ""),
    ):
        with pytest.raises(BadLinkError) as refused:
            Links(secret).read(agency, text, now)
        assert refused.value.expired is (now > NOW)


def test_a_token_of_another_algorithm_or_use_opens_nothing() -> None:
    secret, ids = "s" * 32, f"{ID.hex}{ID.hex}"
    good = {"aud": "subscription-link:bao-hung-yen", "exp": NOW + DAY, "sub": ids}
    for claims, key, algorithm in (
        (good, "", "none"),
        (good, "s" * 64, "HS512"),
        ({**good, "aud": "sign-in"}, secret, "HS256"),
        ({**good, "sub": "x"}, secret, "HS256"),
        ({**good, "sub": ids[:40]}, secret, "HS256"),
        ({name: value for name, value in good.items() if name != "exp"}, secret, "HS256"),
    ):
        token = jwt.encode(claims, key, algorithm=algorithm)
        with pytest.raises(BadLinkError):
            Links(secret).read("bao-hung-yen", token, NOW)


def test_letters_of_a_group_have_the_key_of_what_they_tell():
    plan = {"plan": {"vi": MONTH.name_vi, "en": MONTH.name_en}, "period": "month"}
    invited = rules.invited((ID, 2, END), MONTH, "lan@example.vn", "minh@example.vn")
    assert invited == Draft(
        Kind.INVITED,
        f"invited:{ID}:2",
        {**plan, "invitation": str(ID), "owner": "lan@example.vn", "expires_at": END.isoformat()},
        "minh@example.vn",
    )
    for by in ("owner", "plan", "network"):
        ended = rules.seat_ended(ID, MONTH, by)
        assert ended == Draft(Kind.SEAT_ENDED, f"seat-ended:{ID}", {**plan, "by": by})
    other = UUID(int=8)
    assert rules.group_ended(ID, other, MONTH, END) == Draft(
        Kind.GROUP_ENDED,
        f"group-ended:{ID}:{END.isoformat()}",
        {**plan, "subscription": str(other), "ended_at": END.isoformat()},
    )
    assert rules.network_decided(
        ID, other, MONTH, "113.160.1.7", "refused", "whose is it?"
    ) == Draft(
        Kind.NETWORK,
        f"network:{ID}:refused",
        {
            **plan,
            "subscription": str(other),
            "range": "113.160.1.7",
            "state": "refused",
            "why": "whose is it?",
        },
    )


OTHER = UUID(int=8)


@pytest.mark.parametrize(
    ("draft", "key", "about"),
    [
        (lambda: rules.receipt(paid()), f"receipt:{ID}", {"invoice": str(ID)}),
        (lambda: rules.receipt(paid(), OTHER), f"receipt:{ID}:{OTHER}", {}),
        (failed, f"payment-failed:{ID}:1", {"order": str(ID), "subscription": str(ID)}),
        (short, f"transfer-short:{ID}:{ID}", {"order": str(ID)}),
        (
            lambda: rules.bundle_ending(ID, BUNDLE, 3, 10, END, NOW),
            f"bundle-ending:{ID}",
            {"bundle": str(ID), "left": 3, "uses": 10},
        ),
        (
            lambda: rules.new_card(ID, OTHER, MONTH, VISA, None),
            f"new-card:{ID}",
            {"subscription": str(OTHER)},
        ),
        (
            lambda: rules.trial_started(ID, OTHER, MONTH, 59_000, END),
            f"trial-started:{ID}",
            {"subscription": str(OTHER)},
        ),
        (lambda: rules.resumed(ID, 3, MONTH), f"resumed:{ID}:3", {"subscription": str(ID)}),
        (
            lambda: rules.moved(ID, MONTH, 59_000, END, None, renews=True),
            f"moved:{ID}",
            {"subscription": str(ID)},
        ),
        (lambda: rules.refunded(ID, MONTH, 1, 2, NOW, whole=False), f"refunded:{ID}", {}),
        (lambda: rules.refund_failed(ID, MONTH, 1, 2, "period"), f"refund-failed:{ID}", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_letter_has_a_key_of_its_fact_and_says_what_it_is_about(draft, key, about):
    """The key keeps a fact from being told twice; a letter that is looked at again before it is sent finds its order by what it keeps."""
    found = draft()
    assert found.key == key
    assert about.items() <= dict(found.facts).items()
