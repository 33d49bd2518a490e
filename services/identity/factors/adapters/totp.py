"""Time-based one-time passwords by pyotp, their QR picture by segno."""

from __future__ import annotations

import hmac
from datetime import datetime

import pyotp
import segno

from services.identity.factors.rules import period_of, periods_allowed


def new_secret() -> str:
    """160 bits in base 32 (RFC 4226, section 4, R6)."""
    return pyotp.random_base32(32)


def address(secret: str, email: str, issuer: str) -> str:
    """The ``otpauth://`` address that apps read."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=issuer)


def picture(uri: str) -> str:
    """A QR code as a ``data:`` address: the content security policy allows it for pictures."""
    return segno.make(uri, error="m").svg_data_uri(scale=5, border=3, dark="#111", light="#fff")


def matching_period(secret: str, code: str, now: datetime, last_used: int) -> int | None:
    """The period this code is of, one that was not used yet; None when it is of none."""
    totp = pyotp.TOTP(secret)
    found = None
    for period in periods_allowed(period_of(now.timestamp()), last_used):
        if hmac.compare_digest(totp.generate_otp(period), code):
            found = period
    return found
