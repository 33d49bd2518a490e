"""Set-up: the operator's agencies, taken in by every service from one file. Safe to repeat; nothing in it is invented.

The file is ``agencies.toml`` (docs/operations.md shows one): ``[[agencies]]`` with their plans and free articles,
``[[lineage]]`` (who carries on whom) and ``[[targets]]`` (growth asked). Each service takes what it needs.
"""

from __future__ import annotations

import tomllib
from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from shared.agencies import save_agencies
from shared.database import Database
from shared.settings import ServiceSettings
from shared.sites import same_site
from shared.startup.rules import public_address_wrong, rehearsal_address_wrong

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
Period = Literal["week", "month", "quarter", "half_year", "year", "once"]
Kind = Literal["period", "pass", "article", "bundle", "contribution"]
Amount = Annotated[int, Field(gt=0, le=1_000_000_000_000)]
Segment = Literal["print", "online", "radio", "tv"]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlanEntry(_Entry):
    """What is sold, with its price for each period, in đồng; of all kinds but ``period`` the price is for ``once``.

    ``days``: how long a pass or a single article is read, or within which articles of a bundle are chosen; ``uses``: how many those
    are. Of a contribution: its limits, what is suggested, and as its price the first suggestion.
    """

    code: Slug
    name_vi: str = Field(min_length=1)
    name_en: str = Field(min_length=1)
    description_vi: str = ""
    description_en: str = ""
    kind: Kind = "period"
    days: int | None = Field(default=None, ge=1, le=3650)
    uses: int | None = Field(default=None, ge=2, le=1000)
    least_vnd: Amount | None = None
    most_vnd: Amount | None = None
    suggested_vnd: tuple[Amount, ...] | None = Field(default=None, max_length=8)
    prices: dict[Period, Annotated[int, Field(gt=0)]] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        once, gives = self.kind != "period", self.kind == "contribution"
        if any((period == "once") is not once for period in self.prices):
            raise ValueError("a period has prices for periods, every other kind one for once")
        if (self.days is not None) is not (once and not gives):
            raise ValueError("days belong to a pass, an article and a bundle")
        if (self.uses is not None) is not (self.kind == "bundle"):
            raise ValueError("uses belong to a bundle")
        limits = (self.least_vnd, self.most_vnd, self.suggested_vnd)
        if any((one is not None) is not gives for one in limits):
            raise ValueError("least_vnd, most_vnd and suggested_vnd belong to a contribution")
        amounts = (*(self.suggested_vnd or ()), *self.prices.values()) if gives else ()
        if any(not (self.least_vnd or 0) <= one <= (self.most_vnd or 0) for one in amounts):
            raise ValueError("what is suggested lies within the limits")
        return self


class FreeArticles(_Entry):
    """Free metered articles a month in an agency's first policy; its editors change it on the paywall's page."""

    anonymous: int = Field(ge=0, le=1_000)
    registered: int = Field(ge=0, le=1_000)


class AgencyEntry(_Entry):
    """A press agency. A predecessor that lives on in reports only has neither website nor plans."""

    id: Slug
    name: str = Field(min_length=1)
    time_zone: str = "Asia/Ho_Chi_Minh"
    website: str = ""
    further_websites: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    plans: tuple[PlanEntry, ...] = ()
    free_articles: FreeArticles | None = None

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("a zone of the tz database, e.g. Asia/Ho_Chi_Minh") from None
        return value


class LineageEntry(_Entry):
    """``successor`` carries on ``predecessor``'s segments from a day on."""

    predecessor: Slug
    successor: Slug
    effective_on: date
    segments: tuple[Segment, ...] = Field(min_length=1)
    note: str = ""


class TargetEntry(_Entry):
    """Growth asked of an agency until a day; "0.20" is 20 %."""

    agency: Slug
    deadline: date
    ratio: Decimal = Field(ge=-1, le=10)


class AgenciesFile(_Entry):
    """The whole file."""

    agencies: tuple[AgencyEntry, ...] = Field(min_length=1)
    lineage: tuple[LineageEntry, ...] = ()
    targets: tuple[TargetEntry, ...] = ()


class SetUpError(ValueError):
    """The file cannot be taken in; one line for each thing that is wrong."""


SetUp = Callable[[Database, Any, AgenciesFile], Awaitable[None]]


def read_file(path: Path) -> AgenciesFile:
    """Raises :class:`SetUpError` naming the place and what would be right."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise SetUpError(f"{path}: there is no such file; docs/operations.md shows one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetUpError(f"{path}: {error}") from None
    try:
        return AgenciesFile.model_validate(data)
    except ValidationError as error:
        raise SetUpError(
            "\n".join(
                f"{path}: {'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"
                for one in error.errors(include_url=False)
            )
        ) from None


def website_problems(file: AgenciesFile, settings: ServiceSettings) -> list[str]:
    """Websites whose readers' browsers would send no cookie to the paywall or to billing."""
    if not settings.deployed:
        return []
    wrong = (
        public_address_wrong if settings.environment == "production" else rehearsal_address_wrong
    )
    problems = []
    for agency in file.agencies:
        if not agency.website:
            continue
        if wrong(agency.website):
            problems.append(f"{agency.id}: website {agency.website}: https:// and a host name")
        elif not same_site(agency.website, settings.paywall_url, settings.billing_url):
            problems.append(
                f"{agency.id}: website {agency.website} is not on one site with PAYWALL_URL and BILLING_URL: "
                "its readers' meters and subscriptions would not be recognised (docs/guides/website-engineer.md)"
            )
    return problems


async def set_up(settings: ServiceSettings, path: Path, own: SetUp | None) -> int:
    """Take the file in; returns how many agencies it has. Raises :class:`SetUpError`."""
    file = read_file(path)
    problems = website_problems(file, settings)
    if problems:
        raise SetUpError("\n".join(problems))
    database = Database(settings.database_url, application_name="setup", pool_size=2)
    try:
        async with database.transaction() as session:
            await save_agencies(session, [agency.model_dump() for agency in file.agencies])
        if own is not None:
            await own(database, settings, file)
    finally:
        await database.close()
    return len(file.agencies)
