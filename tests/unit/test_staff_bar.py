"""The bar of staff pages: which tools, which of them is open, and where they lead."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from starlette.requests import Request

from shared.auth import Role, StaffPrincipal
from shared.settings import ServiceSettings
from shared.web import staff_bar
from shared.web.i18n import load_catalogues
from shared.web.staff_bar import TOOLS, StaffBar

SETTINGS = ServiceSettings(
    environment="test",
    ads_url="https://ads.bao.example/",
    metrics_url="https://finance.bao.example",
    billing_url="https://doc.bao.example",
    paywall_url="https://paywall.bao.example",
    identity_url="https://staff.bao.example",
)
ALL = ["/console", "/finance", "/staff", "/policies", "/accounts", "/keys"]


def person(**roles: set[str]) -> StaffPrincipal:
    held = {agency.replace("_", "-"): frozenset(names) for agency, names in roles.items()}
    return StaffPrincipal(UUID(int=1), "lan@bao.example", "Lan", held)


def bar(service: str, path: str, who: StaffPrincipal, agency: str = ""):
    request = Request(
        {
            "type": "http",
            "path": path,
            "path_params": {"agency": agency} if agency else {},
            "headers": [],
            "query_string": b"",
        }
    )
    return StaffBar(SETTINGS, service).view(request, who)


@pytest.mark.parametrize(
    ("role", "opened"),
    [
        ("admin", ALL),
        ("seller", ["/console"]),
        ("traffic", ["/console"]),
        ("approver", ["/console"]),
        ("finance", ["/finance", "/staff"]),
        ("viewer", ["/finance"]),
        ("support", ["/staff"]),
        ("editor", ["/policies"]),
    ],
)
def test_each_role_has_its_tools_and_no_others(role, opened):
    links = bar("ads", "/", person(bao={role})).tools
    assert [link.tool.path for link in links] == opened
    assert all(link.url.endswith(f"{link.tool.path}/bao") for link in links)
    assert set(Role) == {*(Role(r) for r in ("admin", "seller", "traffic", "approver")), *(
        Role(r) for r in ("finance", "viewer", "support", "editor"))}  # fmt: skip


def test_the_tools_are_those_of_the_agency_in_the_path():
    who = person(bao={"seller"}, dai={"finance"})
    assert [link.url for link in bar("metrics", "/finance/dai", who, "dai").tools] == [
        "https://finance.bao.example/finance/dai",
        "https://doc.bao.example/staff/dai",
    ]
    assert [link.tool.path for link in bar("ads", "/console/bao", who, "bao").tools] == ["/console"]


def test_without_an_agency_in_the_path_all_of_theirs_count_and_one_that_is_not_theirs_does_not():
    who = person(bao={"admin"}, dai={"finance"})
    for agency in ("", "another"):
        assert [link.url for link in bar("identity", "/", who, agency).tools] == [
            "https://ads.bao.example/console/bao",
            "https://finance.bao.example/finance",
            "https://doc.bao.example/staff",
            "https://paywall.bao.example/policies/bao",
        ]


@pytest.mark.parametrize(
    ("service", "path", "current"),
    [
        ("metrics", "/finance", "/finance"),
        ("metrics", "/finance/bao/imports", "/finance"),
        ("metrics", "/financed", None),
        ("billing", "/staff/bao/entries/1", "/staff"),
        ("ads", "/staff/bao", None),
        ("identity", "/keys/bao", "/keys"),
        ("identity", "/", None),
    ],
)
def test_the_open_tool_is_marked(service, path, current):
    found = bar(service, path, person(bao={"admin"}), "bao").current
    assert (found.path if found else None) == current


@pytest.mark.parametrize(
    ("service", "role", "found"),
    [
        ("metrics", "finance", True),
        ("billing", "finance", True),
        ("ads", "admin", True),
        ("billing", "support", False),
        ("ads", "finance", False),
        ("ads", "seller", False),
    ],
)
def test_the_trail_is_found_by_who_may_read_it(service, role, found):
    who = person(bao={role}, dai={"admin"})
    assert bar(service, "/x/bao", who, "bao").audit_path == ("/audit/bao" if found else "")
    assert bar(service, "/x", who).audit_path == ""


def test_who_has_no_role_still_finds_the_way_out():
    found = bar("identity", "/account", person())
    assert found.tools == ()
    assert found.sign_out_url == "https://staff.bao.example/sign-out"


def test_every_tool_has_its_vietnamese():
    words = load_catalogues([Path(staff_bar.__file__).parent / "locale"])
    assert {w for tool in TOOLS for w in (tool.label, tool.title, tool.about)} <= set(words)


@pytest.mark.parametrize(
    ("environment", "domain", "name"),
    [
        ("local", "", "press_staff"),
        ("test", "example.vn", "press_staff"),
        ("production", "", "__Host-press_staff"),
        ("production", "toasoan.bao.example", "__Secure-press_staff"),
    ],
)
def test_the_cookies_name_makes_browsers_hold_to_how_it_was_set(environment, domain, name):
    settings = ServiceSettings(environment="test").model_copy(
        update={"environment": environment, "staff_cookie_domain": domain}
    )
    assert settings.staff_cookie == name
