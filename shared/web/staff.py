"""Staff access for pages and APIs: the session cookie is identity's; a service only asks who it is."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import Response

from shared.audit.caller import Actor, known_as
from shared.auth import IdentityClient, KeyPrincipal, StaffPrincipal
from shared.clock import Clock, SystemClock
from shared.errors import ProblemError, UnauthorizedError
from shared.web.middleware import allow_form_targets
from shared.web.pages import own_path

FRESH = timedelta(minutes=10)


class SignInRequiredError(ProblemError):
    """A page needs a signed-in member of staff: the browser is sent to identity and comes back."""

    status, slug, title = 401, "sign-in-required", "Sign in first"

    def __init__(self, location: str) -> None:
        super().__init__()
        self.location = location


class FreshSignInRequiredError(ProblemError):
    """An act of weight needs somebody who proved who they are within ten minutes.

    ``location`` is identity's page that asks for it. A page that was only looked at leads there and back; a form is
    answered with a page that keeps what was sent and sends it again (``shared.web.problems``).
    """

    status, slug, title = 403, "fresh-sign-in-required", "Confirm that it is you first"

    def __init__(self, location: str, fields: tuple[tuple[str, str], ...] | None) -> None:
        super().__init__()
        self.location = location
        self.fields = fields


class AnsweredError(Exception):
    """A guard has the whole answer already: a page that asks for something first."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer


class StaffAccess:
    """``page`` for pages (redirects to sign-in), ``staff`` and ``staff_or_key`` for APIs (401)."""

    def __init__(
        self,
        identity: IdentityClient,
        *,
        identity_url: str,
        own_url: str,
        cookie: str,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._identity = identity
        self._identity_url = identity_url.rstrip("/")
        self._identity_origin = "{0.scheme}://{0.netloc}".format(urlsplit(identity_url.lower()))
        self._own_url = own_url.rstrip("/")
        self._cookie = cookie

    async def page(self, request: Request) -> StaffPrincipal:
        """Raises :class:`SignInRequiredError`, answered with 303 to identity's sign-in page."""
        # A form sent after the session has ended is answered with the way to identity's sign-in page.
        allow_form_targets(request.scope, [self._identity_origin])
        principal = await self._session(request)
        if principal is None:
            raise SignInRequiredError(
                f"{self._identity_url}/sign-in?{urlencode({'next': self._back(request)})}"
            )
        request.state.staff = principal
        return principal

    async def staff(self, request: Request) -> StaffPrincipal:
        """Raises :class:`UnauthorizedError`."""
        principal = await self._session(request)
        if principal is None:
            raise UnauthorizedError
        return principal

    async def require_fresh(self, request: Request) -> StaffPrincipal:
        """Who has proved who they are within ten minutes: for high-value acts, after ``page`` or ``staff``.

        Raises :class:`FreshSignInRequiredError`, :class:`UnauthorizedError`.
        """
        principal = await self._session(request)
        if principal is None:
            raise UnauthorizedError
        if self._is_fresh(principal):
            return principal
        fields = None
        if request.method == "POST":
            form = await request.form()
            fields = tuple(
                (name, value) for name, value in form.multi_items() if isinstance(value, str)
            )
        raise FreshSignInRequiredError(
            f"{self._identity_url}/confirm?{urlencode({'next': self._back(request)})}", fields
        )

    def _is_fresh(self, principal: StaffPrincipal) -> bool:
        at = principal.authenticated_at
        return at is not None and self._clock.now() - at < FRESH

    def _back(self, request: Request) -> str:
        """Where to come back to: the page itself; after a form the page of ours that it stood on, else our front page."""
        if request.method == "GET":
            return f"{self._own_url}{own_path(request.url)}"
        came_from = request.headers.get("referer", "")
        if not came_from.startswith(f"{self._own_url}/"):
            return self._own_url
        return f"{self._own_url}{own_path(URL(came_from))}"

    async def key(self, request: Request) -> KeyPrincipal:
        """The service key in ``Authorization: Bearer``. Raises :class:`UnauthorizedError`."""
        known = getattr(request.state, "principal", None)
        if isinstance(known, KeyPrincipal):
            return known
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise UnauthorizedError(headers={"WWW-Authenticate": "Bearer"})
        principal = await self._identity.key(value)
        known_as(Actor.key(principal))
        return principal

    async def staff_or_key(self, request: Request) -> StaffPrincipal | KeyPrincipal:
        """A key when ``Authorization`` is there, a staff session otherwise."""
        if "authorization" in request.headers:
            return await self.key(request)
        return await self.staff(request)

    async def _session(self, request: Request) -> StaffPrincipal | None:
        known = getattr(request.state, "principal", None)
        if isinstance(known, StaffPrincipal):
            return known  # asked for this request already (shared.web.known_first)
        token = request.cookies.get(self._cookie, "")
        principal = await self._identity.staff(token) if token else None
        if principal is not None:
            known_as(Actor.staff(principal))
        return principal
