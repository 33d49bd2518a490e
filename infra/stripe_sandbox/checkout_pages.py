"""The hosted checkout page and the (pretended) bank's 3-D Secure page."""

from datetime import UTC, datetime

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from . import cards, checkout_flow, debits
from .checkout import expire_session
from .checkout_flow import Entry
from .scope import Sandbox, Scope
from .store import Doc
from .web import origin_of, render, same_origin
from .words import WORDS, language


def success_url(session: Doc) -> str:
    """Where a payer goes, with the session's id filled in."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


class CheckoutPages:
    """Pages that a browser opens. The session's unguessable address is what lets it in."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def _load(self, request: Request) -> tuple[Scope, Doc] | None:
        identifier = request.path_params["id"]
        account = self.sandbox.store.owner(identifier)
        if account is None:
            return None
        scope = self.sandbox.scope(account)
        session = scope.find(identifier)
        if session is None or session["object"] != "checkout.session":
            return None
        owner = scope.find(session["customer"]) if session["customer"] else None
        gone = owner is not None and owner.get("deleted")
        if session["status"] == "open" and (gone or session["expires_at"] <= scope.now()):
            with self.sandbox.store.transaction():
                session = expire_session(scope, session)
        return scope, session

    def _notice(
        self, request: Request, name: str, status: int, session: Doc | None = None, link: str = ""
    ) -> Response:
        lang = language(request.query_params.get("lang"), session["locale"] if session else None)
        return render(
            "notice.html",
            status,
            t=WORDS[lang],
            lang=lang,
            title=WORDS[lang][f"{name}_title"],
            text=WORDS[lang][f"{name}_text"],
            link=link,
        )

    def _closed(self, request: Request, session: Doc) -> Response | None:
        """The page of a session that takes no more payment; None for an open one."""
        if session["status"] == "complete":
            return self._notice(request, "done", 200, session, success_url(session))
        if session["status"] == "expired":
            return self._notice(request, "expired", 410, session, session["cancel_url"] or "")
        return None

    def _form(
        self,
        request: Request,
        scope: Scope,
        session: Doc,
        *,
        status: int = 200,
        problem: str | None = None,
        heading: str = "check",
        email: str = "",
        name: str = "",
        method: str = "card",
    ) -> Response:
        lang = language(request.query_params.get("lang"), session["locale"])
        words = WORDS[lang]
        hidden = scope.hidden(session["id"])
        return render(
            "checkout.html",
            status,
            form_targets=(origin_of(session["success_url"]),),
            t=words,
            lang=lang,
            other="en" if lang == "vi" else "vi",
            session=session,
            lines=hidden["line_items"],
            fixed_email=self._fixed_email(scope, session),
            email=email,
            name=name,
            problem=words.get(problem, words["generic_decline"]) if problem else None,
            heading=words[heading],
            method=method,
            later=bool(hidden["intent_data"].get("setup_future_usage")),
            cards=cards.TEST_CARDS.values(),
            test_accounts=debits.TEST_ACCOUNTS.values(),
        )

    def _fixed_email(self, scope: Scope, session: Doc) -> str:
        if session["customer_email"]:
            return str(session["customer_email"])
        owner = scope.find(session["customer"]) if session["customer"] else None
        return str(owner["email"] or "") if owner else ""

    async def show(self, request: Request) -> Response:
        """GET /c/pay/:id"""
        loaded = self._load(request)
        if loaded is None:
            return self._notice(request, "missing", 404)
        scope, session = loaded
        if closed := self._closed(request, session):
            return closed
        if "declined" not in request.query_params:
            return self._form(request, scope, session)
        problem = checkout_flow.last_decline(scope, session)
        payer = checkout_flow.last_payer(scope, session)
        return self._form(
            request,
            scope,
            session,
            problem=problem,
            heading="problem",
            email=payer["email"] or "",
            name=payer["name"] or "",
        )

    async def pay(self, request: Request) -> Response:
        """POST /c/pay/:id"""
        loaded = self._load(request)
        if loaded is None:
            return self._notice(request, "missing", 404)
        scope, session = loaded
        if not same_origin(request):
            return self._notice(request, "forbidden", 403, session)
        if session["status"] != "open":
            return self._closed_after_post(request, session)
        form = await request.form()
        fixed = self._fixed_email(scope, session)
        entry, problem = read(form, fixed, scope.now(), session)
        if problem is not None:
            return self._form(
                request,
                scope,
                session,
                status=422,
                problem=problem,
                email=entry.email,
                name=entry.name,
                method="sepa_debit" if entry.iban else "card",
            )
        # Read again: another tab may have paid while this form was on its way.
        with self.sandbox.store.transaction():
            session = scope.fetch("checkout.session", session["id"])
            outcome = (
                checkout_flow.submit(scope, session, entry)
                if session["status"] == "open"
                else session["status"]
            )
        return self._after(request, session, outcome)

    def _closed_after_post(self, request: Request, session: Doc) -> Response:
        """Paid already (a second click): on to where the payer goes. Expired: say so."""
        if session["status"] == "complete":
            return RedirectResponse(success_url(session), 303)
        return RedirectResponse(f"/c/pay/{session['id']}", 303)

    def _after(self, request: Request, session: Doc, outcome: str) -> Response:
        page, lang = f"/c/pay/{session['id']}", request.query_params.get("lang", "")
        tail = f"lang={lang}" if lang in WORDS else ""
        if outcome == "complete":
            return RedirectResponse(success_url(session), 303)
        if outcome == "challenge":
            return RedirectResponse(f"{page}/3ds" + (f"?{tail}" if tail else ""), 303)
        if outcome == "expired":
            return RedirectResponse(page + (f"?{tail}" if tail else ""), 303)
        return RedirectResponse(f"{page}?declined=1" + (f"&{tail}" if tail else ""), 303)

    async def challenge(self, request: Request) -> Response:
        """GET /c/pay/:id/3ds"""
        loaded = self._load(request)
        if loaded is None:
            return self._notice(request, "missing", 404)
        scope, session = loaded
        if closed := self._closed(request, session):
            return closed
        if not checkout_flow.waits_for_answer(scope, session):
            return RedirectResponse(f"/c/pay/{session['id']}", 303)
        lang = language(request.query_params.get("lang"), session["locale"])
        return render(
            "challenge.html",
            form_targets=(origin_of(session["success_url"]),),
            t=WORDS[lang],
            lang=lang,
            other="en" if lang == "vi" else "vi",
            amount=session["amount_total"],
            currency=session["currency"],
        )

    async def answer(self, request: Request) -> Response:
        """POST /c/pay/:id/3ds"""
        loaded = self._load(request)
        if loaded is None:
            return self._notice(request, "missing", 404)
        scope, session = loaded
        if not same_origin(request):
            return self._notice(request, "forbidden", 403, session)
        form = await request.form()
        with self.sandbox.store.transaction():
            session = scope.fetch("checkout.session", session["id"])
            if session["status"] != "open" or not checkout_flow.waits_for_answer(scope, session):
                return RedirectResponse(f"/c/pay/{session['id']}", 303)
            outcome = checkout_flow.answer(scope, session, approved=form.get("answer") == "approve")
        return self._after(request, session, outcome)


