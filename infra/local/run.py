"""`make run`: the whole product on this machine, with its progress, addresses and an orderly end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.local import processes as data
from infra.local.asked import AskedToEnd
from infra.local.assets import ensure_assets
from infra.local.child import ChildError
from infra.local.node import NodeError
from infra.local.ports import PortTakenError
from infra.local.postgres import PostgresError
from infra.local.stack import REPOSITORY, LocalStack, StackError
from infra.local.streams import StreamKeeper
from infra.local.supervise import LogTail, Repetitions, Supervisor

DEFAULT_BASE_PORT = 8000
CHECK_SECONDS = 0.5
PLAIN_WIDTH = 120  # where the output is no terminal
DEMO_AGENCY = "bao-hung-yen"
EXPECTED = (NodeError, ChildError, PortTakenError, PostgresError, StackError)


class _Stop(BaseException):
    """Ctrl-C or SIGTERM while starting: unwinds to where the stack is stopped."""


class Progress:
    """One line per step with its time; on a terminal a spinner while it lasts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun: dict[str, float] = {}
        self._status = console.status("", spinner="dots") if console.is_terminal else None

    def __call__(self, title: str, done: bool) -> None:
        if not done:
            self._begun[title] = time.monotonic()
            if self._status is not None:
                self._status.update(f"{title} …")
                self._status.start()
            return
        seconds = time.monotonic() - self._begun[title]
        self._console.print(f"[green]✓[/] {title:<14} [dim]{seconds:5.1f} s[/]")

    def end(self) -> None:
        if self._status is not None:
            self._status.stop()


def addresses(stack: LocalStack) -> Table:
    """Where everything is and what to try there."""
    tries = {
        "news-site": "/ the newspaper: read the free articles, meet the wall, subscribe (card 4242 4242 4242 4242)",
        "billing-web": f"/r/{DEMO_AGENCY}/plans subscribe; /dev/mail the e-mails that were sent",
        "paywall-web": f"/policies/{DEMO_AGENCY} how many articles are free; /openapi.json the API for a CMS",
        "ads-web": "/console book advertising (seller); /openapi.json the API",
        "metrics-web": "/finance revenue against the 20 % target (finance)",
        "identity-web": f"/sign-in for staff: seller@, finance@, editor@ or admin@{DEMO_AGENCY}.example, province@hung-yen.example, "
        f"password {stack.surroundings.secrets.demo_password}; admin@ also needs an authenticator app with the key "
        f"{stack.surroundings.secrets.demo_totp_secret}; /dev/mail the invitations",
        "stripe-sandbox": "/ the payment provider's stand-in: fail, dispute, pay out, delay and resend by hand; "
        "/bank a demo bank: transfer, change the note, drop and resend by hand",
    }
    table = Table(title="press-revenue is running", title_justify="left", header_style="bold")
    for heading in ("what", "address", "try"):
        table.add_column(heading, overflow="fold")
    for spec in sorted(stack.processes.values(), key=lambda one: one.port):
        if spec.name in tries:
            table.add_row(spec.name, stack.url(spec.name), tries[spec.name])
    table.add_row("PostgreSQL", f"127.0.0.1:{stack.postgres.port}", "a database per service")
    table.add_row(
        "NATS",
        f"127.0.0.1:{stack.base_port + data.NATS_OFFSET}",
        f"monitoring: http://127.0.0.1:{stack.base_port + data.NATS_MONITORING_OFFSET}/jsz",
    )
    return table


def _port(word: str) -> int:
    highest = 65_535 - data.PORTS_USED
    if word.isdecimal() and 1024 <= (port := int(word)) <= highest:
        return port
    raise argparse.ArgumentTypeError(f"{word!r}: a number from 1024 to {highest} is right")


def _asked(words: Sequence[str] | None) -> argparse.Namespace:
    """What is said on the command line, else by PRESS_PORT and PRESS_DATA_DIR."""
    # Not typer: it imports pydantic, and this process is there as long as the stack is.
    parser = argparse.ArgumentParser(prog="python -m infra.local.run", description=run.__doc__)
    parser.add_argument(
        "--port",
        type=_port,
        default=os.environ.get("PRESS_PORT") or str(DEFAULT_BASE_PORT),
        help="the first of the ports (default: %(default)s)",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=os.environ.get("PRESS_DATA_DIR") or REPOSITORY / ".local",
        help="everything that is kept (default: %(default)s)",
    )
    parser.add_argument(
        "--headless",
        action="store_true",
        help="plain lines, and 'ready' at the end: for other programs",
    )
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    asked = _asked(words)
    return run(asked.port, asked.data_dir, headless=asked.headless)


def run(port: int, data_dir: Path, *, headless: bool = False) -> int:
    """Start everything, show the addresses, and stop it all on Ctrl-C or SIGTERM."""
    os.umask(0o077)
    console = Console(force_terminal=False if headless else None, highlight=False, emoji=False)
    if not console.is_terminal:
        console = Console(force_terminal=False, highlight=False, emoji=False, width=PLAIN_WIDTH)
    stop = AskedToEnd()
    starting = True

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        if not stop:
            stop.say()
            if starting:
                raise _Stop

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, ask_to_stop)

    progress = Progress(console)
    stack = LocalStack(data_dir, port, on_step=progress)
    begun = time.monotonic()
    try:
        progress("web assets", False)
        ensure_assets(stack.assets)
        progress("web assets", True)
        stack.start()
        starting = False
        progress.end()
    except _Stop:
        progress.end()
        console.print("stopped while starting")
        return 130
    except EXPECTED as error:
        progress.end()
        console.print(f"[red]✗[/] {escape(str(error))}", soft_wrap=True)
        return 1
    try:
        console.print(addresses(stack))
        console.print(
            f"[bold]ready[/] after {time.monotonic() - begun:.1f} s; "
            f"logs: {stack.logs}; Ctrl-C stops everything"
        )
        _watch(stack, console, stop)
    finally:
        console.print("stopping …")
        stack.stop()
    console.print("stopped; the data is kept")
    return 0


def _watch(stack: LocalStack, console: Console, stop: AskedToEnd) -> None:
    def say(line: str) -> None:
        console.print(f"[yellow]![/] {escape(line)}")

    supervisor, streams = Supervisor(stack, say), StreamKeeper(stack, say)
    tail, repetitions = LogTail(stack.logs), Repetitions()
    while not stop.wait(CHECK_SECONDS):
        supervisor.check()
        streams.check()
        for name, line in tail.new_lines():
            shown = repetitions.show(name, line)
            if shown is not None:
                console.print(f"{name} | {shown}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
