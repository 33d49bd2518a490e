"""The compose file as data, and the parts of its proof that need no namespace."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from infra.compose.model import ComposeError, interpolate, load, seconds, waves
from infra.prove.containers import Container, Program
from infra.prove.images import Image
from infra.prove.networks import Networks
from infra.prove.purchase import PurchaseError, form_with

FILE = """
services:
  database:
    image: db:1
    command: ["db", "--limit=${LIMIT:-5}"]
    networks: [inside]
    healthcheck: {test: ["CMD", "ready"], interval: 5s, start_period: 1m30s}
  app:
    image: press-revenue:local
    user: "10001:10001"
    read_only: true
    cap_drop: [ALL]
    command: ["python", "-m", "app"]
    environment: {SECRET: "${SECRET:?run make up}", PRICE: "5$$"}
    volumes: ["keys:/keys:ro", "./a.toml:/a.toml:ro"]
    networks: [inside, front]
    depends_on: {database: {condition: service_healthy}}
  trial:
    image: press-revenue:local
    profiles: [demo]
networks: {inside: {}, front: {}}
volumes: {keys: {}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "docker-compose.yml"
    path.write_text(FILE)
    return path


def test_variables_are_put_in_as_the_specification_says():
    given = {"A": "1", "EMPTY": ""}
    assert interpolate("${A} ${A:-2} ${EMPTY:-3} ${NONE:-4} ${NONE} $$5", given) == "1 1 3 4  $5"
    with pytest.raises(ComposeError, match="NONE: say it"):
        interpolate("${NONE:?say it}", given)
    with pytest.raises(ComposeError, match="only"):
        interpolate("${A:+x}", given)


def test_a_project_is_what_its_profiles_start_in_an_order(file):
    project = load({"SECRET": "s"}, path=file)
    assert set(project.services) == {"database", "app"}
    app, database = project.services["app"], project.services["database"]
    assert app.environment == {"SECRET": "s", "PRICE": "5$"}
    assert database.command == ("db", "--limit=5")
    assert database.health and (database.health.interval, database.health.start_period) == (5, 90)
    assert [(one.source, one.named, one.read_only) for one in app.volumes] == [
        ("keys", True, True),
        ("./a.toml", False, True),
    ]
    assert waves(project) == [["database"], ["app"]]
    assert "trial" in load({"SECRET": "s"}, path=file, profiles=frozenset({"demo"})).services


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("user:", "privileged: true\n    user:", "privileged"),
        ('"CMD", "ready"', '"CMD-SHELL", "ready"', "no shell"),
        ("{database: {c", "{trial: {c", "does not start"),
        ("interval: 5s", "interval: soon", "duration"),
    ],
)
def test_nothing_in_the_file_passes_unread(file, old, new, complaint):
    file.write_text(FILE.replace(old, new))
    with pytest.raises(ComposeError, match=complaint):
        load({"SECRET": "s"}, path=file)


def test_a_missing_secret_and_a_circle_are_errors(file):
    with pytest.raises(ComposeError, match="SECRET"):
        load({}, path=file)
    circle = FILE.replace(
        "networks: [inside]\n", "depends_on: {app: {condition: x}}\n    networks: [inside]\n", 1
    )
    file.write_text(circle)
    with pytest.raises(ComposeError, match="circle"):
        waves(load({"SECRET": "s"}, path=file))
    assert seconds("1m30s", 0) == 90 and seconds("500ms", 0) == 0.5 and seconds(None, 7) == 7


def test_a_container_has_the_user_rights_and_names_that_the_file_says(file, tmp_path):
    project = load({"SECRET": "s"}, path=file)
    networks = Networks("pp0", project.networks)
    networks.addresses = {
        "inside": {"database": "10.0.0.2", "app": "10.0.0.3"},
        "front": {"app": "10.1.0.2", "proxy": "10.1.0.3"},
    }
    program = Program(Image(Path("/"), {"PATH": "/venv/bin"}, "/app"), "999:999")
    app = Container(project.services["app"], program, networks, tmp_path)
    assert (app.user, app.kept) == (("10001", "10001"), "")
    assert app.environment["PATH"] == "/venv/bin" and app.environment["SECRET"] == "s"
    database = Container(project.services["database"], program, networks, tmp_path)
    assert (database.user, database.kept) == (("999", "999"), "all")
    assert "proxy" not in networks.hosts_file("database", ["inside"])
    assert "10.1.0.3 proxy" in networks.hosts_file("app", ["inside", "front"])


def test_forms_are_filled_as_a_browser_would():
    html = """<form action="/a"><input name="csrf" value="1"></form>
      <form action="/b"><p>59.000 đồng</p><input type="hidden" name="price" value="m"><button>Mua</button></form>"""
    page = httpx.Response(200, text=html, request=httpx.Request("GET", "https://x.test/"))
    form = form_with(page, "price", "59.000")
    assert (form.action, form.fields) == ("/b", {"price": "m"})
    with pytest.raises(PurchaseError, match="no form"):
        form_with(page, "price", "99.000")
