"""Sizes, time, and money: rules that a review would have to remember."""

from __future__ import annotations

import ast
import re
from collections import Counter

import pytest

from tests.architecture.source import PRODUCT, files, is_migration, relative, report, tree

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

#: Where the machine's clock may be read: file, and why.
CLOCK_ALLOWED = {
    "shared/clock.py": "it is the clock",
    "infra/local/backup.py": "names a folder of the operator's machine",
}
CLOCK_CALLS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
               ("time", "time"), ("time", "time_ns")}  # fmt: skip
MONEY_NAME = re.compile(r"(^|_)(vnd|amount|amounts|price|revenue|balance|vat|fee|refund)($|_)")
#: Ends of names that speak of money and are none.
NOT_MONEY = re.compile(r"_(ratio|percent|rate|share|factor|seconds|at|on)$")


def long_functions(parsed: ast.Module) -> list[str]:
    """Functions past the limit. Functions inside a function (a router's routes) count for themselves."""

    def lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        inner = 0
        todo: list[ast.AST] = list(node.body)
        while todo:
            part = todo.pop()
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([part.lineno, *(d.lineno for d in part.decorator_list)])
                inner += (part.end_lineno or first) - first + 1
            else:
                todo.extend(ast.iter_child_nodes(part))
        return (node.end_lineno or node.lineno) - node.lineno + 1 - inner

    return [
        f"{node.name} (line {node.lineno}) has {lines(node)} lines"
        for node in ast.walk(parsed)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and lines(node) > MAX_FUNCTION_LINES
    ]


def clock_reads(parsed: ast.Module) -> list[int]:
    """Lines that ask the machine for the time (not its monotonic clock: that only measures)."""
    lines = []
    for node in ast.walk(parsed):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = node.func.value
        name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
        if (name, node.func.attr) in CLOCK_CALLS:
            lines.append(node.lineno)
    for node in ast.walk(parsed):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            lines += [node.lineno for alias in node.names if alias.name in ("time", "time_ns")]
    return lines


def partly_away(parsed: ast.Module) -> list[str]:
    """Handlers that list what PostgreSQL says and what the network says, and leave out what the driver says."""
    return [
        f"line {node.lineno}"
        for node in ast.walk(parsed)
        if isinstance(node, ast.ExceptHandler)
        and isinstance(node.type, ast.Tuple)
        and {"PostgresError", "OSError"}
        <= {
            name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")
            for name in node.type.elts
        }
    ]


def float_money(parsed: ast.Module) -> list[str]:
    """Names of money that are annotated, defaulted or computed as floats."""
    found = []

    def is_float(node: ast.expr | None) -> bool:
        if node is None:
            return False
        return any(
            (isinstance(part, ast.Name) and part.id == "float")
            or (isinstance(part, ast.Constant) and isinstance(part.value, float))
            for part in ast.walk(node)
        )

    def check(name: str, line: int, *nodes: ast.expr | None) -> None:
        if MONEY_NAME.search(name.lower()) and not NOT_MONEY.search(name.lower()):
            found.extend(f"{name} (line {line})" for node in nodes if is_float(node))

    for node in ast.walk(parsed):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name)):
                check(name, node.lineno, node.annotation, node.value)
            case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)]):
                if isinstance(node.value, ast.Constant) or (
                    isinstance(node.value, ast.Call)
                    and getattr(node.value.func, "id", "") == "float"
                ):
                    check(name, node.lineno, node.value)
            case ast.arg():
                check(node.arg, node.lineno, node.annotation)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                check(node.name, node.lineno, node.returns)
    return found


def test_no_file_is_longer_than_it_can_be_read():
    too_long = [
        f"{relative(path)}: {count} lines"
        for path in files(".py", ".js", ".css", ".html")
        if not is_migration(path)
        and (count := len(path.read_text(encoding="utf-8").splitlines())) > MAX_FILE_LINES
    ]
    report(f"A file past {MAX_FILE_LINES} lines is two things: split it by meaning.", too_long)


def test_no_function_is_longer_than_it_can_be_read():
    found = [
        f"{relative(path)}: {line}"
        for path in files(".py")
        if not is_migration(path)
        for line in long_functions(tree(path))
    ]
    report(f"A function past {MAX_FUNCTION_LINES} lines is two things: split it by meaning.", found)


