"""The program of :class:`infra.local.forks.ForkParent`: ``python -m infra.local.fork_parent <descriptor> <module>…``.

Reads orders from the descriptor (a SOCK_SEQPACKET socket), answers each with the new process's id and a descriptor of it, and
tells how each has ended. Ends when nobody holds the other end any more.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import time
from typing import Any

from shared.forking import ended, fork, freeze_imports

MESSAGE_BYTES = 65_536
_PR_SET_NAME = 15
#: What processes import only once they run (server, loop, drivers), where what uses it has been imported: by that package's name.
ALSO = {
    "anyio": ("anyio._backends._asyncio", "anyio.streams.tls"),
    "fastapi": ("fastapi.telemetry._runtime", "python_multipart.multipart"),
    "httpx": ("encodings.ascii", "encodings.idna", "h11", "httpcore"),
    "pydantic": ("pydantic.v1",),
    "sqlalchemy": ("asyncpg", "sqlalchemy.dialects.postgresql.asyncpg"),
    "stripe": (
        "stripe._api_requestor",
        "stripe._event",
        "stripe._list_object",
        "stripe._stripe_client",
        "stripe._telemetry_id",
    ),
    "typer": ("typer._adapters", "typer._click.decorators"),
    "uvicorn": (
        "httptools",
        "uvicorn.lifespan.off",
        "uvicorn.lifespan.on",
        "uvicorn.loops.auto",
        "uvicorn.loops.uvloop",
        "uvicorn.protocols.http.auto",
        "uvicorn.protocols.http.httptools_impl",
        "uvicorn.protocols.websockets.auto",
        "uvloop",
    ),
}


def load(modules: list[str]) -> None:
    """Import what the processes run, their ``__main__`` included, without running it."""
    for name in modules:
        package = importlib.import_module(name)
        if hasattr(package, "__path__"):
            importlib.import_module(f"{name}.__main__")
    for user, names in ALSO.items():
        if user in sys.modules:
            for name in names:
                importlib.import_module(name)
    if "shared.web.outgoing" in sys.modules:
        sys.modules["shared.web.outgoing"].authorities()
    if "sqlalchemy.orm" in sys.modules:
        # Of all tables there are: each process would do it for itself at its first query.
        sys.modules["sqlalchemy.orm"].configure_mappers()


def become(order: dict[str, Any], control: socket.socket) -> None:
    """In the child: a session, a log and an environment of its own, then the module's main program."""
    control.close()
    os.setsid()
    module, *arguments = order["arguments"]
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
    sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    tempfile.tempdir = None
    name = " ".join([module.rpartition(".")[2], *arguments])[:15].encode()
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name, 0, 0, 0)
    # As `python -m` would: a main module is run, not taken from those that are imported already.
    sys.modules.pop(f"{module}.__main__", None)
    if not hasattr(sys.modules.get(module), "__path__"):
        sys.modules.pop(module, None)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def serve(control: socket.socket) -> None:
    wake, write = socket.socketpair()
    wake.setblocking(False)
    write.setblocking(False)
    signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the stack, which ends its processes in order
    children: dict[int, None] = {}
    while True:
        readable, _, _ = select.select([control, wake], [], [])
        if wake in readable:
            wake.recv(4096)
        for pid, code in ended(children).items():
            del children[pid]
            control.send(json.dumps({"ended": pid, "code": code}).encode())
        if control not in readable:
            continue
        data = control.recv(MESSAGE_BYTES)
        if not data:
            return
        order = json.loads(data)
        pid = fork(lambda order=order: become(order, control))  # type: ignore[misc]
        children[pid] = None
        descriptor = os.pidfd_open(pid)
        answer = json.dumps({"number": order["number"], "pid": pid}).encode()
        socket.send_fds(control, [answer], [descriptor])
        os.close(descriptor)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    gc.disable()  # an import makes little garbage: looking for it is a fifth of the time
    load(sys.argv[2:])
    freeze_imports()
    gc.enable()
    try:
        serve(control)
    except (BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    main()
