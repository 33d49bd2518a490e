"""What Prometheus and Alertmanager say, asked inside their own network namespaces."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

from infra.prove.images import ProofError
from infra.prove.networks import Networks

PAUSE_SECONDS = 2.0


class Watch:
    """The two servers as a running compose has them."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def _get(self, container: str, url: str) -> Any:
        done = subprocess.run(
            [
                "ip",
                "netns",
                "exec",
                self._networks.namespace(container),
                "wget",
                "-q",
                "-O-",
                "-T",
                "10",
                url,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout else None

    def targets_down(self) -> list[str]:
        """Scrape targets that are not up; a place-holder while Prometheus does not answer."""
        answer = self._get("prometheus", "http://127.0.0.1:9090/api/v1/targets?state=active")
        if answer is None:
            return ["prometheus itself"]
        active = answer["data"]["activeTargets"]
        down = [
            f"{one['labels']['instance']} {one['lastError']}"
            for one in active
            if one["health"] != "up"
        ]
        return down or ([] if active else ["no target yet"])

    def alerts(self, state: str = "firing") -> dict[str, str]:
        """Names of alerts in a state, with what each is about."""
        answer = self._get("prometheus", "http://127.0.0.1:9090/api/v1/alerts")
        if answer is None:
            return {}
        found = {}
        for one in answer["data"]["alerts"]:
            if one["state"] == state:
                labels = one["labels"]
                about = (
                    labels.get("instance") or labels.get("service") or labels.get("consumer") or ""
                )
                found[labels["alertname"]] = about
        return found

    def called(self) -> set[str]:
        """Names of alerts that have reached Alertmanager and are routed to a receiver."""
        answer = self._get("alertmanager", "http://127.0.0.1:9093/api/v2/alerts?active=true")
        return {one["labels"]["alertname"] for one in answer or [] if one["receivers"]}

    def until(self, true: Callable[[], Any], what: str, seconds: float) -> float:
        """Seconds until ``true()``. Raises :class:`ProofError` naming what did not come."""
        begun = time.monotonic()
        while not true():
            if time.monotonic() - begun > seconds:
                raise ProofError(f"after {seconds:.0f} s: {what}")
            time.sleep(PAUSE_SECONDS)
        return time.monotonic() - begun
