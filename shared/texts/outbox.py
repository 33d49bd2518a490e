"""The local form of texts: they stand among the mails of ``/dev/mail``."""

from __future__ import annotations

from shared.clock import Clock
from shared.database import Database
from shared.mail.outbox import keep
from shared.mail.port import Mail
from shared.texts.port import Text


class OutboxTexts:
    """Keeps the newest messages in the service's own database, for whatever agency."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def serves(self, agency: str) -> bool:
        return True

    async def send(self, agency: str, text: Text) -> None:
        await keep(self._database, self._clock, Mail(text.recipient, "", text.body), is_text=True)
