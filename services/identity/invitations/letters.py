"""The mails of invitations: Vietnamese first, English below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.identity.accounts.rules import ROLE_WORDS
from shared.mail import Mail
from shared.web.i18n import LANGUAGES, translator

JOIN = (
    "Hello {name},\n{agency} invites you to work in its revenue system as: {roles}.\n"
    "Open this link within 7 days to accept. It works once:"
)
RESET = (
    "Hello {name},\nan administrator of {agency} asks you to choose a new password.\n"
    "Open this link within 24 hours. It works once:"
)
NOT_YOU = "If you did not expect this, do nothing: without the link nothing changes."
JOIN_SUBJECT = "Invitation of {agency}"
RESET_SUBJECT = "New password for {agency}"


class Letters:
    """Writes them."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words

    def join(self, email: str, name: str, agency: str, roles: Iterable[str], link: str) -> Mail:
        held = list(roles)
        return self._letter(email, JOIN_SUBJECT, JOIN, link, held, name=name, agency=agency)

    def reset(self, email: str, name: str, agency: str, link: str) -> Mail:
        return self._letter(email, RESET_SUBJECT, RESET, link, [], name=name, agency=agency)

    def _letter(
        self, email: str, subject: str, body: str, link: str, roles: list[str], **values: str
    ) -> Mail:
        parts = []
        for language in LANGUAGES:
            say = translator(self._words, language)
            shown = ", ".join(say(str(word)) for role, word in ROLE_WORDS.items() if role in roles)
            parts.append(f"{say(body, roles=shown, **values)}\n\n{link}\n\n{say(NOT_YOU)}")
        title = translator(self._words, LANGUAGES[0])(subject, **values)
        return Mail(email, title, "\n\n---\n\n".join(parts))
