"""Journals in fresh state directories."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from controller.store.sqlite import SqliteStore
from tests.virtual_clock import RealClock

OpenStore = Callable[..., SqliteStore]


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def open_store(state_dir: Path) -> Iterator[OpenStore]:
    """`open_store(**options)` opens the journal in `state_dir`; it is closed after the test."""
    stores: list[SqliteStore] = []

    def opened(**options: object) -> SqliteStore:
        settings: dict[str, object] = {"owner": "ops1", "clock": RealClock(), **options}
        stores.append(SqliteStore.open(state_dir, **settings))  # type: ignore[arg-type]
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
async def written(state_dir: Path, open_store: OpenStore) -> Path:
    """The state directory of a journal with 10 records (seq 2 and 6 anchored), cleanly closed."""
    store = open_store()
    for number in range(2, 11):
        await store.append("step.result", {"n": number}, service="orders", anchor=number in (2, 6))
    store.close()
    return state_dir


@pytest.fixture
def tamper(state_dir: Path) -> Callable[..., None]:
    """`tamper(sql, …)` edits the database as somebody with the sqlite3 shell would."""

    def run(*statements: str) -> None:
        with closing(sqlite3.connect(state_dir / "journal.db")) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    return run
