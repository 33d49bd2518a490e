"""What may be shown: checked click addresses, and the bounds of images (``adapters`` decode them)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_IMAGE_BYTES = 1_048_576
MAX_SIDE = 4000
MAX_PIXELS = (
    4_000_000  # the largest banner in use, 970 x 250 at three times the density, has 2.2 million
)
#: As a refusal tells them.
IMAGE_LIMITS = {"max_kb": MAX_IMAGE_BYTES // 1024, "max_pixels": MAX_PIXELS}
MAX_URL = 2000
THEMES = ("red", "green", "blue", "amber", "slate")


class WrongImageError(ValueError):
    """The bytes are not an image that may be shown."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded and newly written image: nothing of the uploaded bytes is left but the pixels."""

    content: bytes
    content_type: str
    width: int
    height: int


def click_url_problem(url: str) -> str | None:
    """Why an address may not be linked to; None when it may. Only http and https, a host, no credentials."""
    if len(url) > MAX_URL:
        return "The address is too long"
    if any(ord(c) < 33 or ord(c) == 127 or c in "\\\"'<>`{}|^" for c in url):
        return "The address contains a character that an address may not have"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "The address is not an address"
    checks = (
        # As it is written: urlsplit folds the case, the database does not.
        (
            not url.startswith(("http://", "https://")),
            "The address must begin with https:// or http://",
        ),
        ("@" in parts.netloc, "The address must not contain a user name"),
        (not parts.hostname or port == 0, "The address has no host name"),
    )
    return next((problem for wrong, problem in checks if wrong), None)
