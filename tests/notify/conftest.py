"""A real HTTP server to page to, a real journal, and a clock that makes minutes of retrying short."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from config.schema import Pager as PagerSettings
from controller.notify.pager import Pager
from controller.store.sqlite import SqliteStore
from model.events import Event

SPEED = 200.0


class FastClock:
    """The port `Clock`, `SPEED` times as fast as the host's."""

    def __init__(self) -> None:
        self._monotonic_s = time.monotonic()
        self._wall_s = time.time()

    def _passed_s(self) -> float:
        return (time.monotonic() - self._monotonic_s) * SPEED

    def monotonic_s(self) -> float:
        return self._monotonic_s + self._passed_s()

    def wall_s(self) -> float:
        return self._wall_s + self._passed_s()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)


async def until(condition: Callable[[], Any], *, seconds: float = 20.0) -> Any:
    """What the condition gives, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "did not come true in time"
        await asyncio.sleep(0.005)
    return value


@dataclass
class Receiver:
    """An HTTP server that answers with `statuses` one after the other, then with 200."""

    statuses: list[int] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answer: bytes = b""
    hang: threading.Event = field(default_factory=threading.Event)
    hanging: bool = False
    url: str = ""

    @property
    def accepted(self) -> list[Any]:
        return [body for status, body in self.bodies if status == 200]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if state.hanging:
                state.hang.wait(30)
            status = state.statuses.pop(0) if state.statuses else 200
            state.headers.append(dict(self.headers))
            self.send_response(status)
            self.send_header("Content-Length", str(len(state.answer)))
            self.end_headers()
            self.wfile.write(state.answer)
            state.bodies.append((status, body))

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    state.hang.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "state", owner="ops1", clock=FastClock())
    yield store
    store.close()


MakePager = Callable[..., Pager]


@pytest.fixture
async def make_pager(journal: SqliteStore) -> AsyncIterator[MakePager]:
    """`make_pager(alertmanager={...}, exec={...}, give_up=…)`: started, and closed after the test."""
    pagers: list[Pager] = []

    def make(store: Any = None, clock: Any = None, audience: Any = lambda _: None, **settings: Any) -> Pager:
        pager = Pager(PagerSettings(**settings), store or journal, clock or FastClock(), audience)
        pager.start()
        pagers.append(pager)
        return pager

    yield make
    for pager in pagers:
        await pager.aclose()


def of_type(store: SqliteStore, type_: str) -> list[Event]:
    return list(store.events(types=[type_]))
