"""A script on the newspaper's own page, in a browser where the reader and the finance officer are signed in."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Browser, BrowserContext, Page

from infra.local.stack import LocalStack
from tests.e2e.test_billing_reader import AGENCY, sign_in
from tests.fixtures.browser import VIETNAM

ASK = """async ([address, method]) => {
  try {
    const answer = await fetch(address, {method, credentials: 'include', body: method === 'POST' ? 'a=1' : undefined,
        headers: method === 'POST' ? {'content-type': 'application/x-www-form-urlencoded'} : {}});
    return {status: answer.status, text: await answer.text()};
  } catch (error) { return {refused: String(error)}; }
}"""


async def signed_in_page(stack: LocalStack, context: BrowserContext) -> Page:
    """The newspaper's front page, with the cookies of a reader and of the finance officer in the jar."""
    billing, identity = stack.url("billing-web"), stack.url("identity-web")
    page = await context.new_page()
    await page.goto(f"{billing}/r/{AGENCY}/sign-in")
    await sign_in(page, billing, "script@example.vn", "cross-origin")
    await page.wait_for_url(f"**/r/{AGENCY}/account")
    await page.goto(f"{identity}/sign-in")
    await page.locator("input[name=email]").fill("finance@bao-hung-yen.example")
    await page.locator("input[name=password]").fill(stack.surroundings.secrets.demo_password)
    await page.locator("main button[type=submit]").first.click()
    await page.wait_for_function("!location.pathname.startsWith('/sign-in')")
    for address in (f"{billing}/staff/{AGENCY}", f"{stack.url('metrics-web')}/finance/{AGENCY}"):
        shown = await page.goto(address)
        assert shown is not None and shown.status == 200, "the officer reads it with their own eyes"
    return page


async def test_a_script_on_the_newspapers_page_reads_the_session_and_nothing_else(
    local_stack: LocalStack, browser: Browser
):
    # Without the website's own content security policy: that is no protection of ours.
    context = await browser.new_context(bypass_csp=True, **VIETNAM)
    page = await signed_in_page(local_stack, context)
    site = local_stack.surroundings.url(0)
    await page.goto(f"{site}/")

    async def ask(address: str, method: str = "GET") -> dict[str, Any]:
        answer: dict[str, Any] = await page.evaluate(ASK, [address, method])
        return answer

    billing = local_stack.url("billing-web")
    session = await ask(f"{billing}/v1/agencies/{AGENCY}/session")
    assert session["status"] == 200 and '"signed_in":true' in session["text"]
    another = await ask(f"{billing}/v1/agencies/dai-song-hong/session")
    assert "refused" in another, "another agency's readers"
    for process, path in (
        ("billing-web", f"/r/{AGENCY}/account"),
        ("billing-web", f"/staff/{AGENCY}"),
        ("billing-web", f"/v1/agencies/{AGENCY}/ledger/trial-balance"),
        ("billing-web", f"/v1/agencies/{AGENCY}/subscriptions"),
        ("paywall-web", f"/v1/agencies/{AGENCY}/policy"),
        ("ads-web", f"/v1/agencies/{AGENCY}/lines"),
        ("metrics-web", f"/finance/{AGENCY}"),
        ("metrics-web", f"/v1/agencies/{AGENCY}/growth"),
        ("identity-web", "/account"),
    ):
        answer = await ask(local_stack.url(process) + path)
        assert "refused" in answer, (process, path, answer)

    # What a script may not read it may not change either: without the form's token (which it cannot read), and from an
    # origin that is no page of ours.
    assert "refused" in await ask(f"{billing}/r/{AGENCY}/account/consents", "POST")
    await context.close()
