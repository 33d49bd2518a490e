"""Every security event there is. A closed list: names are labels of a metric and words that alerts and searches rely on."""

from __future__ import annotations

from enum import StrEnum


class SecurityEvent(StrEnum):
    """``docs/security/events.md`` says of each where it comes from and what to do; a test fails when one is missing there."""

    # Who is asking, and may they
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    ROLE_MISSING = "role_missing"
    OTHER_AGENCY = "other_agency"
    # Keys and tokens of programs
    KEY_UNKNOWN = "key_unknown"
    KEY_ENDED = "key_ended"
    KEY_OTHER_AGENCY = "key_other_agency"
    KEY_SCOPE_MISSING = "key_scope_missing"
    INTERNAL_KEY_REFUSED = "internal_key_refused"
    SCRAPE_TOKEN_REFUSED = "scrape_token_refused"  # noqa: S105 (a name)
    READER_TOKEN_REFUSED = "reader_token_refused"  # noqa: S105 (a name)
    # Forms, and what other systems send
    FORM_TOKEN_REFUSED = "form_token_refused"  # noqa: S105 (a name)
    CROSS_SITE_REQUEST = "cross_site_request"
    WEBHOOK_REFUSED = "webhook_refused"
    EVENT_FORGED = "event_forged"
    UPLOAD_REFUSED = "upload_refused"
    # Proving who one is
    SIGN_IN_FAILED = "sign_in_failed"
    SIGN_IN_LIMITED = "sign_in_limited"
    LOCKED_OUT = "locked_out"
    NETWORK_LIMITED = "network_limited"
    SECOND_FACTOR_FAILED = "second_factor_failed"
    STEP_UP_FAILED = "step_up_failed"
    PROVIDER_ANSWER_REFUSED = "provider_answer_refused"
    PROVIDER_ANSWER_UNEXPECTED = "provider_answer_unexpected"
