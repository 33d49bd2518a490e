"""Who is at this request: the staff cookie, the caller's network and device, the roles a page needs."""

from __future__ import annotations

import hmac
from dataclasses import replace
from urllib.parse import urlencode

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from services.identity.authenticators.rules import network_of
from services.identity.provider.rules import VISIT_LIFETIME
from services.identity.sessions.rules import LIFETIME, is_fresh, location, origin_of, safe_next
from services.identity.sessions.service import Begun, Current, SessionService
from services.identity.settings import IdentitySettings
from services.identity.step_up import StepUp
from services.identity.visitor import Visitor, digest
from shared.audit import Actor, known_as
from shared.auth.roles import Role
from shared.clock import Clock
from shared.errors import ForbiddenError
from shared.security.events import SecurityEvent
from shared.security.report import expected
from shared.web import Pages
from shared.web.csrf import FORM_FIELD, FormTokens, SentForm, StaleFormError
from shared.web.staff import AnsweredError, SignInRequiredError
from shared.web.visitor import caller_address

DEVICE_COOKIE = "press_device"
DEVICE_SECONDS = 400 * 86_400
CONFIRM_FIELD = "confirm"
CONFIRM_ACTION = "confirm_action"
VISIT_SECONDS = int(VISIT_LIFETIME.total_seconds())


def _cross_site(origin: str) -> ForbiddenError:
    return ForbiddenError(
        "This request came from another site",
        slug="cross-site-request",
        security=SecurityEvent.CROSS_SITE_REQUEST,
        about={"origin": origin},
    )


