"""The door of the /v1 API: key, version, parameters, idempotency, expansion, errors, faults.

Idempotency: https://docs.stripe.com/api/idempotent_requests
"""

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from .errors import StripeError, idempotency_error, invalid, key_in_use, unauthorised
from .expand import expand
from .faults import NoAnswer, stored_fault
from .params import Params, parse_form
from .routes import find
from .scope import RequestInfo, Sandbox
from .settings import API_VERSION
from .store import Doc

log = logging.getLogger("stripe_sandbox.api")

DAY = 86_400
LONGEST_KEY = 255
LARGEST_BODY = 1_000_000


@dataclass(frozen=True)
class Answer:
    """What goes back, and whether it is a replay."""

    status: int
    body: str
    replayed: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """What it says of itself: a 500 that is kept, and a key in use, are worth another try or not."""
        found = {"Idempotent-Replayed": "true"} if self.replayed else {}
        if self.status in {409, 500}:
            found["Stripe-Should-Retry"] = "true" if self.status == 409 else "false"
        return found


def key_of(request: Request, only: str = "") -> str:
    """The secret key, from ``Bearer`` or as Basic's user name. ``only``: the one key that has an account here.

    Raises:
        StripeError: 401 without a key, with a live key, or with one that is no test key.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            given = b64decode(given).decode().partition(":")[0]
        except (Base64Error, UnicodeDecodeError):
            given = ""
    key = given.strip()
    if not key or scheme.lower() not in {"bearer", "basic"}:
        raise unauthorised(
            "You did not provide an API key. You need to provide your API key in the "
            "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_KEY')."
        )
    if key.startswith(("sk_live_", "rk_live_", "pk_live_")):
        raise unauthorised(
            "This is a sandbox: it refuses live keys. Use a key that starts with sk_test_, and "
            "replace the live key if it has gone where it should not.",
            code="livemode_mismatch",
        )
    if not key.startswith("sk_test_") or len(key) <= len("sk_test_"):
        raise unauthorised("Invalid API Key provided: the sandbox expects sk_test_…")
    if only and not hmac.compare_digest(key.encode(), only.encode()):
        raise unauthorised("Invalid API Key provided: this sandbox has one account")
    return key


def account_of(key: str) -> str:
    """Each key is an account of its own; the key itself is not kept."""
    return f"acct_{hashlib.sha256(key.encode()).hexdigest()[:16]}"


async def _body(request: Request) -> bytes:
    """The body, read no further than its limit."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            raise invalid("The request is too large.", status=413)
        parts.append(part)
    return b"".join(parts)


class Api:
    """Answers /v1 requests. One request is one transaction of the store."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._running: set[tuple[str, str]] = set()

    async def __call__(self, request: Request) -> Response:
        """The ASGI endpoint."""
        request_id = f"req_{secrets.token_hex(7)}"
        switches = self.sandbox.switches
        lost = switches.take("no_answer")
        if lost and not switches.no_answer_after_effect:
            return NoAnswer()
        try:
            answer = await self._answer(request, request_id)
        except StripeError as error:
            answer = Answer(error.status, json.dumps(error.body()))
        except Exception:
            # A fault of the sandbox's own; the SDK still gets an answer it can read.
            log.exception("request %s failed", request_id)
            fault = StripeError(500, "api_error", f"The sandbox failed on {request_id}.")
            answer = Answer(500, json.dumps(fault.body()))
        headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
        if key := request.headers.get("idempotency-key"):
            headers["Idempotency-Key"] = key
        headers |= answer.headers
        if lost:
            return NoAnswer()
        return Response(answer.body, answer.status, headers=headers, media_type="application/json")

    async def _answer(self, request: Request, request_id: str) -> Answer:
        key = key_of(request, self.sandbox.settings.account_key)
        version = request.headers.get("stripe-version", API_VERSION)
        if version != API_VERSION:
            raise invalid(
                f"Invalid Stripe API version: {version}. The sandbox speaks {API_VERSION} only."
            )
        if request.method == "POST":
            form = (await _body(request)).decode("utf-8", "replace")
        else:
            form = request.url.query
        account = account_of(key)
        idempotency_key = request.headers.get("idempotency-key")
        if request.method != "POST":
            idempotency_key = None
        with self.sandbox.store.transaction():
            self.sandbox.store.know_account(account, f"sk_test_…{key[-4:]}")
        info = RequestInfo(request_id, idempotency_key)
        async with self._alone(account, idempotency_key):
            if wait := self.sandbox.switches.slow_seconds:
                await asyncio.sleep(wait)
            return self._idempotent(account, info, request.method, request.url.path, form)

    @asynccontextmanager
    async def _alone(self, account: str, key: str | None) -> AsyncIterator[None]:
        """One request at a time under a key; the second is told so."""
        if key is None:
            yield
            return
        if (account, key) in self._running:
            raise key_in_use(key)
        self._running.add((account, key))
        try:
            yield
        finally:
            self._running.discard((account, key))

    def _idempotent(
        self, account: str, info: RequestInfo, method: str, path: str, form: str
    ) -> Answer:
        """Run once for each idempotency key; afterwards play the same answer again."""
        key = info.idempotency_key
        if key is None:
            return self._run_or_fail(account, info, method, path, form)
        if len(key) > LONGEST_KEY:
            raise invalid(f"Idempotency keys have at most {LONGEST_KEY} characters.")
        fingerprint = hashlib.sha256(
            json.dumps([method, path, parse_form(form)], sort_keys=True).encode()
        ).hexdigest()
        store, now = self.sandbox.store, int(self.sandbox.clock())
        if known := store.remembered(account, key, now - DAY):
            if known[0] != fingerprint:
                raise idempotency_error(
                    "Keys for idempotent requests can only be used with the same parameters they "
                    f"were first used with. Try using a key other than '{key}' if you meant to "
                    "execute a different request."
                )
            return Answer(known[1], known[2], replayed=True)
        with store.transaction():
            answer = self._run_or_fail(account, info, method, path, form)
            # What failed validation never began, so its key stays free: as at Stripe.
            store.remember(account, key, fingerprint, answer.status, answer.body, now)
        return answer

    def _run_or_fail(
        self, account: str, info: RequestInfo, method: str, path: str, form: str
    ) -> Answer:
        """Run, unless the switch says that new creating calls fail: before their effect, or after."""
        switches = self.sandbox.switches
        if method != "POST" or not switches.take("fail_creates"):
            return self._run(account, info, method, path, form)
        if switches.fail_after_effect:
            self._run(account, info, method, path, form)
        fault = stored_fault(info.id)
        return Answer(fault.status, json.dumps(fault.body()))

    def _run(self, account: str, info: RequestInfo, method: str, path: str, form: str) -> Answer:
        found = find(method, path)
        if found is None:
            raise invalid(
                f"Unrecognized request URL ({method}: {path}), or not played by the sandbox.",
                status=404,
            )
        handler, ids = found
        params = Params(parse_form(form))
        wanted = params.texts("expand") or []
        scope = self.sandbox.scope(account, info)
        declined: StripeError | None = None
        body: Doc = {}
        with self.sandbox.store.transaction():
            try:
                body = expand(scope, handler(scope, params, *ids), wanted)
            except StripeError as error:
                if error.status != 402:
                    raise
                # A declined card is a fact: its charge and its events stay.
                declined = error
            params.finish()
        if declined is not None:
            return Answer(declined.status, json.dumps(declined.body()))
        return Answer(200, json.dumps(body))