def read(form: FormData, fixed_email: str, now: int, session: Doc) -> tuple[Entry, str | None]:
    """The form as an entry, and the first thing wrong with it."""

    def field(name: str) -> str:
        value = form.get(name, "")
        return value.strip()[:200] if isinstance(value, str) else ""

    debit = field("method") == debits.TYPE and debits.TYPE in session["payment_method_types"]
    month, year = expiry(field("expiry"))
    entry = Entry(
        number="" if debit else cards.digits(field("number")),
        month=month,
        year=year,
        email=fixed_email or field("email"),
        name=field("name"),
        iban=debits.compact(field("iban")) if debit else "",
    )
    if "@" not in entry.email or " " in entry.email:
        return entry, "invalid_email"
    if session["mode"] == "payment" and session["amount_total"] == 0:
        return entry, None
    if debit:
        return entry, None if entry.iban in debits.TEST_ACCOUNTS else "not_a_test_account"
    today = datetime.fromtimestamp(now, UTC)
    problem = cards.problem_with(
        entry.number, month, year, field("cvc"), today=(today.year, today.month)
    )
    return entry, problem


def expiry(text: str) -> tuple[int, int]:
    """``12 / 34`` or ``1234`` to (12, 2034); (0, 0) where it is neither."""
    figures = "".join(char for char in text if char.isascii() and char.isdigit())
    if len(figures) not in {4, 6}:
        return 0, 0
    year = int(figures[2:])
    return int(figures[:2]), year + 2000 if year < 100 else year