class Access:
    """What every page of identity asks first."""

    def __init__(
        self,
        sessions: SessionService,
        step_up: StepUp,
        pages: Pages,
        form_tokens: FormTokens,
        settings: IdentitySettings,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._step_up = step_up
        self._pages = pages
        self._forms = form_tokens
        self._settings = settings
        self._clock = clock
        self._secure = settings.deployed
        self._own_origin = origin_of(settings.identity_url)
        self._cookie = settings.staff_cookie
        #: Where a bar stands from which somebody may sign out.
        self.tool_origins = frozenset(origin_of(url) for url in settings.known_origins())

    def visitor(self, request: Request) -> Visitor:
        address = caller_address(request, self._settings.hops)
        agent = request.headers.get("user-agent", "")
        return Visitor(
            network_of(address),
            "".join(c for c in agent if c.isprintable()),
            request.cookies.get(DEVICE_COOKIE, "")[:128],
        )

    def token(self, request: Request) -> str:
        return request.cookies.get(self._cookie, "")

    def sign_out_token(self, session_token: str) -> str:
        """For the form on every tool's bar: it ends this session and is good for nothing else."""
        return self._forms.token_for(f"sign-out:{session_token}")

    def next(self, wanted: str) -> str:
        """Where one may go after sign-in."""
        return safe_next(wanted, self._settings.known_origins())

    async def current(self, request: Request) -> Current | None:
        current = await self._sessions.current(self.token(request))
        if current is not None:
            known_as(Actor.staff(current.principal))
        return current

    async def signed_in(self, request: Request) -> Current:
        """Also a pending session: only the pages of its steps may use this."""
        current = await self.current(request)
        if current is None:
            raise SignInRequiredError(f"/sign-in?{urlencode({'next': self._back(request)})}")
        self.show_bar(request, current)
        return current

    def show_bar(self, request: Request, current: Current) -> None:
        """The page's bar is this person's; tools only when nothing is due."""
        request.state.staff = replace(
            current.principal,
            roles=current.principal.roles if current.due is None else {},
            sign_out_token=self.sign_out_token(self.token(request)),
        )

    async def page(self, request: Request) -> Current:
        """A member of staff for whom nothing is due any more."""
        current = await self.signed_in(request)
        if current.due is not None:
            raise SignInRequiredError(location(current.due, self._back(request)))
        return current

    @staticmethod
    def _back(request: Request) -> str:
        if request.method != "GET":
            return "/"
        return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path

    async def administrator(self, request: Request, agency: str, *, fresh: bool = False) -> Current:
        """404 for another agency, 403 without the role; ``fresh``: who has just proved to be themselves."""
        current = await self.page(request)
        current.principal.require(agency, Role.ADMIN)
        if fresh:
            await self.require_fresh(request, current)
        return current

    async def require_fresh(self, request: Request, current: Current) -> None:
        """Raises :class:`AnsweredError` when the last proof is older than ten minutes.

        The page that answers it sends the same form again, with the proof in ``confirm``: nothing typed is lost.
        """
        if is_fresh(current.authenticated_at, self._clock.now()):
            return
        form = await request.form()
        fields = await self.fields_to_repeat(request)
        typed = form.get(CONFIRM_FIELD)
        if not isinstance(typed, str):
            raise await self._question(request, current, fields)
        problem = await self._step_up.confirm(current, typed, self.visitor(request))
        if problem is not None:
            raise await self._question(request, current, fields, problem)

    @staticmethod
    async def fields_to_repeat(request: Request) -> tuple[tuple[str, str], ...]:
        """What was typed, without the proof and the form's token."""
        return tuple(
            (name, value)
            for name, value in (await request.form()).multi_items()
            if name not in (CONFIRM_FIELD, CONFIRM_ACTION, FORM_FIELD)
            and not isinstance(value, UploadFile)
        )

    async def _question(
        self,
        request: Request,
        current: Current,
        fields: tuple[tuple[str, str], ...],
        problem: str = "",
    ) -> AnsweredError:
        """The page that asks for the proof and sends the same form again, with the proof in ``confirm``."""
        expected()
        return AnsweredError(
            self._pages.render(
                request,
                "confirm.html",
                200 if request.method == "GET" else 403,
                current=current,
                ways=await self._step_up.ways(current),
                provider=self._settings.oidc_name,
                action=request.url.path,
                fields=fields,
                problem=problem,
            )
        )

    async def ask_to_confirm(self, request: Request, current: Current, next: str) -> None:
        """For a page: raises :class:`AnsweredError` unless the last proof is fresh."""
        if not is_fresh(current.authenticated_at, self._clock.now()):
            raise await self._question(request, current, (("next", next),))

    async def verify_form(self, request: Request) -> None:
        """The form's token. Before sign-in there is no session to bind it to, so the origin counts as well."""
        origin = request.headers.get("origin")
        own = {self._own_origin, f"{request.url.scheme}://{request.headers.get('host', '')}"}
        if origin is not None and origin not in own:
            raise _cross_site(origin)
        await self._forms.verify(request)

    async def verify_sign_out(self, request: Request) -> None:
        """The bar's form, from identity's own pages or a tool's."""
        own = f"{request.url.scheme}://{request.headers.get('host', '')}"
        origin = request.headers.get("origin", own)
        if origin not in {own, *self.tool_origins}:
            raise _cross_site(origin)
        sent = (await request.form()).get("sign_out_token")
        expected = self.sign_out_token(self.token(request))
        if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), expected.encode()):
            raise StaleFormError(self._forms, SentForm((("sign_out_token", expected),)))

    def enter(self, answer: Response, begun: Begun) -> Response:
        """The cookies of a session under way."""
        self._set(answer, self._cookie, begun.token, int(LIFETIME.total_seconds()))
        if begun.device is not None:
            answer.set_cookie(
                DEVICE_COOKIE,
                begun.device,
                max_age=DEVICE_SECONDS,
                path="/",
                secure=self._secure,
                httponly=True,
                samesite="lax",
            )
        return answer

    def _visit_cookie(self, state: str) -> str:
        """One for each visit to the provider, so that two tabs do not disturb each other."""
        prefix = "__Host-" if self._secure else ""
        return f"{prefix}press_visit_{digest(state).hex()[:12]}"

    def visiting(self, answer: Response, state: str, browser: str) -> Response:
        """The cookie by which the provider's answer is known to come back to the browser that was sent."""
        answer.set_cookie(
            self._visit_cookie(state),
            browser,
            max_age=VISIT_SECONDS,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )
        return answer

    def visited(self, request: Request, state: str) -> str:
        """What that cookie holds, or nothing."""
        return request.cookies.get(self._visit_cookie(state), "")[:128]

    def forget_visit(self, answer: Response, state: str) -> None:
        answer.delete_cookie(
            self._visit_cookie(state),
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def _set(self, answer: Response, name: str, value: str, seconds: int) -> None:
        answer.set_cookie(
            name,
            value,
            max_age=seconds,
            path="/",
            domain=self._settings.staff_cookie_domain or None,
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def clear_cookie(self, answer: Response) -> None:
        answer.delete_cookie(
            self._cookie,
            path="/",
            domain=self._settings.staff_cookie_domain or None,
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )
