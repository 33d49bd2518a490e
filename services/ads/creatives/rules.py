"""What may be shown: checked click addresses, and images judged by their bytes, never by their name."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_IMAGE_BYTES = 1_048_576
MAX_SIDE = 4000
MAX_URL = 2000
THEMES = ("red", "green", "blue", "amber", "slate")


class WrongImageError(ValueError):
    """The bytes are not an image that may be shown."""


@dataclass(frozen=True, slots=True)
class Image:
    content_type: str
    width: int
    height: int


def click_url_problem(url: str) -> str | None:
    """Why an address may not be linked to; None when it may. Only http and https, a host, no credentials."""
    if len(url) > MAX_URL:
        return f"longer than {MAX_URL} characters"
    if any(ord(c) < 33 or ord(c) == 127 or c in "\\\"'<>`{}|^" for c in url):
        return "contains a character that an address may not have"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not an address"
    checks = (
        (parts.scheme not in ("http", "https"), "must begin with https:// or http://"),
        ("@" in parts.netloc, "must not contain a user name"),
        (not parts.hostname or port == 0, "has no host name"),
    )
    return next((problem for wrong, problem in checks if wrong), None)


def inspect_image(content: bytes) -> Image:
    """Type and size from the signature and the header. Raises :class:`WrongImageError`."""
    if len(content) > MAX_IMAGE_BYTES:
        raise WrongImageError(f"larger than {MAX_IMAGE_BYTES} bytes")
    for signature, content_type, size in _READERS:
        if content.startswith(signature):
            try:
                width, height = size(content)
            except (IndexError, struct.error):
                raise WrongImageError("the image is cut short") from None
            if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
                raise WrongImageError(f"sides must be 1 to {MAX_SIDE} pixels")
            return Image(content_type, width, height)
    raise WrongImageError("not a PNG, JPEG, GIF or WebP image")


def _png(content: bytes) -> tuple[int, int]:
    if content[12:16] != b"IHDR" or content[-8:-4] != b"IEND":
        raise WrongImageError("not a whole PNG image")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def _gif(content: bytes) -> tuple[int, int]:
    if content[4:6] not in (b"7a", b"9a") or content[-1:] != b";":
        raise WrongImageError("not a whole GIF image")
    width, height = struct.unpack("<HH", content[6:10])
    return width, height


def _webp(content: bytes) -> tuple[int, int]:
    if content[8:12] != b"WEBP" or struct.unpack("<I", content[4:8])[0] + 8 != len(content):
        raise WrongImageError("not a whole WebP image")
    kind = content[12:16]
    if kind == b"VP8X":
        return (
            1 + int.from_bytes(content[24:27], "little"),
            1 + int.from_bytes(content[27:30], "little"),
        )
    if kind == b"VP8L":
        bits = struct.unpack("<I", content[21:25])[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and content[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", content[26:30])
        return width & 0x3FFF, height & 0x3FFF
    raise WrongImageError("an unknown kind of WebP image")


def _jpeg(content: bytes) -> tuple[int, int]:
    """Walks the segments to the frame header (ITU T.81, B.2)."""
    if content[-2:] != b"\xff\xd9":
        raise WrongImageError("not a whole JPEG image")
    at = 2
    while content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        at += 2 + struct.unpack(">H", content[at + 2 : at + 4])[0]
    raise WrongImageError("a JPEG image without a frame")


_READERS: tuple[tuple[bytes, str, Callable[[bytes], tuple[int, int]]], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png", _png),
    (b"\xff\xd8\xff", "image/jpeg", _jpeg),
    (b"GIF8", "image/gif", _gif),
    (b"RIFF", "image/webp", _webp),
)
