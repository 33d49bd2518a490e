"""What only the operator knows, as data: a variable, the question, what is right. Standard library only: the machine that
runs Docker needs no environment of ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

DOMAIN = re.compile(r"^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$")
ADDRESS = re.compile(r"^[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+$")
BANK_SECRETS = re.compile(
    r"[a-z0-9]+(-[a-z0-9]+)*/(sepay|payos):[^,:\s]{24,}"
    r"(,[a-z0-9]+(-[a-z0-9]+)*/(sepay|payos):[^,:\s]{24,})*"
)
SLUG = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")

Answers = Mapping[str, str]


def _empty(_answers: Answers) -> str:
    return ""


def _always(_answers: Answers) -> bool:
    return True


@dataclass(frozen=True)
class Question:
    """``right`` says what an answer must be; ``fits`` checks it; ``usual`` is taken when nothing is said."""

    variable: str
    text: str
    right: str
    fits: Callable[[str], bool]
    usual: Callable[[Answers], str] = _empty
    asked: Callable[[Answers], bool] = _always
    optional: bool = False


def _domain(value: str) -> bool:
    return bool(DOMAIN.match(value))


def _address(value: str) -> bool:
    return bool(ADDRESS.match(value))


def _stripe(value: str) -> bool:
    return value == "" or value.startswith(("sk_live_", "rk_live_"))


def _has_stripe(answers: Answers) -> bool:
    return bool(answers.get("STRIPE_SECRET_KEY"))


QUESTIONS = (
    Question(
        "DOMAIN",
        "Your newspaper's domain; the services get names below it",
        "a registered domain, e.g. baohungyen.vn",
        _domain,
    ),
    Question(
        "AGENCY",
        "A short name of the agency for addresses, e.g. bao-hung-yen",
        "small letters, digits and hyphens",
        lambda value: bool(SLUG.match(value)) and len(value) <= 40,
        usual=lambda answers: answers["DOMAIN"].split(".")[0],
    ),
    Question(
        "AGENCY_NAME", "The agency's full name", "a name", bool, usual=lambda a: a["AGENCY"]
    ),
    Question(
        "ADMINISTRATOR",
        "E-mail address of the first administrator",
        "an e-mail address",
        _address,
    ),
    Question(
        "ALERTS_TO",
        "E-mail address that alerts go to",
        "an e-mail address",
        _address,
        usual=lambda answers: answers["ADMINISTRATOR"],
    ),
    Question(
        "TLS_ISSUER",
        "E-mail address for the certificate authority (it warns of trouble with certificates)",
        "an e-mail address",
        _address,
        usual=lambda answers: answers["ADMINISTRATOR"],
    ),
    Question("SMTP_HOST", "Mail server (SMTP)", "a host name", _domain),
    Question(
        "SMTP_PORT",
        "Its port",
        "587 (STARTTLS) or 465 (TLS)",
        lambda value: value.isdigit() and 0 < int(value) < 65_536,
        usual=lambda _answers: "587",
    ),
    Question(
        "SMTP_TLS",
        "How mail is protected",
        "starttls or tls",
        lambda value: value in ("starttls", "tls"),
        usual=lambda answers: "tls" if answers["SMTP_PORT"] == "465" else "starttls",
    ),
    Question("SMTP_USERNAME", "User of the mail server (empty: none)", "", lambda _v: True, optional=True),
    Question(
        "SMTP_PASSWORD",
        "Password of the mail server",
        "the password",
        bool,
        asked=lambda answers: bool(answers.get("SMTP_USERNAME")),
    ),
    Question(
        "MAIL_FROM",
        "Sender of mail to readers and staff",
        "Name <address>",
        lambda value: "@" in value,
        usual=lambda answers: f"{answers['AGENCY_NAME']} <no-reply@{answers['DOMAIN']}>",
    ),
    Question(
        "STRIPE_SECRET_KEY",
        "Stripe's secret key (empty: no card payments)",
        "sk_live_… or rk_live_…, or empty",
        _stripe,
        optional=True,
    ),
    Question(
        "STRIPE_WEBHOOK_SECRET",
        "Signing secret of Stripe's webhook endpoint {BILLING_URL}/v1/webhooks/stripe",
        "whsec_…",
        lambda value: value.startswith("whsec_"),
        asked=_has_stripe,
    ),
    Question(
        "BANK_WEBHOOK_SECRETS",
        "Secrets of those who tell of bank credits (empty: nobody)",
        "agency/kind:secret by commas, a kind is sepay or payos",
        lambda value: bool(BANK_SECRETS.fullmatch(value)),
        optional=True,
    ),
)  # fmt: skip
