"""Text and HTML of a letter, from the same blocks."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from services.billing.letters.rules import clipped, plain
from services.billing.letters.voice import Content, Voice
from shared.mail import Mail


def mail_of(
    voice: Voice, content: Content, recipient: str, footer: str, *, message_id: str = ""
) -> Mail:
    """The message, under the agency's name as its sender. What becomes a header is one line."""
    return Mail(
        recipient,
        clipped(content.subject),
        _text(content, footer),
        html=_html(voice, content, footer),
        sender_name=plain(voice.agency.name),
        message_id=message_id,
    )


def _text(content: Content, footer: str) -> str:
    parts = [plain(content.heading), *map(plain, content.paragraphs)]
    if content.table:
        parts.append("\n".join(f"{plain(name)}: {plain(value)}" for name, value in content.table))
    parts += [
        f"{says}:\n{address}" for says, address in filter(None, (content.button, content.link))
    ]
    parts += [*map(plain, content.small), f"--\n{plain(footer)}"]
    return "\n\n".join(parts) + "\n"


def _html(voice: Voice, content: Content, footer: str) -> str:
    return _template().render(
        language=voice.language,
        agency=plain(voice.agency.name),
        content=content,
        subject=clipped(content.subject),
        footer=footer,
    )


@cache
def _template() -> Template:
    folder = FileSystemLoader(str(Path(__file__).parent))
    environment = Environment(
        loader=folder,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("letter.html")
