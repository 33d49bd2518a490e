"""How text messages leave: the port (:class:`TextSender`), and its forms here: none, and the outbox page of a trial machine.

A mobile number is written as E.164 has it everywhere (``+84912345678``); :mod:`shared.texts.number` makes it of what people type.
"""

from __future__ import annotations

from shared.clock import Clock
from shared.database import Database
from shared.texts.outbox import OutboxTexts
from shared.texts.port import NoTexts, Text, TextSender
from shared.texts.settings import TextSettings

__all__ = ["NoTexts", "OutboxTexts", "Text", "TextSender", "TextSettings", "text_sender"]


def text_sender(settings: TextSettings, database: Database, clock: Clock) -> TextSender:
    """The local outbox in the service's own database, or no channel at all."""
    if settings.text_transport == "outbox":
        return OutboxTexts(database, clock)
    return NoTexts()
