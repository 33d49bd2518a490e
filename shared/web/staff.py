"""Staff access for pages and APIs: the session cookie is identity's; a service only asks who it is."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from starlette.requests import Request

from shared.audit.caller import Actor, known_as
from shared.auth import IdentityClient, KeyPrincipal, StaffPrincipal
from shared.errors import ProblemError, UnauthorizedError
from shared.web.middleware import allow_form_targets

STAFF_COOKIE = "press_staff"


class SignInRequiredError(ProblemError):
    """A page needs a signed-in member of staff: the browser is sent to identity and comes back."""

    status, slug, title = 401, "sign-in-required", "Sign in first"

    def __init__(self, location: str) -> None:
        super().__init__()
        self.location = location


class StaffAccess:
    """``page`` for pages (redirects to sign-in), ``staff`` and ``staff_or_key`` for APIs (401)."""

    def __init__(self, identity: IdentityClient, *, identity_url: str, own_url: str) -> None:
        self._identity = identity
        self._identity_url = identity_url.rstrip("/")
        self._identity_origin = "{0.scheme}://{0.netloc}".format(urlsplit(identity_url.lower()))
        self._own_url = own_url.rstrip("/")

    async def page(self, request: Request) -> StaffPrincipal:
        """Raises :class:`SignInRequiredError`, answered with 303 to identity's sign-in page."""
        # A form sent after the session has ended is answered with the way to identity's sign-in page.
        allow_form_targets(request.scope, [self._identity_origin])
        principal = await self._session(request)
        if principal is None:
            query = f"?{request.url.query}" if request.url.query else ""
            back = (
                f"{self._own_url}{request.url.path}{query}"
                if request.method == "GET"
                else (self._own_url)
            )
            raise SignInRequiredError(f"{self._identity_url}/sign-in?{urlencode({'next': back})}")
        request.state.staff = principal
        return principal

    async def staff(self, request: Request) -> StaffPrincipal:
        """Raises :class:`UnauthorizedError`."""
        principal = await self._session(request)
        if principal is None:
            raise UnauthorizedError
        return principal

    async def key(self, request: Request) -> KeyPrincipal:
        """The service key in ``Authorization: Bearer``. Raises :class:`UnauthorizedError`."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        principal = await self._identity.key(value) if scheme.lower() == "bearer" else None
        if principal is None:
            raise UnauthorizedError(headers={"WWW-Authenticate": "Bearer"})
        known_as(Actor.key(principal))
        return principal

    async def staff_or_key(self, request: Request) -> StaffPrincipal | KeyPrincipal:
        """A key when ``Authorization`` is there, a staff session otherwise."""
        if "authorization" in request.headers:
            return await self.key(request)
        return await self.staff(request)

    async def _session(self, request: Request) -> StaffPrincipal | None:
        token = request.cookies.get(STAFF_COOKIE, "")
        principal = await self._identity.staff(token) if token else None
        if principal is not None:
            known_as(Actor.staff(principal))
        return principal
