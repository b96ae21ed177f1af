"""A process that owns a journal, for tests that kill, freeze or race it (python -m tests.journal_child).

loop DIR      append for ever; prints the seq of each record whose append has returned
serve DIR     for each line on stdin one append (or `take_over`, `held`); prints what came of it
in-write DIR  opens, begins a write transaction by hand and waits: an owner frozen in the midst of a write
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.store.sqlite import SqliteStore
from model.errors import BcmError
from tests.virtual_clock import RealClock

ROOT = Path(__file__).parent.parent


def say(text: object) -> None:
    print(text, flush=True)


async def loop(directory: Path) -> None:
    store = SqliteStore.open(directory, owner="child", clock=RealClock())

    async def one(anchor: bool) -> None:
        event = await store.append("step.intent", {"text": "x" * 300}, anchor=anchor)
        say(event.seq)

    say("open")
    while True:
        await asyncio.gather(one(True), one(False), one(False))


async def serve(directory: Path) -> None:
    store = SqliteStore.open(directory, owner="child", clock=RealClock())
    say(f"{store.state} {store.epoch}")
    for line in sys.stdin:
        command = line.strip()
        try:
            if command == "held":
                say(store.held())
            elif command == "close":
                store.close()
                say("closed")
            else:
                say((await store.append(command, {}, anchor=True)).seq)
        except BcmError as error:
            say(f"{type(error).__name__}: {error.what}")


async def in_write(directory: Path) -> None:
    store = SqliteStore.open(directory, owner="child", clock=RealClock())
    assert store._session is not None
    assert store._session._connection is not None
    store._session._connection.execute("BEGIN IMMEDIATE")
    say("writing")
    await asyncio.sleep(3600)


class Child:
    """The process, seen from the test."""

    def __init__(self, mode: str, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.journal_child", mode, str(directory)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def lines(self) -> list[str]:
        """All that is left, after its death."""
        assert self.process.stdout is not None
        return self.process.stdout.read().split("\n")

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def ask(self, command: str) -> str:
        self.tell(command)
        return self.line()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def journal_child(mode: str, directory: Path) -> Iterator[Child]:
    child = Child(mode, directory)
    try:
        yield child
    finally:
        child.kill()
        for pipe in (child.process.stdin, child.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


if __name__ == "__main__":
    modes = {"loop": loop, "serve": serve, "in-write": in_write}
    asyncio.run(modes[sys.argv[1]](Path(sys.argv[2])))
