"""``make sbom``: what production is made of, as CycloneDX 1.6 component lists with the hashes of the lock files.

`python.cdx.json` is requirements.txt (what the image installs), `web.cdx.json` is package-lock.json (what pages are served).
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from infra.local.assets import REPOSITORY

FOLDER = REPOSITORY / ".local" / "sbom"


def python_components(path: Path) -> None:
    command = ["-m", "cyclonedx_py", "requirements", "--output-reproducible", "--sv", "1.6"]
    lists = ["--pyproject", str(REPOSITORY / "pyproject.toml"), "-o", str(path)]
    requirements = str(REPOSITORY / "requirements.txt")
    subprocess.run([sys.executable, "-W", "ignore", *command, *lists, requirements], check=True)


def web_components(path: Path) -> None:
    lock = json.loads((REPOSITORY / "package-lock.json").read_text(encoding="utf-8"))
    components = []
    for where, package in lock["packages"].items():
        if not where or package.get("dev"):
            continue
        group, _, name = where.removeprefix("node_modules/").rpartition("/")
        version = package["version"]
        digest = base64.b64decode(package["integrity"].removeprefix("sha512-")).hex()
        components.append(
            Component(
                type=ComponentType.LIBRARY,
                group=group or None,
                name=name,
                version=version,
                purl=PackageURL("npm", group or None, name, version),
                hashes=[HashType(alg=HashAlgorithm.SHA_512, content=digest)],
            )
        )
    JsonV1Dot6(Bom(components=components)).output_to_file(str(path), indent=2, allow_overwrite=True)


def main(folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    python_components(folder / "python.cdx.json")
    web_components(folder / "web.cdx.json")
    for path in sorted(folder.glob("*.cdx.json")):
        count = len(json.loads(path.read_text(encoding="utf-8"))["components"])
        sys.stdout.write(f"{path}: {count} components\n")


if __name__ == "__main__":
    main()
