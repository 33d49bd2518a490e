"""A real SMTP server that a test can stop, start again, slow down, or have refuse somebody."""

from __future__ import annotations

import asyncio
import email
from collections.abc import Iterator
from contextlib import contextmanager
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller

from infra.local.ports import LOOPBACK, free_port
from shared.mail import SmtpMail


class PostOffice:
    """``messages`` is what arrived, in order; who is in ``refused`` gets nothing."""

    def __init__(self) -> None:
        self.port = free_port()
        self.messages: list[EmailMessage] = []
        self.refused: set[str] = set()
        self.slow_seconds = 0.0
        self._controller: Controller | None = None

    def open(self) -> None:
        self._controller = Controller(self, hostname=LOOPBACK, port=self.port)
        self._controller.start()

    def close(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.refused:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        await asyncio.sleep(self.slow_seconds)
        made: Any = email.message_from_bytes(envelope.content, policy=default)
        self.messages.append(made)
        return "250 OK"

    def sender(self) -> SmtpMail:
        return SmtpMail(LOOPBACK, self.port, sender="Báo <tin@bao.vn>", tls="none")

    def senders(self) -> list[str]:
        """As mail programs show them. (Python's own reading of addresses keeps the blank between two encoded words.)"""
        raw = [dict(message.raw_items())["From"] for message in self.messages]
        return [str(make_header(decode_header(one))) for one in raw]

    def subjects(self) -> list[str]:
        return [str(message["Subject"]) for message in self.messages]

    def bodies(self, kind: str = "plain") -> list[str]:
        """``kind``: plain or html."""
        found = []
        for message in self.messages:
            part = message.get_body((kind,))
            assert part is not None
            found.append(part.get_content())
        return found


@contextmanager
def post_office() -> Iterator[PostOffice]:
    office = PostOffice()
    office.open()
    try:
        yield office
    finally:
        office.close()
