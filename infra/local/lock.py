"""One at a time on a data directory: flock(2), which ends with its process however that ends."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

LOCK = "stack.lock"


class InUseError(RuntimeError):
    """Somebody else works on this data."""


def lock_data(data_dir: Path) -> IO[str]:
    """Hold the directory until the file is closed. Raises :class:`InUseError`.

    Not the ``filelock`` package: it imports asyncio and TLS, a fifth of what starts the stack.
    """
    file = (data_dir / LOCK).open("a", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InUseError(f"{data_dir} is in use") from None
    return file
