"""The secrets of a local run: generated once, kept under the data directory with mode 0600."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.bank_sandbox.accounts import demo_senders
from infra.local.databases import roles_of
from infra.nats.permissions import user_names


@dataclass(frozen=True)
class LocalSecrets:
    """Letters, digits, '-' and '_' only, so that each fits into a URL as it is."""

    database_passwords: dict[str, str]  # by role: a database's own and its owner's
    nats_passwords: dict[str, str]  # by user of infra/nats/users.toml
    bank_secrets: dict[str, str]  # by agency/kind: who tells of bank credits
    reporting_password: str
    identity_internal_key: str
    form_token_secret: str
    sign_in_secret: str
    link_secret: str
    cookie_secret: str
    scrape_token: str
    demo_password: str
    demo_site_key: str
    demo_totp_secret: str
    factor_keys: str
    ads_token_key: str
    stripe_secret_key: str
    stripe_webhook_secret: str
    stripe_control_token: str


def _generate(databases: Iterable[str]) -> LocalSecrets:
    return LocalSecrets(
        database_passwords={role: secrets.token_urlsafe(18) for role in roles_of(databases)},
        nats_passwords={user: secrets.token_urlsafe(18) for user in user_names()},
        bank_secrets={sender: secrets.token_urlsafe(32) for sender in demo_senders()},
        reporting_password=secrets.token_urlsafe(18),
        identity_internal_key=secrets.token_urlsafe(32),
        form_token_secret=secrets.token_urlsafe(32),
        sign_in_secret=secrets.token_urlsafe(32),
        link_secret=secrets.token_urlsafe(32),
        cookie_secret=secrets.token_urlsafe(32),
        scrape_token=secrets.token_urlsafe(24),
        demo_password=secrets.token_urlsafe(12),
        factor_keys=secrets.token_urlsafe(32),
        demo_totp_secret=base64.b32encode(secrets.token_bytes(20)).decode(),
        demo_site_key=f"prk_{secrets.token_hex(6)}_{secrets.token_hex(24)}",
        ads_token_key=secrets.token_urlsafe(32),
        stripe_secret_key="sk_test_" + secrets.token_hex(16),
        stripe_webhook_secret="whsec_" + secrets.token_hex(16),
        stripe_control_token=secrets.token_urlsafe(24),
    )


def load_or_create(path: Path, databases: Iterable[str]) -> LocalSecrets:
    """Read the file; generate what it does not hold yet (a newer version may need more)."""
    fresh = dataclasses.asdict(_generate(databases))
    kept = json.loads(path.read_text()) if path.exists() else {}
    merged = {name: kept.get(name, value) for name, value in fresh.items()}
    for by_name in ("database_passwords", "nats_passwords", "bank_secrets"):
        merged[by_name] = {**fresh[by_name], **kept.get(by_name, {})}
    if merged != kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(merged, out, indent=2)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)
    return LocalSecrets(**merged)
