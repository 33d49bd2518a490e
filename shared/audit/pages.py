"""``/audit/{agency}``: an agency's trail as a page and as a file, the same in every service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from shared.agencies import Agency, get_agency
from shared.audit import service
from shared.audit.actions import RECORDED_BY, WORDS, Action
from shared.audit.caller import ActorKind
from shared.audit.repository import Filter
from shared.audit.rules import Entry, changes
from shared.auth import Role, StaffPrincipal
from shared.clock import Clock, local_date, start_of_day
from shared.database import Database
from shared.errors import FieldError, InvalidInputError
from shared.web.i18n import request_language, show_datetime
from shared.web.known_first import signed_in_first
from shared.web.pages import Pages
from shared.web.params import EARLIEST, LATEST, PlainText
from shared.web.spreadsheet import BYTE_ORDER_MARK, MEDIA_TYPE, csv_lines, download_headers

#: For ``Pages(extra_folders=…)``: the template and the words.
FOLDER = Path(__file__).parent
PAGE_SIZE = 50

Words = Annotated[PlainText, Query(max_length=200)]


@dataclass(frozen=True, slots=True)
class AuditDesk:
    """What the routes stand on. ``service``: whose trail it is. ``who`` authenticates a page; one of ``roles`` opens the trail (an administrator always)."""

    service: str
    database: Database
    clock: Clock
    pages: Pages
    who: Callable[[Request], Awaitable[StaffPrincipal]]
    roles: tuple[Role, ...] = (Role.ADMIN,)


def _day(field: str, words: str) -> date | None:
    if not words:
        return None
    try:
        day = date.fromisoformat(words)
    except ValueError:
        day = date.min
    if not EARLIEST <= day <= LATEST:
        raise InvalidInputError(
            errors=(FieldError(field, "This is not a day", "YYYY-MM-DD, from 2000 to 2199"),)
        )
    return day


def _action(words: str) -> Action | None:
    if words and words not in {*Action}:
        raise InvalidInputError(
            errors=(FieldError("action", "There is no such action", "one of the list, or none"),)
        )
    return Action(words) if words else None


def _filter(
    zone: ZoneInfo, person: str, action: str, subject: str, since: str, until: str
) -> Filter:
    first, last = _day("since", since), _day("until", until)
    return Filter(
        person=person.strip(),
        action=_action(action),
        subject=subject.strip(),
        since=start_of_day(first, zone) if first else None,
        until=start_of_day(last + timedelta(days=1), zone) if last else None,
    )


def audit_router(desk: AuditDesk) -> APIRouter:
    """The page and its export. 404 for another agency, 403 without the role."""
    routes = APIRouter(
        prefix="/audit", include_in_schema=False, route_class=signed_in_first(desk.who)
    )
    action_words = {str(action): words for action, words in WORDS.items()}

    async def opened(request: Request, agency: str) -> Agency:
        principal = await desk.who(request)
        principal.require(agency, *desk.roles)
        async with desk.database.read() as session:
            return await get_agency(session, agency)

    @routes.get("/{agency}")
    async def show(
        request: Request,
        agency: str,
        person: Words = "",
        action: Words = "",
        subject: Words = "",
        since: Words = "",
        until: Words = "",
        before: UUID | None = None,
    ) -> Response:
        found = await opened(request, agency)
        wanted = _filter(found.zone, person, action, subject, since, until)
        entries = await service.page(desk.database, agency, wanted, before=before, limit=PAGE_SIZE)
        typed = {
            "person": person, "action": action, "subject": subject, "since": since, "until": until,
        }  # fmt: skip
        query = {name: value for name, value in typed.items() if value}
        older = entries[PAGE_SIZE - 1].id if len(entries) > PAGE_SIZE else None
        return desk.pages.render(
            request,
            "audit.html",
            agency=found,
            entries=[
                (entry, list(changes(entry.before, entry.after))) for entry in entries[:PAGE_SIZE]
            ],
            typed=typed,
            actions=action_words,
            # And one that a link asks for, which this service records no more.
            offered=[
                one for one in Action if one in RECORDED_BY[desk.service] or one == wanted.action
            ],
            older_url=f"?{urlencode(query | {'before': str(older)})}" if older else "",
            newest_url=f"?{urlencode(query)}" if before else "",
            export_url=f"/audit/{agency}/export.csv?{urlencode(query)}",
            strangers=ActorKind.STRANGER,
        )

    async def lines(
        agency: Agency, wanted: Filter, language: str, said: Callable[[str], str]
    ) -> AsyncIterator[str]:
        yield BYTE_ORDER_MARK + csv_lines([service.HEADING])
        batch: list[Entry] = []
        async for entry in service.all_entries(desk.database, agency.id, wanted):
            batch.append(entry)
            if len(batch) == PAGE_SIZE:
                yield _csv(batch, agency.zone, language, said)
                batch = []
        yield _csv(batch, agency.zone, language, said)

    @routes.get("/{agency}/export.csv")
    async def export(
        request: Request,
        agency: str,
        person: Words = "",
        action: Words = "",
        subject: Words = "",
        since: Words = "",
        until: Words = "",
    ) -> Response:
        found = await opened(request, agency)
        wanted = _filter(found.zone, person, action, subject, since, until)
        now = desk.clock.now()
        async with desk.database.transaction() as session:
            await service.record(
                session, Action.AUDIT_EXPORTED, agency=agency, at=now, subject="audit"
            )
        language = request_language(request)

        def said(code: str) -> str:
            return desk.pages.translate(request, action_words.get(code, code))

        name = f"audit-{found.id}-{local_date(now, found.zone).isoformat()}.csv"
        return StreamingResponse(
            lines(found, wanted, language, said),
            media_type=MEDIA_TYPE,
            headers=download_headers(name),
        )

    return routes


def _moment(at: datetime, zone: ZoneInfo, language: str) -> str:
    return f"{show_datetime(at, language, zone)}:{at.second:02}"


def _csv(entries: list[Entry], zone: ZoneInfo, language: str, said: Callable[[str], str]) -> str:
    return csv_lines(
        service.as_row(entry, _moment(entry.at, zone, language), said(entry.action))
        for entry in entries
    )
