"""The bar on every page of staff: the product, the tools this person may use here, who they are, and the way out.

One table names the tools; identity's home shows the same ones as tiles. The roles come with the session's introspection,
the addresses from settings that every process has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from starlette.requests import Request

from shared.auth import Role, StaffPrincipal
from shared.settings import ServiceSettings

SIGN_OUT_PATH = "/sign-out"


@dataclass(frozen=True, slots=True)
class Tool:
    """A place of staff: ``{service}{path}/{agency}``. Words are English; the shared catalogue has the Vietnamese.

    ``roles`` open it, and so does an administrator. ``listed``: ``{service}{path}`` lets people of several agencies choose.
    """

    service: str
    path: str
    roles: frozenset[Role]
    label: str
    title: str
    about: str
    listed: bool = True

    def opens(self, roles: Collection[str]) -> bool:
        return Role.ADMIN in roles or not self.roles.isdisjoint(roles)


TOOLS: tuple[Tool, ...] = (
    Tool(
        "ads",
        "/console",
        frozenset({Role.SELLER, Role.TRAFFIC, Role.APPROVER}),
        "Advertising",
        "Advertising console",
        "Avails, bookings, creatives, delivery",
    ),
    Tool(
        "metrics",
        "/finance",
        frozenset({Role.FINANCE, Role.VIEWER}),
        "Finance",
        "Finance",
        "Revenue against the baseline year and the target",
    ),
    Tool(
        "billing",
        "/staff",
        frozenset({Role.FINANCE, Role.SUPPORT}),
        "Books",
        "The books of subscriptions",
        "Ledger, deferred revenue, payment notifications",
    ),
    Tool(
        "paywall",
        "/policies",
        frozenset({Role.EDITOR}),
        "Paywall",
        "Paywall policy",
        "Free articles, meter, premium content",
    ),
    Tool(
        "identity",
        "/accounts",
        frozenset(),
        "Accounts",
        "Accounts and roles",
        "Who may do what",
        listed=False,
    ),
    Tool(
        "identity",
        "/keys",
        frozenset(),
        "Keys",
        "Service keys",
        "Keys of websites and systems",
        listed=False,
    ),
)


#: Who reads a service's audit trail besides an administrator.
AUDITORS: Mapping[str, tuple[Role, ...]] = {
    "metrics": (Role.FINANCE,),
    "billing": (Role.FINANCE,),
}


@dataclass(frozen=True, slots=True)
class ToolLink:
    tool: Tool
    url: str
    current: bool = False


@dataclass(frozen=True, slots=True)
class BarView:
    """What the template shows. ``several``: this person works for more than one agency."""

    person: StaffPrincipal
    tools: tuple[ToolLink, ...]
    several: bool
    home_url: str
    account_url: str
    sign_out_url: str
    audit_path: (
        str  # this service's trail of the agency in the path; empty where it is not theirs to read
    )

    @property
    def current(self) -> Tool | None:
        return next((link.tool for link in self.tools if link.current), None)


class StaffBar:
    """Makes the bar of one service's pages."""

    def __init__(self, settings: ServiceSettings, service: str) -> None:
        self._service = service
        self._bases = {
            name: url.rstrip("/")
            for name, url in (
                ("ads", settings.ads_url),
                ("metrics", settings.metrics_url),
                ("billing", settings.billing_url),
                ("paywall", settings.paywall_url),
                ("identity", settings.identity_url),
            )
        }

    def tools_at(self, agency: str, roles: Collection[str]) -> list[ToolLink]:
        """What these roles open at one agency."""
        return [
            ToolLink(tool, f"{self._bases[tool.service]}{tool.path}/{agency}")
            for tool in TOOLS
            if tool.opens(roles)
        ]

    def view(self, request: Request, person: StaffPrincipal) -> BarView:
        """The bar of this page: of the agency in its path, else of the only one, else of all of theirs together."""
        asked = request.path_params.get("agency", "")
        agencies = (asked,) if asked in person.roles else person.agencies
        identity = self._bases["identity"]
        return BarView(
            person,
            tuple(self._links(request.url.path, person, agencies)),
            len(person.agencies) > 1,
            f"{identity}/",
            f"{identity}/account",
            f"{identity}{SIGN_OUT_PATH}",
            f"/audit/{asked}" if self._audits(person.roles.get(asked, frozenset())) else "",
        )

    def _audits(self, roles: Collection[str]) -> bool:
        auditors = (Role.ADMIN, *AUDITORS.get(self._service, ()))
        return any(role in roles for role in auditors)

    def _links(
        self, path: str, person: StaffPrincipal, agencies: tuple[str, ...]
    ) -> Iterator[ToolLink]:
        for tool in TOOLS:
            opened = [agency for agency in agencies if tool.opens(person.roles[agency])]
            if not opened or (len(agencies) > 1 and not tool.listed):
                continue
            tail = f"/{opened[0]}" if len(opened) == 1 else ""
            here = tool.service == self._service and f"{path}/".startswith(f"{tool.path}/")
            yield ToolLink(tool, f"{self._bases[tool.service]}{tool.path}{tail}", here)
