"""TCP ports on loopback: find free ones, and say clearly which one is taken."""

from __future__ import annotations

import http.client
import socket

LOOPBACK = "127.0.0.1"


class PortTakenError(RuntimeError):
    """A port that a local process needs is in use by something else."""

    def __init__(self, port: int, wanted_by: str, setting: str) -> None:
        super().__init__(
            f"port {port} is already in use, and {wanted_by} needs it: "
            f"stop what uses it, or choose another port with {setting}"
        )
        self.port = port
        self.wanted_by = wanted_by
        self.setting = setting


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` now.

    SO_REUSEADDR as servers do, so that a port in TIME_WAIT counts as free.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def require_free(port: int, wanted_by: str, setting: str) -> None:
    """Raise `PortTakenError` when `port` cannot be listened on."""
    if not is_free(port):
        raise PortTakenError(port, wanted_by, setting)


def free_port() -> int:
    """A port that was free a moment ago (the caller retries when it loses the race)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def free_block(size: int, *, lowest: int = 20000, highest: int = 32000) -> int:
    """The first port of `size` consecutive free ones, below the kernel's ephemeral range.

    The search starts at a random place, so that two test workers seldom meet.
    """
    import random

    bases = list(range(lowest, highest, size))
    random.shuffle(bases)
    for base in bases:
        if all(is_free(base + offset) for offset in range(size)):
            return base
    raise RuntimeError(f"no {size} consecutive free ports between {lowest} and {highest}")


def answers(port: int, path: str) -> bool:
    """Whether GET answers 200 now."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
