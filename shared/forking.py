"""One process forked from another: what has been imported is shared, everything else is the child's own."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping

_PR_SET_PDEATHSIG = 1
# The parent's ways with signals are not the child's.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def freeze_imports() -> None:
    """Before the first fork: what is loaded is never looked through again, so its pages stay shared.

    Garbage stays as well: its gaps would be filled, and its pages written to, by every process (see ``gc.freeze``).
    """
    gc.freeze()


def die_with_parent(parent: int, death_signal: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel signal this process when its parent is gone (Linux; elsewhere nothing happens)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:  # it was gone already
        os.kill(os.getpid(), death_signal)


def fork(run: Callable[[], object]) -> int:
    """Run something in a child and end it with what that gives: an exit code, ``SystemExit``, or 1 for any other error.

    Gives the child's id. Raises ``RuntimeError`` when this process has threads: a child would have their locks without them.
    """
    if threading.active_count() > 1:
        names = [thread.name for thread in threading.enumerate()]
        raise RuntimeError(f"a process with threads is not forked: {names}")
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    # Until the child has its own ways, a signal waits: the parent's would swallow the order to end.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        pid = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for sig in _SIGNALS:
            signal.signal(sig, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        die_with_parent(parent)
        result = run()
        code = result if isinstance(result, int) else 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            sys.stderr.write(f"{error.code}\n")
    except (
        BaseException
    ):  # the fork must end here: nothing may unwind into what its parent was doing
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(pids: Mapping[int, object]) -> dict[int, int]:
    """Which of these children have ended, and with what: the exit code, or minus the signal."""
    found = {}
    for pid in list(pids):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            found[pid] = os.waitstatus_to_exitcode(status)
    return found
