"""What the proof on fresh machines takes over from this machine, and how it reads a command's words."""

from __future__ import annotations

import pytest

from infra.fresh.__main__ import ADDRESS, MISSING
from infra.fresh.machines import FreshError, client_variables, mirror
from infra.local.debian import ensure


def test_only_the_way_to_the_registries_is_taken_over():
    mine = {
        "PIP_CERT": "/bundle.pem",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "PYTHONPATH": "/somewhere",
        "PIP_FIND_LINKS": "/wheels",
        "VIRTUAL_ENV": "/venv",
        "STRIPE_SECRET_KEY": "sk",
    }
    assert set(client_variables(mine)) == {"PIP_CERT", "HTTPS_PROXY"}


@pytest.mark.parametrize(
    "sources",
    [
        ["# a comment", "Types: deb", "URIs: http://mirror.example/debian", "Suites: bookworm"],
        [
            "deb http://mirror.example/security x main",
            "deb [arch=amd64] http://mirror.example/debian bookworm main",
        ],
    ],
)
def test_the_mirror_is_the_one_that_apt_uses(sources):
    assert mirror(sources) == "http://mirror.example/debian"


def test_without_a_mirror_it_says_so():
    with pytest.raises(FreshError, match="no Debian mirror"):
        mirror(["Types: deb"])


def test_the_line_for_an_ordinary_user_is_the_one_that_is_read():
    line = ensure(["chromium", "wrk"], is_present=lambda _name: False, may_install=False)
    found = MISSING.search(f"make: Entering directory\n{line}\nmake: *** Error 1")
    assert found is not None
    assert found[1].split() == ["chromium", "wrk"]


def test_addresses_are_those_of_the_table_without_ports_of_servers():
    text = "│ news-site │ http://127.0.0.1:9000 │ /\n│ NATS │ 127.0.0.1:9022 │ monitoring: http://127.0.0.1:9023/jsz │"
    assert ADDRESS.findall(text) == ["http://127.0.0.1:9000"]
