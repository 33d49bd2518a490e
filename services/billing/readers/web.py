"""What pages and routes share about the reader behind a request: cookies, form tokens, return addresses."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.billing.readers import rules
from services.billing.readers.service import Visitor
from services.billing.settings import BillingSettings
from shared.agencies import Agency
from shared.origins import website_origin
from shared.web.csrf import FormTokens
from shared.web.i18n import request_language
from shared.web.staff import STAFF_COOKIE
from shared.web.visitor import caller_address

ATTEMPT_SECONDS = 900


def session_cookie(agency: str) -> str:
    return f"press_reader_{agency}"


def attempt_cookie(agency: str) -> str:
    return f"press_sign_in_{agency}"


class BillingFormTokens(FormTokens):
    """Form tokens bound to whoever acts: staff on staff pages, else the agency's reader or their sign-in attempt."""

    def __init__(self, secret: str) -> None:
        super().__init__(secret, STAFF_COOKIE)

    def token(self, request: Request) -> str:
        agency = str(request.path_params.get("agency", ""))
        if request.url.path.startswith("/staff"):
            return self.token_for("staff:" + request.cookies.get(STAFF_COOKIE, ""))
        held = request.cookies.get(session_cookie(agency)) or request.cookies.get(
            attempt_cookie(agency), ""
        )
        return self.token_for(f"reader:{agency}:{held}")


def visitor(settings: BillingSettings, request: Request) -> Visitor:
    return Visitor(
        caller_address(request, settings.hops),
        request.headers.get("user-agent", ""),
        request_language(request),
    )


def origins(settings: BillingSettings, agency: Agency) -> frozenset[str]:
    """Where a reader may be sent back to."""
    return agency.origins | {website_origin(settings.billing_url)}


def return_address(settings: BillingSettings, agency: Agency, asked: str) -> str:
    """The address asked for when it is one of ours, else empty."""
    return rules.safe_return(asked, origins(settings, agency))


def see_other(url: str) -> Response:
    """303: the browser goes on with GET."""
    return RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})
