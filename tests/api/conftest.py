"""The admin API on a real socket, in the test's own loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fake_daemon import FakeDaemon


class Asker:
    """Sends requests over the socket, as root in the name of a person (or as whoever runs the tests)."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        person: str | None = "li.wei",
        raw: bytes | None = None,
    ) -> tuple[int, dict[str, Any]]:
        headers = {"BCM-Person": person} if person else {}
        arguments: dict[str, Any] = (
            {"data": raw} if raw is not None else {"json": body} if body is not None else {}
        )
        async with self._session.request(method, f"http://x{path}", headers=headers, **arguments) as answer:
            assert answer.content_type == "application/json", await answer.text()
            found = await answer.json()
            assert found["apiVersion"] == "bcm-failover/v1"
            return answer.status, found


@pytest.fixture
def fake(tmp_path: Path, as_person: None) -> FakeDaemon:
    return FakeDaemon(tmp_path / "admin.sock")


@pytest.fixture
def as_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the tests do not run as root, their account is li.wei's."""
    import os

    if os.getuid() != 0:
        monkeypatch.setattr("controller.api.people.account_name", lambda _uid: "liwei")


@pytest.fixture
async def ask(fake: FakeDaemon) -> AsyncIterator[Callable[..., Any]]:
    server = fake.server()
    await server.start()
    fake.journal.listen = server.feed.wrote
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(fake.socket))) as session:
        yield Asker(session)
    await server.stop()
