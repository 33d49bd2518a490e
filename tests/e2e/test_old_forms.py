"""A form that has grown old, on every page that has one: it says so, and what was typed is there to be sent again."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from enum import Enum
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi.routing import APIRoute

from infra.local.stack import LocalStack
from shared.web.i18n import LANGUAGE_COOKIE
from tests.fixtures.routes import AN_ID, concrete
from tests.integration.test_strangers import SERVICES, running

AGENCY = "bao-hung-yen"
OLD = "0" * 128
#: Who has the forms of a service; an administrator's pages tell of an old form before they ask for the role.
WHOSE = {
    "ads": f"seller@{AGENCY}.example",
    "billing": f"finance@{AGENCY}.example",
    "metrics": f"finance@{AGENCY}.example",
    "paywall": f"editor@{AGENCY}.example",
    "identity": f"editor@{AGENCY}.example",
}
PATHS = {
    **{"agency": AGENCY, "version": "1", "action": "pause", "kind": "refund"},
    **{"subject": AN_ID, "invitation": AN_ID, "subscription": AN_ID},
}
#: A link of a letter is its own proof, for a month: its forms have no other, and do not grow old before it.
OWN_PROOF = (
    "/r/{agency}/s/{token}/",
    "/r/{agency}/back/{token}/",
    "/r/{agency}/address/{token}/",
)
SAYS = {"vi": "Trang đã cũ, hãy thử lại", "en": "This page has grown old: try again"}
PICTURE = ("picture.png", b"x", "image/png")


def forms(routes: Any, prefix: str = "") -> Iterator[tuple[str, APIRoute]]:
    """Every route that a form is sent to, with its path."""
    for route in routes:
        if isinstance(route, APIRoute):
            path = prefix + route.path
            if "POST" in (route.methods or ()) and not path.startswith(
                ("/v1/", "/internal/", *OWN_PROOF)
            ):
                yield path, route
        elif (router := getattr(route, "original_router", None)) is not None:
            included = getattr(getattr(route, "include_context", None), "prefix", "")
            yield from forms(router.routes, prefix + included)


def typed(route: APIRoute) -> dict[str, str]:
    """A value that will do for each field that the route names, and one of a kind it does not."""
    values = {}
    for field in route.dependant.body_params:
        kind = field.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, Enum):
            values[field.alias] = str(next(iter(kind)).value)
        elif field.alias == "consent":
            values[field.alias] = "offers"
        else:
            values[field.alias] = {int: "7", bool: "true", UUID: AN_ID}.get(kind, f"x{field.alias}")
    return values


@pytest.fixture
async def browser_of(local_stack: LocalStack) -> AsyncIterator[Any]:
    """Signed in as somebody of the demo."""
    clients = []

    async def sign_in(email: str) -> httpx.AsyncClient:
        client = httpx.AsyncClient(headers={"Accept": "text/html"})
        clients.append(client)
        own = local_stack.url("identity-web")
        page = await client.get(f"{own}/sign-in")
        token = re.search(r'name="csrf_token" value="([0-9a-f]+)"', page.text)
        assert token is not None
        data = {
            "csrf_token": token[1],
            "email": email,
            "password": local_stack.surroundings.secrets.demo_password,
            "next": "",
        }
        done = await client.post(f"{own}/sign-in", data=data, headers={"Origin": own})
        assert done.status_code == 303, done.text
        return client

    yield sign_in
    for client in clients:
        await client.aclose()


def problems(answer: httpx.Response, language: str, sent: dict[str, str]) -> list[str]:
    """What is wrong with the page that an old form is answered with."""
    page = answer.text
    secrets = {"password", "old", "new", "repeat", "confirm"} & set(sent)
    checks = {
        f"{answer.status_code}": answer.status_code == 403,
        "does not say so": SAYS[language] in page,
        "no fresh token": re.search(r'name="csrf_token" value="(?!0{128})[0-9a-f]{128}"', page),
        "no button": '<button type="submit"' in page,
        **{f"{name} lost": f'value="{sent[name]}"' in page for name in set(sent) - secrets},
        **{f"no field {one}": f'type="password" name="{one}"' in page for one in secrets},
        **{f"{one} shown": f'value="{sent[one]}"' not in page for one in secrets},
    }
    return [what for what, right in checks.items() if not right]


@pytest.mark.parametrize("name", SERVICES)
async def test_every_form_that_is_too_old_keeps_what_was_typed(
    name: str, local_stack: LocalStack, browser_of: Any
):
    client, own = await browser_of(WHOSE[name]), local_stack.url(f"{name}-web")
    wrong: dict[str, list[str]] = {}
    async with running(name) as (app, _):
        routes = dict(forms(app.routes))
    assert routes
    for path, route in routes.items():
        address, fields = own + concrete(path, PATHS), typed(route)
        own_page = path.startswith("/r/{agency}/sign-in")
        for language in SAYS:
            client.cookies.set(LANGUAGE_COOKIE, language)
            headers = {"Origin": own}
            kinds: dict[str, dict[str, Any]] = {"form": {"data": fields | {"csrf_token": OLD}}}
            if not own_page and path != "/sign-out":
                kinds["file"] = {**kinds["form"], "files": {"sheet": PICTURE}}
            for kind, body in kinds.items():
                answer = await client.post(address, headers=headers, **body)
                # Pages of their own: the address; a code belongs to a sign-in under way (test_sign_in.py).
                kept = (
                    {name: fields[name] for name in ("email", "return_to") if name in fields}
                    if own_page
                    else fields
                )
                found = problems(answer, language, kept)
                if kind == "file" and 'type="file" name="sheet"' not in answer.text:
                    found.append("no field for the file")
                if found:
                    wrong[f"{path} {language} {kind}"] = found
    assert not wrong, "\n".join(f"{what}: {', '.join(found)}" for what, found in wrong.items())
