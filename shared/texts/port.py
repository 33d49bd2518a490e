"""The port of text messages. A channel (SMS, Zalo ZNS) is an agency's own: it is under contract with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shared.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class Text:
    """One message to one number (E.164). ``body`` is ASCII of 160 characters at the most: one part, in any alphabet of a network
    (3GPP TS 23.038)."""

    recipient: str
    body: str


class TextSender(Protocol):
    """Hands texts over."""

    def serves(self, agency: str) -> bool:
        """Whether this agency has a channel; without one its pages do not speak of numbers."""

    async def send(self, agency: str, text: Text) -> None:
        """Raises ``UnavailableError`` when it cannot be sent."""


class NoTexts:
    """No agency has a channel."""

    def serves(self, agency: str) -> bool:
        return False

    async def send(self, agency: str, text: Text) -> None:
        raise UnavailableError("No text messages are sent from here", slug="text-unavailable")
