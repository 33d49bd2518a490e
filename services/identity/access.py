"""Who is at this request: the staff cookie, the caller's network, the roles a page needs."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from services.identity.authenticators.rules import network_of
from services.identity.sessions.rules import LIFETIME, origin_of
from services.identity.sessions.service import Current, SessionService, Visitor
from services.identity.settings import IdentitySettings
from shared.audit import Actor, known_as
from shared.auth.roles import Role
from shared.errors import ForbiddenError
from shared.web.csrf import FormTokens
from shared.web.staff import STAFF_COOKIE, SignInRequiredError
from shared.web.visitor import caller_address


class Access:
    """What every page of identity asks first."""

    def __init__(
        self, sessions: SessionService, form_tokens: FormTokens, settings: IdentitySettings
    ) -> None:
        self._sessions = sessions
        self._forms = form_tokens
        self._settings = settings
        self._secure = settings.deployed
        self._own_origin = origin_of(settings.identity_url)

    def visitor(self, request: Request) -> Visitor:
        address = caller_address(request, self._settings.hops)
        agent = request.headers.get("user-agent", "")
        return Visitor(network_of(address), "".join(c for c in agent if c.isprintable()))

    @staticmethod
    def token(request: Request) -> str:
        return request.cookies.get(STAFF_COOKIE, "")

    async def current(self, request: Request) -> Current | None:
        current = await self._sessions.current(self.token(request))
        if current is not None:
            known_as(Actor.staff(current.principal))
        return current

    async def signed_in(self, request: Request) -> Current:
        """Also with a one-time password: only the account page may use this."""
        current = await self.current(request)
        if current is None:
            path = request.url.path if request.method == "GET" else "/"
            raise SignInRequiredError(f"/sign-in?{urlencode({'next': path})}")
        return current

    async def page(self, request: Request) -> Current:
        """A member of staff whose password is their own."""
        current = await self.signed_in(request)
        if current.must_change_password:
            raise SignInRequiredError("/account")
        return current

    async def administrator(self, request: Request, agency: str) -> Current:
        """404 for another agency, 403 without the role."""
        current = await self.page(request)
        current.principal.require(agency, Role.ADMIN)
        return current

    async def verify_form(self, request: Request) -> None:
        """The form's token. Before sign-in there is no session to bind it to, so the origin counts as well."""
        origin = request.headers.get("origin")
        own = {self._own_origin, f"{request.url.scheme}://{request.headers.get('host', '')}"}
        if origin is not None and origin not in own:
            raise ForbiddenError("This request came from another site", slug="cross-site-request")
        await self._forms.verify(request)

    def set_cookie(self, answer: Response, token: str) -> None:
        answer.set_cookie(
            STAFF_COOKIE,
            token,
            max_age=int(LIFETIME.total_seconds()),
            path="/",
            domain=self._settings.staff_cookie_domain or None,
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def clear_cookie(self, answer: Response) -> None:
        answer.delete_cookie(
            STAFF_COOKIE,
            path="/",
            domain=self._settings.staff_cookie_domain or None,
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )
