"""Makes what `make up` starts from, once: ``.env`` and ``.secrets`` (closed to others), and ``agencies.toml``.

``python3 -m infra.compose.configure`` asks on a terminal; elsewhere answers come from the environment, and what is missing is
said in one go. ``--demo`` makes a rehearsal: the payment sandbox, a sample newspaper, names below .test, nothing asked.
What is there already is kept: run it again after adding a variable to ``.env``. Standard library only.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra.compose.questions import QUESTIONS, Answers, Question

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO_DOMAIN = "rehearsal.test"
HOSTS = {
    "NEWS_SITE_URL": "www",
    "BILLING_URL": "billing",
    "PAYWALL_URL": "paywall",
    "ADS_URL": "ads",
    "METRICS_URL": "finance",
    "IDENTITY_URL": "staff",
}


class ConfigurationError(ValueError):
    """Answers are missing or wrong; one line for each."""


def _token() -> str:
    return secrets.token_urlsafe(32)


def _word() -> str:
    """Begins with a letter: nats-server's configuration would read ``12e4`` as a number."""
    return f"n{_token()}"


def _bank_secrets() -> str:
    """One for each agency of the demo and each way of telling of a credit."""
    from infra.bank_sandbox.accounts import demo_senders

    return ",".join(f"{sender}:{_token()}" for sender in demo_senders())


#: Made at random, once; letters, digits, "-" and "_" only, so that each fits into an address as it is.
SECRETS: Mapping[str, Callable[[], str]] = {
    "POSTGRES_PASSWORD": _token,
    "BILLING_DATABASE_PASSWORD": _token,
    "BILLING_DATABASE_OWNER_PASSWORD": _token,
    "PAYWALL_DATABASE_PASSWORD": _token,
    "PAYWALL_DATABASE_OWNER_PASSWORD": _token,
    "ADS_DATABASE_PASSWORD": _token,
    "ADS_DATABASE_OWNER_PASSWORD": _token,
    "METRICS_DATABASE_PASSWORD": _token,
    "METRICS_DATABASE_OWNER_PASSWORD": _token,
    "IDENTITY_DATABASE_PASSWORD": _token,
    "IDENTITY_DATABASE_OWNER_PASSWORD": _token,
    "GRAFANA_DATABASE_PASSWORD": _token,
    "GRAFANA_ADMIN_PASSWORD": _token,
    "NATS_SETUP_PASSWORD": _word,
    "NATS_BILLING_WORKER_PASSWORD": _word,
    "NATS_PAYWALL_WORKER_PASSWORD": _word,
    "NATS_ADS_WORKER_PASSWORD": _word,
    "NATS_METRICS_WORKER_PASSWORD": _word,
    "NATS_STREAMS_KEEPER_PASSWORD": _word,
    "SCRAPE_TOKEN": _token,
    "FORM_TOKEN_SECRET": _token,
    "BILLING_INTERNAL_KEY": _token,
    "PAYWALL_INTERNAL_KEY": _token,
    "ADS_INTERNAL_KEY": _token,
    "METRICS_INTERNAL_KEY": _token,
    "METER_COOKIE_SECRET": _token,
    "SIGN_IN_SECRET": _token,
    "LINK_SECRET": _token,
    "FACTOR_KEYS": _token,
    "ADS_TOKEN_KEYS": lambda: f"1:{_token()}",
}
#: A rehearsal's own.
DEMO_SECRETS: Mapping[str, Callable[[], str]] = {
    "STRIPE_SECRET_KEY": lambda: "sk_test_" + secrets.token_hex(24),
    "STRIPE_WEBHOOK_SECRET": lambda: "whsec_" + secrets.token_hex(24),
    "STRIPE_SANDBOX_CONTROL_TOKEN": _token,
    "BANK_WEBHOOK_SECRETS": _bank_secrets,
    "DEMO_PASSWORD": lambda: secrets.token_urlsafe(12),
    "DEMO_TOTP_SECRET": lambda: base64.b32encode(secrets.token_bytes(20)).decode(),
    "DEMO_SITE_KEY": lambda: f"prk_{secrets.token_hex(6)}_{secrets.token_hex(24)}",
}


def read_env(path: Path) -> dict[str, str]:
    """``NAME=value`` or ``NAME='value'`` a line, as docker compose reads it."""
    values: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            values[name] = value[1:-1] if quoted else value
    return values


def quoted(value: str) -> str:
    """As docker compose takes it literally. Raises :class:`ConfigurationError` for what no form can carry."""
    if "'" in value or "\n" in value:
        raise ConfigurationError("an answer may have neither ' nor a line's end")
    return value if value.replace("_", "").replace("-", "").isalnum() else f"'{value}'"


def addresses(domain: str) -> dict[str, str]:
    return {name: f"https://{label}.{domain}" for name, label in HOSTS.items()}


def demo_answers() -> dict[str, str]:
    """A rehearsal: everything as in production but payments and mail, on names that exist nowhere."""
    return {
        "ENVIRONMENT": "rehearsal",
        "COMPOSE_PROFILES": "demo",
        "PROXY_EXTRA": "demo",
        "DOMAIN": DEMO_DOMAIN,
        "AGENCY": "bao-hung-yen",
        "AGENCY_NAME": "Báo và Phát thanh, Truyền hình Hưng Yên",
        "ADMINISTRATOR": f"admin@{DEMO_DOMAIN}",
        "ALERTS_TO": f"alerts@{DEMO_DOMAIN}",
        "TLS_ISSUER": "internal",
        "MAIL_TRANSPORT": "outbox",
        "TEXT_TRANSPORT": "outbox",
        "MAIL_FROM": f"Báo <no-reply@{DEMO_DOMAIN}>",
        "STRIPE_API_BASE": "http://stripe-sandbox:8006",
        "STRIPE_SANDBOX_URL": f"https://pay.{DEMO_DOMAIN}",
        "BANK_SANDBOX_URL": f"https://pay.{DEMO_DOMAIN}/bank",
    }


def answered(given: Answers, ask: Callable[[Question, str], str] | None) -> dict[str, str]:
    """The operator's answers. Raises :class:`ConfigurationError` with everything that is missing or wrong."""
    answers: dict[str, str] = {"ENVIRONMENT": "production", "PROXY_EXTRA": "production"}
    problems: list[str] = []
    for question in QUESTIONS:
        if problems and ask is None:
            answers.setdefault(question.variable, "")
        if not question.asked(answers):
            continue
        try:
            usual = question.usual(answers)
        except (KeyError, IndexError):
            usual = ""
        value = given.get(question.variable, "")
        if not value:
            value = ask(question, usual) if ask is not None else usual
        if not (question.optional and not value) and not question.fits(value):
            problems.append(f"{question.variable}: {question.right} ({question.text})")
        answers[question.variable] = value
    if problems:
        raise ConfigurationError("\n".join(problems))
    return answers


def on_terminal(question: Question, usual: str) -> str:
    """Ask until the answer fits."""
    while True:
        value = input(f"{question.text}{f' [{usual}]' if usual else ''}: ").strip() or usual
        if question.fits(value) or (question.optional and not value):
            return value
        print(f"  that must be {question.right}")


def write_closed(path: Path, text: str, mode: int = 0o600) -> None:
    """Written aside with its mode from the first byte on, and to the disk, then put in place: all of it or nothing."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    draft.chmod(mode)
    draft.replace(path)


def environment(answers: Answers, kept: Answers, *, demo: bool) -> dict[str, str]:
    """Everything that stands in ``.env``: answers, addresses, secrets; what was there before stays."""
    makers = {**SECRETS, **(DEMO_SECRETS if demo else {})}
    made = {name: make() for name, make in makers.items() if name not in kept}
    derived = {**addresses(answers["DOMAIN"]), "STAFF_COOKIE_DOMAIN": answers["DOMAIN"]}
    return {**answers, **derived, **made, **kept}


def agencies_file(values: Answers) -> str:
    """A first ``agencies.toml``; the operator edits it, `make up` takes it in again."""
    name = values["AGENCY_NAME"].replace("\\", "").replace('"', "")
    return f"""# The agencies, their plans and the growth asked of them: edit this, then `make up` again (docs/operations.md).

[[agencies]]
id = "{values["AGENCY"]}"
name = "{name}"
website = "{values["NEWS_SITE_URL"]}"
segments = ["print", "online"]
free_articles = {{anonymous = 3, registered = 5}}

[[agencies.plans]]
code = "doc-bao"
name_vi = "Đọc báo không giới hạn"
name_en = "Unlimited reading"
prices = {{month = 59000, year = 590000}}

[[targets]]
agency = "{values["AGENCY"]}"
deadline = 2030-12-31
ratio = "0.20"
"""


def alertmanager_file(values: Answers) -> str:
    """Alertmanager reads no environment: its routes are written out, as JSON, which is YAML too."""
    import json

    receiver: dict[str, object] = {"name": "operator"}
    if values.get("SMTP_HOST"):
        mail: dict[str, object] = {
            "to": values["ALERTS_TO"],
            "from": values["MAIL_FROM"],
            "smarthost": f"{values['SMTP_HOST']}:{values.get('SMTP_PORT', '587')}",
            "require_tls": values.get("SMTP_TLS", "starttls") == "starttls",
            "send_resolved": True,
        }
        if values.get("SMTP_USERNAME"):
            mail |= {
                "auth_username": values["SMTP_USERNAME"],
                "auth_password": values["SMTP_PASSWORD"],
            }
        receiver["email_configs"] = [mail]
    if values.get("ALERTS_WEBHOOK"):
        receiver["webhook_configs"] = [{"url": values["ALERTS_WEBHOOK"], "send_resolved": True}]
    route = {
        "receiver": "operator",
        "group_by": ["alertname", "service"],
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": "12h",
        "routes": [
            {"matchers": ['severity="critical"'], "receiver": "operator", "group_wait": "10s",
             "repeat_interval": "1h"}
        ],
    }  # fmt: skip
    return (
        json.dumps({"route": route, "receivers": [receiver]}, ensure_ascii=False, indent=2) + "\n"
    )


def configure(
    folder: Path, given: Answers, *, demo: bool, ask: Callable[[Question, str], str] | None
) -> list[str]:
    """Make what is missing in ``folder``; returns what was made. Raises :class:`ConfigurationError`."""
    closed = folder / ".secrets"
    closed.mkdir(mode=0o700, exist_ok=True)
    with alone(closed):
        return _configure(folder, closed, given, demo=demo, ask=ask)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Two who set up the same folder at once come one after the other: the second finds what the first has made."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _configure(
    folder: Path,
    closed: Path,
    given: Answers,
    *,
    demo: bool,
    ask: Callable[[Question, str], str] | None,
) -> list[str]:
    env = folder / ".env"
    kept = read_env(env)
    if demo and kept.get("ENVIRONMENT", "rehearsal") != "rehearsal":
        raise ConfigurationError(".env is production's: a rehearsal needs a folder of its own")
    demo = demo or kept.get("ENVIRONMENT") == "rehearsal"
    answers = demo_answers() if demo else answered({**given, **kept}, ask)
    values = environment(answers, kept, demo=demo)
    made = []
    if values != kept:
        lines = [f"{name}={quoted(value)}" for name, value in values.items()]
        write_closed(
            env, "# Made by `make up`; keep it secret and keep a copy.\n" + "\n".join(lines) + "\n"
        )
        made.append(".env")
    # Read inside the containers by users of their own, hence 0644 in a folder that is closed.
    write_closed(closed / "scrape_token", values["SCRAPE_TOKEN"], 0o644)
    write_closed(closed / "alertmanager.yml", alertmanager_file(values), 0o644)
    (folder / "backups").mkdir(mode=0o700, exist_ok=True)
    agencies = folder / "agencies.toml"
    if not agencies.exists():
        write_closed(agencies, agencies_file(values), 0o644)
        made.append("agencies.toml")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", action="store_true", help="a rehearsal, nothing asked")
    parser.add_argument("--folder", type=Path, default=REPOSITORY)
    arguments = parser.parse_args()
    given = {one.variable: os.environ.get(one.variable, "") for one in QUESTIONS}
    ask = on_terminal if sys.stdin.isatty() else None
    try:
        made = configure(arguments.folder, given, demo=arguments.demo, ask=ask)
    except ConfigurationError as error:
        sys.exit(
            f"not all is known that `make up` needs (set these, or run it on a terminal):\n{error}"
        )
    except (EOFError, KeyboardInterrupt):
        sys.exit("\nnothing was written")
    for name in made:
        print(f"made {name}")


if __name__ == "__main__":
    main()
