"""The component lists name every locked package, with its hashes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from infra.local import sbom
from infra.local.assets import REPOSITORY


def components(path: Path) -> dict[str, dict[str, object]]:
    bom = json.loads(path.read_text(encoding="utf-8"))
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    return {one["purl"]: one for one in bom["components"]}


def test_every_locked_package_is_a_component_with_its_hashes(tmp_path: Path, capsys) -> None:
    sbom.main(tmp_path)
    python = components(tmp_path / "python.cdx.json")
    locked = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8")
    pinned = re.findall(r"^([a-z0-9.-]+)(?:\[.*\])?==([^ ;\\]+)", locked, re.MULTILINE)
    assert len(pinned) > 50
    assert {purl.split("?")[0] for purl in python} == {
        f"pkg:pypi/{name}@{version}" for name, version in pinned
    }
    assert all("SHA-256" in json.dumps(one) for one in python.values())
    lock = json.loads((REPOSITORY / "package-lock.json").read_text(encoding="utf-8"))
    web = components(tmp_path / "web.cdx.json")
    production = [
        (where, one) for where, one in lock["packages"].items() if where and not one.get("dev")
    ]
    assert len(web) == len(production) > 0
    assert all("SHA-512" in json.dumps(one) for one in web.values())
    assert "components" in capsys.readouterr().out
