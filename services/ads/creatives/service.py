"""Use cases of creatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from services.ads.availability.service import database_time
from services.ads.creatives import repository
from services.ads.creatives.adapters.pillow import Images
from services.ads.creatives.models import Creative, CreativeImage
from services.ads.creatives.repository import AnySession
from services.ads.creatives.rules import (
    IMAGE_LIMITS,
    THEMES,
    Picture,
    WrongImageError,
    click_url_problem,
)
from shared import audit
from shared.audit import Action
from shared.audit.rules import difference
from shared.database import Session
from shared.errors import FieldError, InvalidInputError, NotFoundError
from shared.ids import new_id
from shared.security.events import SecurityEvent
from shared.security.report import tell


@dataclass(frozen=True, slots=True)
class CreativeText:
    """The words of a creative and where a click goes."""

    headline: str
    body: str
    call_to_action: str
    click_url: str
    theme: str
    active: bool = True


def _check(words: CreativeText) -> None:
    errors = []
    if not 1 <= len(words.headline) <= 90:
        errors.append(FieldError("headline", "A headline is needed", "1 to 90 characters"))
    if len(words.body) > 200:
        errors.append(FieldError("body", "The text is too long", "at most 200 characters"))
    if len(words.call_to_action) > 30:
        errors.append(FieldError("call_to_action", "Too long", "at most 30 characters"))
    problem = click_url_problem(words.click_url)
    if problem:
        errors.append(FieldError("click_url", problem, "an address such as https://example.vn/"))
    if words.theme not in THEMES:
        errors.append(FieldError("theme", "An unknown colour", "one of the colours shown"))
    if any("\x00" in value for value in (words.headline, words.body, words.call_to_action)):
        errors.append(FieldError("headline", "Contains a character that no text has"))
    if errors:
        raise InvalidInputError(errors=tuple(errors))


async def add(
    session: Session,
    agency: str,
    line_id: UUID,
    words: CreativeText,
    picture: Picture | None = None,
) -> UUID:
    """A creative of a line: native, or an image with a picture. Raises 404 and 422."""
    _check(words)
    if not await repository.line_exists(session, agency, line_id):
        raise NotFoundError("There is no such line", slug="line-unknown")
    creative = Creative(
        id=new_id(),
        agency_id=agency,
        line_id=line_id,
        headline=words.headline,
        body=words.body,
        call_to_action=words.call_to_action,
        click_url=words.click_url,
        theme=words.theme,
        active=words.active,
    )
    await repository.save(session, creative)
    await _on_record(session, Action.CREATIVE_CREATED, creative, {}, _told(creative))
    if picture:
        await _set_picture(session, creative, picture)
    return creative.id


async def change(
    session: Session,
    agency: str,
    creative_id: UUID,
    words: CreativeText,
    picture: Picture | None = None,
) -> None:
    """New words, and a new picture when one is given. Raises 404 and 422."""
    _check(words)
    creative = await get(session, agency, creative_id, lock=True)
    before = _told(creative)
    creative.headline, creative.body = words.headline, words.body
    creative.call_to_action, creative.click_url = words.call_to_action, words.click_url
    creative.theme, creative.active = words.theme, words.active
    creative.version += 1
    await repository.save(session, creative)
    was, now = difference(before, _told(creative))
    if now:
        await _on_record(session, Action.CREATIVE_CHANGED, creative, was, now)
    if picture:
        await _set_picture(session, creative, picture)


def _told(creative: Creative) -> dict[str, Any]:
    """What of a creative the trail keeps: all words, and where a click goes."""
    names = ("headline", "body", "call_to_action", "click_url", "theme", "active")
    return {name: getattr(creative, name) for name in names}


async def _on_record(
    session: Session,
    action: Action,
    creative: Creative,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    await audit.record(
        session,
        action,
        agency=creative.agency_id,
        at=await database_time(session),
        subject=f"creative/{creative.id}",
        label=creative.headline,
        before={"line": creative.line_id} | before,
        after={"line": creative.line_id} | after,
    )


async def decoded(images: Images, content: bytes | None, *, agency: str) -> Picture | None:
    """An upload as a picture that may be shown; None for no upload. Outside of every transaction. Raises 422, 503."""
    if content is None:
        return None
    try:
        return await images.recode(content, agency=agency)
    except WrongImageError as error:
        tell(SecurityEvent.UPLOAD_REFUSED, reason=str(error))
        raise InvalidInputError(
            errors=(
                FieldError(
                    "image",
                    str(error),
                    "a still PNG, JPEG, GIF or WebP image of at most {max_kb} kB and {max_pixels} pixels",
                    IMAGE_LIMITS,
                ),
            )
        ) from None


async def _set_picture(session: Session, creative: Creative, picture: Picture) -> None:
    creative.kind = "image"
    await repository.save(session, creative)
    before = await repository.image_digest(session, creative.id)
    digest = sha256(picture.content).hexdigest()[:32]
    await repository.save_image(session, creative, picture, digest)
    if digest != before:
        await _on_record(
            session,
            Action.CREATIVE_IMAGE_CHANGED,
            creative,
            {"image": before},
            {"image": digest, "size": f"{picture.width} x {picture.height}"},
        )


async def get(
    session: AnySession, agency: str, creative_id: UUID, *, lock: bool = False
) -> Creative:
    """Raises :class:`NotFoundError`."""
    found = await repository.get(session, agency, creative_id, lock=lock)
    if found is None:
        raise NotFoundError("There is no such creative", slug="creative-unknown")
    return found


async def of_line(session: AnySession, agency: str, line_id: UUID) -> Sequence[Creative]:
    return await repository.of_line(session, agency, line_id)


async def picture(session: AnySession, creative_id: UUID, digest: str) -> CreativeImage:
    """Raises :class:`NotFoundError`."""
    found = await repository.image(session, creative_id, digest)
    if found is None:
        raise NotFoundError("There is no such image", slug="image-unknown")
    return found
