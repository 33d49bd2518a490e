"""The agencies a service serves. Each service keeps its own copy: id, name, time zone and websites are all it needs.

The list comes from ``infra/demo/agencies.toml`` for the local start, and from the operator's file elsewhere.
Lineage (who merged into whom) belongs to the metrics layer.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, Column, MetaData, Table, Text, text

from shared import audit
from shared.audit import Actor
from shared.audit.rules import difference
from shared.database import ReadSession, Session
from shared.errors import NotFoundError
from shared.origins import website_origin

#: For a service's first migration.
SCHEMA_V1 = """
CREATE TABLE agency (
    id text NOT NULL CONSTRAINT pk_agency PRIMARY KEY
        CONSTRAINT ck_agency_id CHECK (id ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(id) <= 40),
    name text NOT NULL,
    time_zone text NOT NULL,
    website text NOT NULL DEFAULT '',
    further_websites text[] NOT NULL DEFAULT '{}'
);
"""

_SAVE = text(
    """INSERT INTO agency (id, name, time_zone, website, further_websites)
       VALUES (:id, :name, :time_zone, :website, :further_websites)
       ON CONFLICT (id) DO UPDATE SET name = excluded.name, time_zone = excluded.time_zone,
           website = excluded.website, further_websites = excluded.further_websites
       RETURNING now()"""
)


def agency_origins(website: str, further: Iterable[str]) -> frozenset[str]:
    """Origins of an agency's websites."""
    return frozenset(website_origin(url) for url in (website, *further)) - {""}


@dataclass(frozen=True, slots=True)
class Agency:
    """A press agency. ``id`` is a slug and a token of bus subjects."""

    id: str
    name: str
    time_zone: str
    website: str = ""
    further_websites: Sequence[str] = ()

    @property
    def origins(self) -> frozenset[str]:
        """Whose pages may ask here for this agency: its own websites', and nobody else's."""
        return agency_origins(self.website, self.further_websites)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


def define_table(metadata: MetaData) -> Table:
    """The agency table among a service's tables."""
    return Table(
        "agency",
        metadata,
        Column("id", Text, primary_key=True),
        Column("name", Text, nullable=False),
        Column("time_zone", Text, nullable=False),
        Column("website", Text, nullable=False, server_default=""),
        Column("further_websites", ARRAY(Text), nullable=False, server_default="{}"),
    )


def read_agencies(path: Path) -> list[dict[str, Any]]:
    """The ``[[agencies]]`` of a TOML file, whole (each service takes what it needs)."""
    agencies: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["agencies"]
    return agencies


def at_website(agencies: list[dict[str, Any]], url: str) -> list[dict[str, Any]]:
    """The same, with the example's website where the local start put it, whatever port that is."""
    return [agency | {"website": url} if agency.get("website") else agency for agency in agencies]


async def save_agencies(
    session: Session, agencies: list[dict[str, Any]], *, actor: Actor | None = None
) -> None:
    """Insert or update, each change on the trail; what is the same already is left alone. Safe to repeat.

    ``actor``: see :func:`shared.audit.record`.
    """
    # Whoever else takes in a file at this moment waits; readers do not.
    await session.execute(text("LOCK TABLE agency IN SHARE ROW EXCLUSIVE MODE"))
    former = {agency.id: _shown(agency) for agency in await list_agencies(session)}
    for wanted in agencies:
        ZoneInfo(wanted["time_zone"])  # a wrong zone fails here, not at the month's end
        agency = Agency(
            wanted["id"],
            wanted["name"],
            wanted["time_zone"],
            wanted.get("website", ""),
            list(wanted.get("further_websites", ())),
        )
        known, new = former.get(agency.id), _shown(agency)
        if known == new:
            continue
        at = await session.scalar(_SAVE, {"id": agency.id, **new})
        before, after = (None, new) if known is None else difference(known, new)
        await audit.record(
            session,
            audit.Action.AGENCY_SAVED,
            agency=agency.id,
            at=at,
            subject=f"agency/{agency.id}",
            label=agency.name,
            before=before,
            after=after,
            actor=actor,
        )


def _shown(agency: Agency) -> dict[str, Any]:
    """All that can change of it."""
    shown = asdict(agency)
    del shown["id"]
    return shown


async def get_agency(session: Session | ReadSession, agency_id: str) -> Agency:
    """Raises :class:`NotFoundError`."""
    row = (
        await session.execute(
            text(
                "SELECT id, name, time_zone, website, further_websites FROM agency WHERE id = :id"
            ),
            {"id": agency_id.replace("\x00", "?")},  # PostgreSQL's text has no NUL; no id has "?"
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no agency {agency_id!r}", slug="agency-unknown")
    return Agency(*row)


async def list_agencies(session: Session | ReadSession) -> list[Agency]:
    rows = await session.execute(
        text("SELECT id, name, time_zone, website, further_websites FROM agency ORDER BY id")
    )
    return [Agency(*row) for row in rows]
