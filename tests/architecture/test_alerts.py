"""Every alert is seen to fire by promtool (that operations says what to do: ``test_documents``)."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "infra" / "prometheus"
ALERTS = [
    rule["alert"]
    for path in sorted((PROMETHEUS / "rules").glob("*.yml"))
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
CASES = [
    case
    for path in sorted((PROMETHEUS / "tests").glob("*.yml"))
    for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
    for case in test.get("alert_rule_test", ())
]


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_case_in_which_it_fires(alert: str) -> None:
    assert any(case["alertname"] == alert and case["exp_alerts"] for case in CASES)
