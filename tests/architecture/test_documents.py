"""What is not documented does not exist, and what is documented does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from infra.docs.__main__ import PAGES
from infra.docs.metrics import all_metrics, metrics_in
from infra.docs.settings import own_fields, settings_classes, variable
from infra.local import processes
from shared.security.events import SecurityEvent
from shared.settings import ServiceSettings
from tests.architecture.source import REPOSITORY, files, relative, report

GENERATE = "run `python -m infra.docs` and commit what it writes"
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)[^)]*\)|!\[[^\]]*\]\(([^)\s]+)[^)]*\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
MAKE_WORD = re.compile(r"`make ([a-z][a-z-]*)|^\s*(?:\$ )?make ([a-z][a-z-]*)", re.MULTILINE)
TARGET = re.compile(r"^([a-z][a-z-]*):(?!=)(.*)$", re.MULTILINE)


def documents() -> list[Path]:
    found = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    for folder in ("services", "shared", "infra"):
        found += (
            path for path in (REPOSITORY / folder).rglob("*.md") if "node_modules" not in path.parts
        )
    return sorted(found)


def without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(text: str) -> set[str]:
    """What a link behind ``#`` may name: the headings as GitHub turns them into anchors, a repeated one with its number."""
    found: list[str] = []
    for heading in HEADING.findall(without_code(text)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        found.append(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    numbered = [f"{one}-{found[:n].count(one)}" for n, one in enumerate(found) if one in found[:n]]
    return {*found, *numbered}


def broken_links(path: Path, text: str) -> list[str]:
    """Links that lead to no file, or to no heading of a page."""
    found = []
    for match in LINK.finditer(without_code(text)):
        target, _, anchor = (match[1] or match[2]).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = path.parent / target if target else path
        if not file.exists():
            found.append(f"{path.name}: {target}")
        elif anchor and file.suffix == ".md":
            there = text if file == path else file.read_text(encoding="utf-8")
            if anchor not in anchors(there):
                found.append(f"{path.name}: {target}#{anchor}")
    return found


def make_targets(text: str) -> dict[str, str]:
    """Targets of a Makefile and their help sentence."""
    return {name: rest.partition("## ")[2].strip() for name, rest in TARGET.findall(text)}


def make_words(text: str) -> set[str]:
    """Targets that a document tells its reader to make."""
    return {first or second for first, second in MAKE_WORD.findall(text)}


@pytest.mark.parametrize("page", PAGES)
def test_a_generated_page_is_up_to_date(page):
    path = REPOSITORY / page
    assert path.exists() and path.read_text(encoding="utf-8") == PAGES[page](), (
        f"{page} is out of date: {GENERATE}"
    )


def test_every_setting_of_a_service_says_what_it_is_for():
    report(
        'Give the field a description: Field(default=…, description="what it is for, and its unit").',
        [
            f"{settings.__module__}.{settings.__name__}.{name}"
            for settings in settings_classes()
            if issubclass(settings, ServiceSettings)
            for name, info in own_fields(settings).items()
            if not info.description
        ],
    )


def test_every_setting_stands_in_the_settings_page():
    page = PAGES["docs/settings.md"]()
    missing = [
        variable(settings, name)
        for settings in settings_classes()
        for name in own_fields(settings)
        if f"| `{variable(settings, name)}` |" not in page
    ]
    report(GENERATE, missing)


def test_every_metric_says_what_it_means_and_has_the_projects_prefix():
    metrics = all_metrics()
    assert {"press_http_requests_total", "press_outbox_waiting"} <= {
        metric.name for metric in metrics
    }
    report(
        "A metric is named press_… and its second argument says what it means.",
        [
            f"{metric.module}: {metric.name}"
            for metric in metrics
            if not metric.meaning or not metric.name.startswith("press_")
        ],
    )


def test_metrics_are_found_where_they_are_made():
    code = """
A = Counter("press_a_total", "What a is", ["x", "y"])
B = prometheus_client.Gauge("press_b", "What b is", labelnames=("z",))
C = {"press_c": "What c is", "press_cookie": "press"}
"""
    found = {metric.name: metric for metric in metrics_in(ast.parse(code), "m")}
    assert set(found) == {"press_a_total", "press_b", "press_c"}
    assert found["press_a_total"].labels == ("x", "y")
    assert found["press_b"].labels == ("z",)


def test_relative_links_lead_somewhere():
    found = [
        f"{relative(path)} → {line.partition(': ')[2]}"
        for path in documents()
        for line in broken_links(path, path.read_text(encoding="utf-8"))
    ]
    report("Mend the link, or add what it leads to.", found)


def test_operations_say_what_to_do_for_each_alert():
    rules = (REPOSITORY / "infra" / "prometheus" / "rules" / "alerts.yml").read_text("utf-8")
    alerts = re.findall(r"- alert: (\w+)", rules)
    page = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    told = re.findall(
        r"^\| `(\w+)` \|", page.split("## What to do for each alert")[1], re.MULTILINE
    )
    assert alerts and alerts == told[: len(alerts)], "docs/operations.md: the table of alerts"


def test_the_security_events_are_explained_each_in_its_turn():
    page = (REPOSITORY / "docs" / "security" / "events.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == [*SecurityEvent]


def test_every_make_target_has_a_sentence():
    targets = make_targets((REPOSITORY / "Makefile").read_text(encoding="utf-8"))
    assert {"run", "test", "check", "help"} <= set(targets)
    report(
        "Add the sentence for `make help` behind the target: `name: needs ## What it does`.",
        [name for name, sentence in targets.items() if not sentence],
    )


def test_documents_name_only_targets_that_exist():
    targets = make_targets((REPOSITORY / "Makefile").read_text(encoding="utf-8"))
    found = [
        f"{relative(path)}: make {word}"
        for path in documents()
        for word in sorted(make_words(path.read_text(encoding="utf-8")) - set(targets))
    ]
    report(f"Targets are: {', '.join(sorted(targets))}.", found)


def test_documents_name_only_files_and_metrics_that_are_there():
    written = "".join(path.read_text(encoding="utf-8") for path in files(".py"))
    found = []
    for path in documents():
        for quoted in re.findall(r"`([^`\n]+)`", path.read_text(encoding="utf-8")):
            for name in re.findall(
                r"(?<![\w/])(?:services|shared|infra|tests|benchmarks)/[\w./-]*\w", quoted
            ):
                if not (REPOSITORY / name).exists():
                    found.append(f"{relative(path)}: {name}")
            for name in re.findall(r"\bpress_[a-z_]+\b", quoted):
                if name not in written:
                    found.append(f"{relative(path)}: {name}")
    report("It was moved, or is called something else.", found)


def architecture_ports(text: str) -> dict[str, tuple[int, str]]:
    """``billing-web`` → (offset, database) as ARCHITECTURE.md has it."""
    table = text.split("| offset | process | database |", 1)[1].split("\n\n", 1)[0]
    found: dict[str, tuple[int, str]] = {}
    for line in table.splitlines()[2:]:
        offsets, process, database, *_ = (part.strip(" –") for part in line.split("|")[1:])
        if workers := re.match(r"workers of ([a-z, ]+?) ?(?:and ([a-z]+))?:", process):
            names = [*re.split(r", ?", workers[1]), *([workers[2]] if workers[2] else [])]
            first, _, last = offsets.partition("–")
            assert int(last) - int(first) + 1 == len(names), line
            found |= {
                f"{name}-worker": (int(first) + place, name) for place, name in enumerate(names)
            }
        elif web := re.match(r"([a-z]+) web", process):
            found[f"{web[1]}-web"] = (int(offsets), database)
        elif module := re.match(r"`infra\.([a-z_]+)`", process):
            found[module[1].replace("_", "-")] = (int(offsets), "")
    return found


def test_the_ports_in_the_architecture_are_the_ports_that_are_used():
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    told = architecture_ports(text)
    used = {spec.name: (spec.port, spec.database or "") for spec in processes.PROCESSES}
    assert told == used, "ARCHITECTURE.md (Processes and ports) and infra/local/processes.py differ"
    others = f"| {processes.NATS_OFFSET}, {processes.NATS_MONITORING_OFFSET} | nats-server"
    assert others in text
    assert f"| {processes.POSTGRES_OFFSET} | PostgreSQL" in text


def test_the_checks_of_documents_catch(tmp_path):
    page = tmp_path / "page.md"
    (tmp_path / "other.md").write_text("# Vận hành, `ngày`\n```\n# no heading\n```\n## A\n## A\n")
    text = (
        "# X\n[a](page.md#x) [b](https://x.vn/y) [c](gone.md) ![d](gone.png) [f](#x) [g](#y) "
        "[h](other.md#vận-hành-ngày) [i](other.md#no-heading) [j](other.md#a-1) [k](other.md#a-2)"
        "\n```\n[e](not-a-link.md)\n```"
    )
    page.write_text(text)
    broken = ["gone.md", "gone.png", "#y", "other.md#no-heading", "other.md#a-2"]
    assert broken_links(page, text) == [f"page.md: {one}" for one in broken]
    assert make_targets("run: setup ## Starts\nbad:\nX := 1\n.PHONY: run\n") == {
        "run": "Starts",
        "bad": "",
    }
    assert make_words("Type `make run PORT=1`, or\n    make story\nand make sure") == {
        "run",
        "story",
    }


def test_every_alert_and_rule_reads_metrics_that_are_exported() -> None:
    """An alert on a metric nobody exports never fires, and nobody notices."""
    exported = {metric.name for metric in all_metrics()}
    for path in sorted((REPOSITORY / "shared" / "metrics" / "exporter").glob("*.py")):
        names = re.findall(r'"(press_[a-z0-9_]+)"', path.read_text(encoding="utf-8"))
        exported |= {*names, *(f"{name}_vnd" for name in names)}  # a family a currency
    missing = []
    for path in sorted((REPOSITORY / "infra" / "prometheus" / "rules").glob("*.yml")):
        for name in re.findall(r"(?<![\w:])press_[a-z0-9_]+(?![\w:])", path.read_text("utf-8")):
            if re.sub(r"_(bucket|sum|count)$", "", name) not in exported:
                missing.append(f"{path.name}: {name}")
    report("Export the metric, or mend the rule.", sorted(set(missing)))
