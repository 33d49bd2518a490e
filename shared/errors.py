"""Errors as people and machines can use them: RFC 9457 problem details, with a stable slug.

A use case raises one of these; the web layer turns it into ``application/problem+json``. ``errors`` names
each field and what would be right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dict_field
from types import EllipsisType
from typing import Any

from shared.security.events import SecurityEvent

PROBLEM_TYPE_PREFIX = "urn:press-revenue:problem:"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong input: where (dotted path), what is wrong, what would be right.

    ``values`` fill the placeholders of both texts, which a page translates before.
    """

    field: str
    message: str
    expected: str = ""
    values: Mapping[str, str | int] = dict_field(default_factory=dict)

    def as_dict(self) -> dict[str, str]:
        body = {"field": self.field, "message": self._filled(self.message)}
        if self.expected:
            body["expected"] = self._filled(self.expected)
        return body

    def _filled(self, text: str) -> str:
        return text.format(**self.values) if self.values else text


class ProblemError(Exception):
    """Base of every expected error. ``slug`` never changes once published.

    ``security`` is the security event that the refusal is, None when it is none; ``about`` is what the log is told of it
    besides, and never the answer (``shared.security.report``).
    """

    status = 500
    slug = "internal"
    title = "Something went wrong"
    security: SecurityEvent | None = None

    def __init__(
        self,
        detail: str = "",
        *,
        slug: str | None = None,
        errors: tuple[FieldError, ...] = (),
        headers: dict[str, str] | None = None,
        security: SecurityEvent | EllipsisType | None = ...,
        about: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail or self.title)
        if not isinstance(security, EllipsisType):
            self.security = security
        self.about = about or {}
        self.detail = detail
        self.slug = slug or self.slug
        self.errors = errors
        self.headers = headers or {}
        self.extra = extra

    def body(self, instance: str = "") -> dict[str, Any]:
        """The problem document."""
        body: dict[str, Any] = {
            "type": PROBLEM_TYPE_PREFIX + self.slug,
            "title": self.title,
            "status": self.status,
        }
        if self.detail:
            body["detail"] = self.detail
        if instance:
            body["instance"] = instance
        if self.errors:
            body["errors"] = [error.as_dict() for error in self.errors]
        return body | self.extra


class InvalidInputError(ProblemError):
    status, slug, title = 422, "invalid-input", "The input is not valid"


class BadRequestError(ProblemError):
    status, slug, title = 400, "bad-request", "The request cannot be read"


class UnauthorizedError(ProblemError):
    status, slug, title = 401, "unauthorized", "Sign in, or send a valid key"
    security = SecurityEvent.UNAUTHENTICATED


class ForbiddenError(ProblemError):
    status, slug, title = 403, "forbidden", "Your role does not allow this"
    security = SecurityEvent.FORBIDDEN


class NotFoundError(ProblemError):
    """Also the answer for another agency's data: its existence is not revealed."""

    status, slug, title = 404, "not-found", "There is nothing here"


class ConflictError(ProblemError):
    status, slug, title = 409, "conflict", "This does not fit the present state"


class PreconditionError(ProblemError):
    status, slug, title = 412, "precondition-failed", "It was changed in the meantime"


class TooManyRequestsError(ProblemError):
    status, slug, title = 429, "too-many-requests", "Too many requests"


class UnavailableError(ProblemError):
    status, slug, title = 503, "unavailable", "Try again in a moment"
