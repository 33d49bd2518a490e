"""Errors in Stripe's own envelope, so that the SDK raises its own typed exceptions."""

from typing import Any


class StripeError(Exception):
    """An answer of Stripe's that is not 2xx."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.code = code
        self.param = param
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The JSON body; absent details are left out, as at Stripe."""
        error: dict[str, Any] = {"type": self.kind, "message": self.message}
        if self.code:
            error["code"] = self.code
        if self.param:
            error["param"] = self.param
        error.update({name: value for name, value in self.extra.items() if value is not None})
        return {"error": error}


def invalid(
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    status: int = 400,
    **extra: Any,
) -> StripeError:
    """The request asks for something that cannot be."""
    return StripeError(status, "invalid_request_error", message, code=code, param=param, **extra)


def missing(param: str) -> StripeError:
    """A required parameter is absent."""
    return invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")


def unknown(param: str) -> StripeError:
    """A parameter that Stripe does not have, or that this sandbox does not play."""
    return invalid(
        f"Received unknown parameter: {param} (or the sandbox does not support it)",
        param=param,
        code="parameter_unknown",
    )


def no_such(noun: str, identifier: str, param: str = "id") -> StripeError:
    """There is no object with this id in this account.

    In the address (``param`` is ``id``) that is a 404, in a parameter a 400:
    https://docs.stripe.com/error-codes#resource-missing
    """
    return invalid(
        f"No such {noun}: '{identifier}'",
        param=param,
        code="resource_missing",
        status=404 if param == "id" else 400,
    )


def unauthorised(message: str, code: str | None = None) -> StripeError:
    """No key, or a key the sandbox refuses."""
    return invalid(message, code=code, status=401)


def card_error(message: str, code: str, decline_code: str | None, **extra: Any) -> StripeError:
    """The card was declined."""
    return StripeError(402, "card_error", message, code=code, decline_code=decline_code, **extra)


def idempotency_error(message: str) -> StripeError:
    """The same idempotency key came with another request."""
    return StripeError(400, "idempotency_error", message)


def key_in_use(key: str) -> StripeError:
    """The first request under this idempotency key is not answered yet."""
    return StripeError(
        409,
        "idempotency_error",
        "There is currently another in-progress request using this Idempotent Key (that probably "
        "means you submitted twice, and the other request is still going through): "
        f"{key}. Please try again later.",
        code="idempotency_key_in_use",
    )


def doc_url(code: str) -> str:
    """Where Stripe explains an error code."""
    return f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}"
