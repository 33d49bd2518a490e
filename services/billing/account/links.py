"""A letter's link in the browser: its address, and the way back to it from the provider's page."""

from __future__ import annotations

from urllib.parse import quote
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from services.billing.composition import Billing
from services.billing.letters.links import BadLinkError, Link
from services.billing.readers.web import ReaderFront

#: For how long a browser that a link led to the provider's page comes back to the link.
COMES_BACK_SECONDS = 7_200


def _cookie(agency: str, *, secure: bool) -> str:
    return f"{'__Host-' if secure else ''}press_link_{agency}"


def address(agency: str, token: str, **query: str) -> str:
    """``/r/{agency}/s/{token}?…``: the page of a letter's link."""
    asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items() if value)
    return f"/r/{agency}/s/{token}" + (f"?{asked}" if asked else "")


def hold(front: ReaderFront, answer: Response, agency: str, token: str) -> None:
    """The browser goes to the provider, and is to come back to the link."""
    name = _cookie(agency, secure=front.forms.secure)
    front.forms.set_cookie(answer, name, token, COMES_BACK_SECONDS)


def let_go(front: ReaderFront, request: Request, answer: Response, agency: str) -> None:
    """It has come back."""
    name = _cookie(agency, secure=front.forms.secure)
    if name in request.cookies:
        front.forms.set_cookie(answer, name, "", 0)


def held(front: ReaderFront, request: Request, agency: str) -> tuple[str, Link] | None:
    """The link that this browser came from, while it is good."""
    token = request.cookies.get(_cookie(agency, secure=front.forms.secure), "")
    try:
        now = front.billing.clock.now()
        return (token, front.billing.links.read(agency, token, now)) if token else None
    except BadLinkError:
        return None


async def card_notice(billing: Billing, charge_id: UUID, reader_id: UUID) -> str:
    """What became of the page on which a reader gave another card, as a notice; empty where it is not theirs."""
    await billing.charges.look(charge_id, reader_id)
    state = await billing.accounts.page_state(charge_id, reader_id)
    if not state:
        return ""
    return {"captured": "card-saved", "failed": "card-failed", "closed": "card-failed"}.get(
        state, "card-waits"
    )