def broad_excepts(parsed: ast.Module, lines: list[str]) -> list[int]:
    """Handlers of everything that neither raise it on nor say why, in a comment beside or right below."""

    def is_broad(node: ast.ExceptHandler) -> bool:
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        return any(
            one is None or getattr(one, "id", "") in ("Exception", "BaseException")
            for one in caught
        )

    return [
        node.lineno
        for node in ast.walk(parsed)
        if isinstance(node, ast.ExceptHandler) and is_broad(node)
        if not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
        if "#"
        not in "".join(lines[node.lineno - 1 : node.body[0].lineno - 1] or [lines[node.lineno - 1]])
    ]


def test_whoever_catches_everything_says_why():
    found = [
        f"{relative(path)}:{line}"
        for path in files(".py")
        for line in broad_excepts(tree(path), path.read_text(encoding="utf-8").splitlines())
    ]
    report("Catch what is expected, or say in a comment why everything is.", found)


def test_the_check_of_broad_excepts_catches():
    code = "try:\n    x()\nexcept Exception:\n    {}y()\n{}"
    for comment, end, caught in (("", "", [3]), ("# why\n    ", "", []), ("", "    raise\n", [])):
        source = code.format(comment, end)
        assert broad_excepts(ast.parse(source), source.splitlines()) == caught


def test_the_time_comes_from_a_clock_that_tests_can_move():
    found = [
        f"{relative(path)}:{line}"
        for path in files(".py")
        if relative(path) not in CLOCK_ALLOWED
        for line in clock_reads(tree(path))
    ]
    report(
        "Take `now` as a value, or a shared.clock.Clock (durations: time.monotonic). "
        "If it is truly about this machine, add the file with its reason to CLOCK_ALLOWED.",
        found,
    )


#: Who may let a page of another origin read an answer, and which: see shared/origins.py.
CROSS_ORIGIN = {
    "shared/origins.py",
    "services/billing/readers/api.py",  # the session, for the agency's websites; public keys
    "services/billing/bundles/front.py",  # an article of a bundle, from the agency's websites
    "services/paywall/decisions/api.py",  # decisions, for the agency's websites
    "services/paywall/app.py",  # public keys
    "shared/web/assets.py",  # paywall.js, ads.js and their style sheets
    "services/ads/delivery/hot.py",  # ads, for the agency's websites
}


def test_only_routes_made_for_websites_can_be_read_across_origins():
    words = re.compile(r"access-control-|CORSMiddleware|cors_headers", re.IGNORECASE)
    found = {
        relative(path) for path in files(".py") if words.search(path.read_text(encoding="utf-8"))
    } - {name for name in map(relative, files(".py")) if name.startswith("infra/")}
    report(
        "A credentialed answer that a website's script can read is the reader's or the staff's whole account: "
        "use shared.origins.cors_headers in one route, for one agency, and name the file in CROSS_ORIGIN.",
        sorted(found ^ CROSS_ORIGIN),
    )


def test_money_is_never_a_float():
    found = [
        f"{relative(path)}: {line}" for path in files(".py") for line in float_money(tree(path))
    ]
    report("Money is whole đồng: int or shared.money.Money, never a float.", found)


def test_a_database_that_is_away_is_known_by_all_of_its_failures():
    found = [
        f"{relative(path)}: {line}" for path in files(".py") for line in partly_away(tree(path))
    ]
    report("What a raw connection raises is shared.database.RAW_FAILURES.", found)


@pytest.mark.parametrize(
    ("checker", "code", "caught"),
    [
        (partly_away, "try: f()\nexcept (asyncpg.PostgresError, OSError): g()", True),
        (partly_away, "try: f()\nexcept (Late, PostgresError, OSError) as e: g()", True),
        (partly_away, "try: f()\nexcept (Late, *RAW_FAILURES): g()", False),
        (clock_reads, "datetime.now(UTC)", True),
        (clock_reads, "dt.datetime.utcnow()", True),
        (clock_reads, "date.today()", True),
        (clock_reads, "time.time()", True),
        (clock_reads, "from time import time", True),
        (clock_reads, "time.monotonic(); clock.now()", False),
        (float_money, "amount_vnd: float = 0", True),
        (float_money, "price: int | float", True),
        (float_money, "def fee(x): ...\ndef net_amount() -> float: ...", True),
        (float_money, "def f(total_vnd: float): ...", True),
        (float_money, "balance = 0.0", True),
        (float_money, "self.amount = float(x)", True),
        (float_money, "amount_vnd: int = 0\nvat_rate: float = 0.08\nfrequency = 0.5", False),
        (long_functions, "def f():\n" + "    x = 1\n" * 60, True),
        (long_functions, "def f():\n" + "    x = 1\n" * 59, False),
        (long_functions, "def f():\n  def g():\n" + "    x = 1\n" * 59 + "  y = 1\n" * 9, False),
        (long_functions, "def f():\n  def g():\n" + "    x = 1\n" * 60, True),
    ],
)
def test_the_checks_catch(checker, code, caught):
    assert bool(checker(ast.parse(code))) is caught


