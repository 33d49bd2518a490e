"""The table that `make run` prints: every address in it answers, every account in it signs in and sees what it says."""

from __future__ import annotations

import re
from io import StringIO

import httpx
import pyotp
import pytest
from rich.console import Console

from infra.local.run import addresses
from infra.local.stack import LocalStack

AGENCY = "bao-hung-yen"
#: What each account is told to look at: process, path, and whether it may change anything there.
SEES = {
    f"seller@{AGENCY}.example": ("ads-web", "/console", True),
    f"finance@{AGENCY}.example": ("metrics-web", "/finance", True),
    f"editor@{AGENCY}.example": ("paywall-web", f"/policies/{AGENCY}", True),
    f"admin@{AGENCY}.example": ("identity-web", f"/accounts/{AGENCY}", True),
    "province@hung-yen.example": ("metrics-web", "/finance", False),
}


def printed(stack: LocalStack) -> str:
    """As on a terminal that is wide enough."""
    out = StringIO()
    Console(file=out, width=1000, highlight=False).print(addresses(stack))
    return out.getvalue()


def accounts(table: str) -> set[str]:
    """``seller@, finance@ or admin@x.example`` are three."""
    told = table.partition("for staff: ")[2].partition(", password")[0]
    names = re.findall(r"([\w-]+)@([\w.-]*)", told)
    whole = [host for _, host in names if host]
    return {f"{name}@{host or whole[0]}" for name, host in names}


async def signed_in(stack: LocalStack, account: str, table: str) -> httpx.AsyncClient:
    """With the password of the table and, where it is asked for, a code of the key in it."""
    password = re.search(r"password (\S+?);", table)
    key = re.search(r"app with the key (\S+?);", table)
    assert password is not None and key is not None
    client = httpx.AsyncClient(headers={"Accept": "text/html"}, follow_redirects=True)
    own = stack.url("identity-web")
    page = await client.get(f"{own}/sign-in")
    for field in ("password", "code"):
        if f'name="{field}"' not in page.text:
            continue
        token = re.search(r'name="csrf_token" value="(\w+)"', page.text)
        assert token is not None
        secret = password[1] if field == "password" else pyotp.TOTP(key[1]).now()
        data = {"csrf_token": token[1], "email": account, field: secret, "next": ""}
        page = await client.post(str(page.url), data=data, headers={"Origin": own})
    assert page.status_code == 200 and "Xin chào" in page.text, account
    return client


def test_these_are_the_accounts_of_the_table(local_stack: LocalStack):
    assert accounts(printed(local_stack)) == set(SEES)


@pytest.mark.parametrize("account", SEES)
async def test_an_account_of_the_table_signs_in_and_sees_what_it_says(
    account: str, local_stack: LocalStack
):
    client = await signed_in(local_stack, account, printed(local_stack))
    process, path, changes = SEES[account]
    page = await client.get(local_stack.url(process) + path)
    assert page.status_code == 200 and str(page.url).startswith(local_stack.url(process)), page.url
    if not changes:
        assert "Báo và Phát thanh, Truyền hình Hưng Yên" in page.text and "Sông Hồng" in page.text
        for further in ("", "/imports", "/baseline"):
            shown = await client.get(f"{local_stack.url(process)}/finance/{AGENCY}{further}")
            forms = re.findall(r'<form[^>]*method="post"[^>]*action="([^"]*)"', shown.text)
            assert shown.status_code == 200
            assert [one for one in forms if not one.endswith("/sign-out")] == [], "it only reads"
        token = {"csrf_token": "0" * 128}
        upload = f"{local_stack.url(process)}/finance/{AGENCY}/imports"
        refused = await client.post(
            upload, data=token, headers={"Origin": local_stack.url(process)}
        )
        assert refused.status_code == 403
    await client.aclose()


async def test_every_address_of_the_table_answers(local_stack: LocalStack):
    rows = re.findall(r"│ (\S+) +│ (http\S+) +│ (.*?) *│", printed(local_stack))
    assert len(rows) == 7
    async with httpx.AsyncClient(headers={"Accept": "text/html"}) as client:
        for name, address, words in rows:
            paths = re.findall(r"(?:^|[; ])(/[\w/.-]*)", words)
            assert paths, name
            for path in paths:
                answer = await client.get(address + path)
                asked = answer.headers.get("location", "").startswith(
                    local_stack.url("identity-web") + "/sign-in"
                )
                assert answer.status_code == 200 or (answer.status_code == 303 and asked), (
                    f"{address}{path} → {answer.status_code}"
                )
