"""The Python of the website engineer's guide, run as it is printed."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.auth import SigningKeySet

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "website-engineer.md"
ADDRESS = '"http://127.0.0.1:8002"'
ARTICLE = "vu-mua-ve-dich-som"
MaySend = Callable[[str, str], bool]


@pytest.fixture
def keys() -> SigningKeySet:
    return SigningKeySet.generate("press-paywall")


@pytest.fixture
def address(keys: SigningKeySet) -> Iterator[str]:
    """A server that publishes the keys where the paywall does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/.well-known/jwks.json"
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(keys.jwks()).encode() if known else b"{}")

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def printed_code(address: str) -> MaySend:
    """The guide's function, for a paywall at this address."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert code.count(ADDRESS) == 1
    names: dict[str, Any] = {}
    exec(compile(code.replace(ADDRESS, repr(address)), str(GUIDE), "exec"), names)
    return names["may_send"]  # type: ignore[no-any-return]


def grant(keys: SigningKeySet, article: str = ARTICLE, **changes: Any) -> str:
    facts = {"audience": "site:bao-hung-yen", "now": datetime.now(UTC), "lifetime_seconds": 300}
    return "Bearer " + keys.sign({"article": article, "sub": "meter-1"}, **(facts | changes))


def forged(bearer: str) -> str:
    """The same claims with another signature."""
    head, payload, signature = bearer.split(".")
    return ".".join((head, payload, signature[::-1]))


def test_the_printed_code_opens_an_article_for_its_grant(keys, address):
    assert printed_code(address)(ARTICLE, grant(keys)) is True


def test_the_printed_code_refuses_every_other_grant(keys, address):
    may_send = printed_code(address)
    stranger = SigningKeySet.generate("press-paywall")
    another_issuer = SigningKeySet("press-billing", keys._keys)
    long_ago = datetime.now(UTC) - timedelta(minutes=20)
    refused = {
        "of another article": grant(keys, "dem-pho-hien"),
        "of another agency": grant(keys, audience="site:dai-song-hong"),
        "expired": grant(keys, now=long_ago),
        "signed by a stranger": grant(stranger),
        "of another issuer": grant(another_issuer),
        "forged": forged(grant(keys)),
        "not Bearer": grant(keys).replace("Bearer", "Basic"),
        "empty": "",
        "nonsense": "Bearer x.y.z",
    }
    opened = [what for what, header in refused.items() if may_send(ARTICLE, header)]
    assert not opened


def test_the_printed_code_sends_nothing_when_the_paywall_is_away(keys, address):
    away = printed_code("http://127.0.0.1:9")
    assert away(ARTICLE, grant(keys)) is False
