"""A program told to end by a signal."""

from __future__ import annotations

import os
import select


class AskedToEnd:
    """Whether the program was asked to end. ``say`` may be called by a signal handler at any instant.

    ``threading.Event`` may not: its ``set`` takes the lock that an interrupted ``wait`` of the same thread holds, for ever.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._said = False

    def __bool__(self) -> bool:
        return self._said

    def say(self) -> None:
        """Ask; further times change nothing."""
        if not self._said:
            self._said = True
            os.write(self._write, b".")

    def wait(self, seconds: float) -> bool:
        """Whether it was asked within so many seconds."""
        return bool(select.select([self._read], [], [], seconds)[0])

    def close(self) -> None:
        """Give both ends of the pipe back."""
        os.close(self._read)
        os.close(self._write)
