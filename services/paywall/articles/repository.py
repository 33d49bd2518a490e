"""Every SQL statement of the article registry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg
from sqlalchemy import text
from sqlmodel import select

from services.paywall.articles.models import ArticleRow
from shared.database import ReadSession, Session

CHANNEL = "paywall_article"

_PUT = text(
    """INSERT INTO article (agency, id, title, url, section, tags, access, published_at)
       VALUES (:agency, :id, :title, :url, :section, :tags, :access, :published_at)
       ON CONFLICT (agency, id) DO UPDATE SET title = excluded.title, url = excluded.url,
           section = excluded.section, tags = excluded.tags, access = excluded.access,
           published_at = excluded.published_at, updated_at = now()
       WHERE (article.title, article.url, article.section, article.tags, article.access,
              article.published_at)
           IS DISTINCT FROM (excluded.title, excluded.url, excluded.section, excluded.tags,
              excluded.access, excluded.published_at)"""
)
_ALL = "SELECT agency, id, access FROM article"
_SOME = """SELECT a.agency, a.id, a.access FROM article a
    JOIN unnest($1::text[], $2::text[]) AS k (agency, id) USING (agency, id)"""


async def put(
    session: Session,
    *,
    agency: str,
    id_: str,
    title: str,
    url: str,
    section: str,
    tags: Sequence[str],
    access: str,
    published_at: datetime,
) -> None:
    """Insert, or update when something differs (a trigger tells the web processes)."""
    await session.execute(
        _PUT,
        {
            "agency": agency,
            "id": id_,
            "title": title,
            "url": url,
            "section": section,
            "tags": list(tags),
            "access": access,
            "published_at": published_at,
        },
    )


async def listed(session: ReadSession, agency: str, *, after: str, limit: int) -> list[ArticleRow]:
    """Articles of one agency in the order of their ids."""
    rows = await session.execute(
        select(ArticleRow)
        .where(ArticleRow.agency == agency, ArticleRow.id > after)
        .order_by(ArticleRow.id)
        .limit(limit)
    )
    return list(rows.scalars())


async def load_all(connection: asyncpg.Connection) -> list[tuple[str, str, str]]:
    """(agency, id, access) of every article."""
    return [tuple(row) for row in await connection.fetch(_ALL)]


async def load_some(
    connection: asyncpg.Connection, keys: Sequence[tuple[str, str]]
) -> list[tuple[str, str, str]]:
    """The same for some articles."""
    rows = await connection.fetch(_SOME, [k[0] for k in keys], [k[1] for k in keys])
    return [tuple(row) for row in rows]
