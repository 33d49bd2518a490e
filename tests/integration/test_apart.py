"""Programs that look at a stranger's bytes: what they may not do, and that they leave nothing behind."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from shared.apart import Apart, TooMuchWorkError
from shared.errors import UnavailableError
from tests.fixtures.waiting import eventually

READ = "import os, sys; given = sys.stdin.buffer.read(); "


def apart(program: str, **limits):
    return Apart("-I", "-c", READ + program, **limits)


def children():
    return [child for child in psutil.Process().children() if READ in " ".join(child.cmdline())]


async def test_a_program_answers_with_what_it_wrote_and_knows_no_setting_of_ours(monkeypatch):
    monkeypatch.setenv("SECRET_OF_OURS", "nobody reads this")
    program = "print(len(given), sys.argv[1:], [k for k in os.environ if k != 'LC_CTYPE'])"
    assert (
        await apart(program).run(b"x" * 70_000, ["a", "b"], agency="a") == b"70000 ['a', 'b'] []\n"
    )


@pytest.mark.parametrize(
    "program",
    [
        "bytearray(600 * 1024 * 1024)",
        "open(sys.argv[1], 'wb').close(); os.truncate(sys.argv[1], 1)",
        "sys.exit(3)",
        "os.kill(os.getpid(), 9)",
    ],
    ids=["memory", "file", "exit", "killed"],
)
async def test_a_program_that_takes_too_much_is_ended(program, tmp_path):
    with pytest.raises(TooMuchWorkError):
        await apart(program).run(b"x", [str(tmp_path / "left-behind")], agency="a")


async def test_a_program_that_does_not_end_is_ended_and_leaves_no_process():
    with pytest.raises(TooMuchWorkError):
        await apart("\nwhile True: pass", seconds=0.3).run(b"x", agency="a")
    assert children() == []


async def test_whoever_goes_away_takes_the_program_along():
    task = asyncio.create_task(apart("\nwhile True: pass").run(b"x", agency="a"))
    await eventually(children, "the program runs")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == []


async def test_a_few_at_once_a_few_wait_and_the_others_are_told_to_come_again():
    one = apart("print(1)", at_once=1, waiting=2)
    answers = await asyncio.gather(
        *(one.run(b"", agency=f"{n}") for n in range(5)), return_exceptions=True
    )
    assert [answer for answer in answers if answer == b"1\n"] == [b"1\n"] * 3
    assert sum(isinstance(answer, UnavailableError) for answer in answers) == 2


async def test_an_agency_that_floods_keeps_no_other_out():
    one = apart("\nif given == b'a':\n    while True: pass\nprint(1)")
    flood = [asyncio.create_task(one.run(b"a", agency="a")) for _ in range(11)]
    await eventually(children, "the first works")
    assert await one.run(b"b", agency="b") == b"1\n"
    assert len(children()) == 1, "one of the agency works, the others of it wait"
    refused = [task for task in flood if task.done()]
    assert len(refused) == 8
    assert all(isinstance(task.exception(), UnavailableError) for task in refused)
    for task in flood:
        task.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    assert await one.run(b"b", agency="a") == b"1\n", "its turns come back"
    assert one._each == {}
