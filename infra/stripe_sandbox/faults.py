"""Faults on request: a 500 that stays under its key, a connection that closes without an answer."""

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .errors import StripeError


def stored_fault(request_id: str | None) -> StripeError:
    """Stripe's own failure. It is kept under the idempotency key like any other answer."""
    return StripeError(
        500,
        "api_error",
        f"An unexpected error occurred. (Request {request_id}; the sandbox was told to fail.)",
    )


class NoAnswer(Response):
    """Promises a body and sends none: the server closes the connection, the caller knows nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Begin an answer and break off."""
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"1"), (b"content-type", b"application/json")],
            }
        )
        try:
            await send({"type": "http.response.body", "body": b""})
        except RuntimeError:
            # A real server refuses a body that is too short, and closes. That is what is wanted.
            return