#: Who opens connections to PostgreSQL and NATS: everybody else would need to know about TLS, timeouts and names too.
CONNECTS = {
    "shared/database/core.py": "asyncpg reads the whole URL here",
    "shared/bus/jetstream.py": "the bus",
    "infra/nats/streams.py": "the set-up's command",
}
CONNECTING = {
    ("asyncpg", "connect"), ("asyncpg", "create_pool"), ("psycopg", "connect"), ("nats", "connect"),
    ("", "create_async_engine"), ("", "create_engine"), ("", "Client"),
}  # fmt: skip


def connections(parsed: ast.Module) -> list[int]:
    """Lines that open a connection to PostgreSQL or NATS."""
    nats = any(
        isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nats")
        for node in ast.walk(parsed)
    )
    found = []
    for node in ast.walk(parsed):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Attribute(value=ast.Name(id=owner), attr=name):
                called = (owner, name)
            case ast.Name(id=name):
                called = ("", name)
            case _:
                continue
        if called in CONNECTING and (name != "Client" or nats):
            found.append(node.lineno)
    return found


#: What a fork would have in common with its siblings (docs/decisions/0011).
AT_IMPORT = re.compile(
    r"\b(environ|getenv|random|Random|secrets|uuid\d|urandom|new_id|Thread|now)\b"
)


def drawn_at_import(parsed: ast.Module) -> list[int]:
    """Lines that, when the module is imported, draw a random number, read the environment or the time, or start a thread."""
    lines: list[int] = []
    todo: list[ast.AST] = [
        node
        for node in parsed.body
        if not (isinstance(node, ast.If) and "__main__" in ast.unparse(node.test))
    ]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            todo.extend([*node.decorator_list, *node.args.defaults])
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Call) and AT_IMPORT.search(ast.unparse(node.func)):
            lines.append(node.lineno)
        if isinstance(node, ast.Subscript) and AT_IMPORT.search(ast.unparse(node.value)):
            lines.append(node.lineno)
        todo.extend(ast.iter_child_nodes(node))
    return lines


def test_forks_of_one_import_have_no_draw_in_common():
    report(
        "Do it when it is asked for: processes are forks of one import.",
        [
            f"{relative(path)}:{line}"
            for path in files(".py", folders=("services", "shared"))
            for line in drawn_at_import(tree(path))
        ],
    )


def test_the_check_of_draws_catches():
    drawn = "DRAW = random.Random()\nHOME = os.environ['HOME']\ndef f(a=uuid4()):\n  return random.random()\n"
    assert sorted(drawn_at_import(ast.parse(drawn))) == [1, 2, 3]


def defined(parsed: ast.Module) -> list[str]:
    """Functions without a decorator, and constants, at a module's top."""
    names = []
    for node in parsed.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.decorator_list:
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in names if not name.startswith("__")]


def test_nothing_is_defined_that_nobody_names():
    texts = {
        path: path.read_text(encoding="utf-8")
        for path in files(".py", ".html", ".sh", folders=(*PRODUCT, "tests", "benchmarks"))
    }
    named = Counter(word for text in texts.values() for word in re.findall(r"[^\W\d]\w*", text))
    report(
        "Take it out, or use it.",
        [
            f"{relative(path)}: {name}"
            for path in files(".py")
            if not is_migration(path)
            for name in defined(tree(path))
            if named[name] == 1
        ],
    )


def test_connections_are_opened_in_one_place_each():
    found = {relative(path): lines for path in files(".py") if (lines := connections(tree(path)))}
    others = [f"{path}:{lines}" for path, lines in found.items() if path not in CONNECTS]
    report(
        "Use shared.database.Database or shared.bus.connect: they know TLS and timeouts.", others
    )
    assert set(found) == set(CONNECTS)
