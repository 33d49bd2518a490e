"""Notifications of bank credits: which ones are taken in, and what applies them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from services.billing.payments.adapters.port import MalformedNotificationError
from services.billing.transfers import notices
from services.billing.transfers.facts import CreditNotice, MalformedNoticeError
from services.billing.transfers.service import ForeignAccountError, Transfers
from services.billing.webhooks.repository import Claimed
from services.billing.webhooks.service import Handler, Looked
from shared.database import Session

#: An imported statement's rows wait in the same inbox as what a bank sends.
STATEMENT = "statement"
Headers = Mapping[str, str]


class Kind:
    """A shape of notification: whether it is genuine at a moment (seconds since 1970), and what it says."""

    def __init__(
        self,
        holds: Callable[[Headers, bytes, Sequence[str], float], bool],
        read: Callable[[bytes], CreditNotice | None],
    ) -> None:
        self.holds = holds
        self.read = read


def _sepay(headers: Headers, raw: bytes, secrets: Sequence[str], now: float) -> bool:
    return notices.sepay_holds(headers, raw, secrets, now=now)


def _payos(_headers: Headers, raw: bytes, secrets: Sequence[str], _now: float) -> bool:
    return notices.payos_holds(raw, secrets)


KINDS: Mapping[str, Kind] = {
    "sepay": Kind(_sepay, notices.read_sepay),
    "payos": Kind(_payos, notices.read_payos),
}
_NOTICE = msgspec.json.Decoder(CreditNotice)


def written(notice: CreditNotice) -> bytes:
    """A notice as it waits in the inbox."""
    return msgspec.json.encode(notice)


def handlers(transfers: Transfers) -> dict[str, Handler]:
    """By source, what applies its notifications."""
    readers: dict[str, Callable[[bytes], CreditNotice | None]] = {
        STATEMENT: _NOTICE.decode,
        **{name: kind.read for name, kind in KINDS.items()},
    }
    return {source: _handler(transfers, source, read) for source, read in readers.items()}


def _handler(
    transfers: Transfers, source: str, read: Callable[[bytes], CreditNotice | None]
) -> Handler:
    async def handle(session: Session, event: Claimed, _looked: Looked) -> bool:
        assert event.agency is not None  # the address names it
        try:
            notice = read(event.payload)
            return notice is not None and await transfers.take(
                session, event.agency, source, notice
            )
        except (MalformedNoticeError, ForeignAccountError, msgspec.MsgspecError) as error:
            raise MalformedNotificationError(str(error)) from error

    return handle
