"""Files with signing keys: ``python -m shared.auth.key_files /keys/billing.pem`` makes those that are not there yet."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from shared.auth.tokens import SigningKeySet


def make_key_file(path: Path) -> bool:
    """An Ed25519 key as PEM (0600), unless the file exists. Returns whether it was made.

    Written aside and linked: of several processes starting together one wins, and nobody reads half a file.
    """
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(SigningKeySet.new_pem())
            file.flush()
            os.fsync(file.fileno())  # on the disk before it has its name
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def main(paths: list[str]) -> None:
    for path in paths:
        made = make_key_file(Path(path))
        print(f"{path}: {'made' if made else 'is there already'}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
