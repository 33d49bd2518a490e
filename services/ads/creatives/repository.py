"""Every SQL statement of creatives."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.ads.creatives.models import Creative, CreativeImage
from services.ads.creatives.rules import Picture
from shared.database import ReadSession, Session

AnySession = Session | ReadSession


async def of_line(session: AnySession, agency: str, line_id: UUID) -> Sequence[Creative]:
    found = await session.execute(
        select(Creative)
        .where(col(Creative.agency_id) == agency, col(Creative.line_id) == line_id)
        .order_by(col(Creative.id))
    )
    return found.scalars().all()


async def get(
    session: AnySession, agency: str, creative_id: UUID, *, lock: bool = False
) -> Creative | None:
    """``lock``: whoever else changes it waits."""
    query = select(Creative).where(
        col(Creative.agency_id) == agency, col(Creative.id) == creative_id
    )
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    found = await session.execute(query)
    return found.scalar_one_or_none()


async def line_exists(session: AnySession, agency: str, line_id: UUID) -> bool:
    found = await session.execute(
        text("SELECT 1 FROM line WHERE agency_id = :agency AND id = :id"),
        {"agency": agency, "id": line_id},
    )
    return found.one_or_none() is not None


async def save(session: Session, creative: Creative) -> None:
    session.add(creative)
    await session.flush()


async def save_image(session: Session, creative: Creative, picture: Picture, digest: str) -> None:
    await session.execute(
        text(
            """INSERT INTO creative_image
                   (creative_id, agency_id, content, content_type, width, height, digest)
               VALUES (:id, :agency, :content, :type, :width, :height, :digest)
               ON CONFLICT (creative_id) DO UPDATE SET content = excluded.content,
                   content_type = excluded.content_type, width = excluded.width,
                   height = excluded.height, digest = excluded.digest"""
        ),
        {
            "id": creative.id,
            "agency": creative.agency_id,
            "content": picture.content,
            "type": picture.content_type,
            "width": picture.width,
            "height": picture.height,
            "digest": digest,
        },
    )


async def image(session: AnySession, creative_id: UUID, digest: str) -> CreativeImage | None:
    found = await session.execute(
        select(CreativeImage).where(
            col(CreativeImage.creative_id) == creative_id, col(CreativeImage.digest) == digest
        )
    )
    return found.scalar_one_or_none()


async def image_digest(session: AnySession, creative_id: UUID) -> str | None:
    found = await session.execute(
        text("SELECT digest FROM creative_image WHERE creative_id = :id"), {"id": creative_id}
    )
    row = found.one_or_none()
    return None if row is None else str(row.digest)
