"""Mails and texts that are sent at once and never kept: codes, and what a mailbox is told in the place of one."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from services.billing.letters import (
    address_words,
    erasure_words,
    number_words,
    password_words,
    seat_words,
    words,
)
from services.billing.letters.render import mail_of
from services.billing.letters.voice import Voice
from shared.agencies import Agency
from shared.mail import Mail
from shared.texts import Text
from shared.web.i18n import load_catalogues
from shared.web.pages import SHARED_FOLDER


class CodeLetters:
    """Writes them; whoever asks for one sends it."""

    def __init__(self, *, public_url: str) -> None:
        self._public_url = public_url

    @cached_property
    def _words(self) -> dict[str, str]:
        billing = Path(__file__).parents[1]
        return load_catalogues([SHARED_FOLDER / "locale", billing / "locale"])

    def code(self, agency: Agency, language: str, address: str, code: str) -> Mail:
        """The mail with a sign-in code."""
        voice = self._voice(agency, language)
        content = words.code_content(voice, code)
        return mail_of(voice, content, address, words.code_footer(voice, address))

    def student_code(self, agency: Agency, language: str, address: str, code: str) -> Mail:
        """The mail with the code that proves a student's address."""
        voice = self._voice(agency, language)
        content = words.student_code_content(voice, code)
        return mail_of(voice, content, address, words.student_code_footer(voice, address))

    def domain_code(self, agency: Agency, language: str, address: str, code: str) -> Mail:
        """The mail with the code for a company's or a school's mail domain."""
        voice = self._voice(agency, language)
        content = seat_words.domain_code_content(voice, code)
        return mail_of(voice, content, address, seat_words.domain_code_footer(voice, address))

    def address_code(self, agency: Agency, language: str, address: str, code: str) -> Mail:
        """The mail with the code for a reader's new address."""
        voice = self._voice(agency, language)
        content = address_words.code_content(voice, code)
        return mail_of(voice, content, address, address_words.asked_footer(voice, address))

    def address_taken(self, agency: Agency, language: str, address: str) -> Mail:
        """The mail to a mailbox that has an account, in the place of such a code."""
        voice = self._voice(agency, language)
        content = address_words.taken_content(voice)
        return mail_of(voice, content, address, address_words.asked_footer(voice, address))

    def password_code(self, agency: Agency, language: str, address: str, code: str) -> Mail:
        """The mail with the code for setting or removing a reader's password."""
        voice = self._voice(agency, language)
        content = password_words.code_content(voice, code)
        return mail_of(voice, content, address, password_words.code_footer(voice, address))

    def erasure_code(self, agency: Agency, language: str, address: str, code: str) -> Mail:
        """The mail with the code that confirms the deletion of a reader's data."""
        voice = self._voice(agency, language)
        content = erasure_words.erasure_code_content(voice, code)
        return mail_of(voice, content, address, erasure_words.erasure_code_footer(voice, address))

    def sign_in_text(self, agency: Agency, language: str, number: str, code: str) -> Text:
        """The text with a sign-in code."""
        return number_words.sign_in_text(self._voice(agency, language), number, code)

    def add_text(self, agency: Agency, language: str, number: str, code: str) -> Text:
        """The text with the code that makes a number a reader's."""
        return number_words.add_text(self._voice(agency, language), number, code)

    def taken_text(self, agency: Agency, language: str, number: str) -> Text:
        """The text to a number that has an account, in the place of such a code."""
        return number_words.taken_text(self._voice(agency, language), number)

    def mailbox_code(self, agency: Agency, language: str, address: str, code: str) -> Mail:
        """The mail with the code by which the mailbox confirms a session that the number opened."""
        voice = self._voice(agency, language)
        content = number_words.mailbox_code_content(voice, code)
        return mail_of(voice, content, address, words.footer_of(voice, address))

    def _voice(self, agency: Agency, language: str) -> Voice:
        return Voice(self._words, language, agency, self._public_url)
