"""The words of revenue: segments, streams, payers, and the sources the law names. Pure values.

Press Law 126/2025 lists eight kinds of a press agency's revenue. Reference: Law 126/2025/QH15 on the press, the article
on revenue of press agencies (gathered November 2026, at second hand: to be confirmed by the agency's lawyer).
"""

from __future__ import annotations

from typing import get_args

from shared.contracts.metrics import Movement, Payer, Segment, Stream
from shared.money import MAX_AMOUNT

SEGMENTS: tuple[str, ...] = get_args(Segment)
STREAMS: tuple[str, ...] = get_args(Stream)
PAYERS: tuple[str, ...] = get_args(Payer)
MOVEMENTS: tuple[str, ...] = get_args(Movement)

#: The kinds of the law → their Vietnamese names.
LAW_SOURCES: dict[str, str] = {
    "governing_body_funding": "Kinh phí của cơ quan chủ quản",
    "sales_and_access_rights": "Bán báo, bán quyền đọc, nghe, xem",
    "advertising": "Quảng cáo",
    "copyright": "Bản quyền nội dung",
    "business_and_services": "Kinh doanh, dịch vụ, liên kết",
    "commissioned_public_service": "Dịch vụ công được đặt hàng, đấu thầu",
    "financial_and_equity": "Tài chính, vốn góp",
    "paid_research_papers": "Bài báo khoa học có thu phí",
}

#: What the state pays for: the difference between the two definitions of "revenue".
STATE_STREAM = "state_commission"
STATE_SOURCES = frozenset({"governing_body_funding", "commissioned_public_service"})

#: What a row of a file means when it names neither payer nor source.
STREAM_DEFAULTS: dict[str, tuple[str, str]] = {
    "subscription": ("reader", "sales_and_access_rights"),
    "single_article": ("reader", "sales_and_access_rights"),
    "contribution": ("reader", "business_and_services"),
    "advertising": ("business", "advertising"),
    "state_commission": ("state", "commissioned_public_service"),
    "syndication": ("business", "copyright"),
    "events": ("business", "business_and_services"),
    "circulation": ("reader", "sales_and_access_rights"),
    "other": ("business", "business_and_services"),
}


def state_funded(stream: str) -> bool:
    """Whether "revenue without state funding" leaves this stream out."""
    return stream == STATE_STREAM


def entry_problem(stream: str, law_source: str, currency: str, amount: int) -> str | None:
    """Why an entry cannot be accepted, or None. The database refuses the same."""
    if law_source not in LAW_SOURCES:
        return f"law_source {law_source!r}: expected one of {', '.join(LAW_SOURCES)}"
    if (law_source in STATE_SOURCES) != state_funded(stream):
        return (
            f"stream {stream!r} with law_source {law_source!r}: what the state pays "
            f"({', '.join(sorted(STATE_SOURCES))}) goes with the stream {STATE_STREAM}, and only there"
        )
    return amount_problem(currency, amount)


def amount_problem(currency: str, amount: int) -> str | None:
    """Why an amount cannot be accepted, or None."""
    if not (
        len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()
    ):
        return f"currency {currency!r}: expected an ISO 4217 code such as VND"
    if abs(amount) > MAX_AMOUNT:
        return f"amount {amount}: expected at most {MAX_AMOUNT} in either direction"
    return None


SEGMENT_LABELS = {
    "print": "Báo in",
    "online": "Báo điện tử",
    "radio": "Phát thanh",
    "tv": "Truyền hình",
}
STREAM_LABELS = {
    "subscription": "Gói đọc báo",
    "single_article": "Mua lẻ bài viết",
    "contribution": "Ủng hộ",
    "advertising": "Quảng cáo",
    "state_commission": "Nhiệm vụ đặt hàng",
    "syndication": "Bản quyền nội dung",
    "events": "Sự kiện",
    "circulation": "Phát hành",
    "other": "Khác",
}
PAYER_LABELS = {"reader": "Bạn đọc", "business": "Doanh nghiệp", "state": "Nhà nước"}
MOVEMENT_LABELS = {
    "new": "Mới",
    "expansion": "Tăng",
    "contraction": "Giảm",
    "churn": "Rời bỏ",
    "reactivation": "Quay lại",
}
