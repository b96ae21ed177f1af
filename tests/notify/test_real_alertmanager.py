"""Through a real Alertmanager to its receiver: what people get in the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.store.sqlite import SqliteStore
from tests.alertmanager_server import get, running_alertmanager
from tests.notify.conftest import MakePager, Receiver, until
from tests.virtual_clock import RealClock


@pytest.fixture
def alertmanager(tmp_path: Path, receiver: Receiver) -> Iterator[str]:
    """Its URL; it notifies `receiver` at once."""
    with running_alertmanager(tmp_path, receiver.url) as url:
        yield url


async def test_a_page_reaches_people_and_its_end_too(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver, alertmanager: str
) -> None:
    pager = make_pager(clock=RealClock(), alertmanager={"url": alertmanager, "labels": {"team": "dba"}})
    page = pager.page("page", "orders: 主库宕机, held", "gate rpo", service="orders", incident="INC-7")
    told = (await until(lambda: receiver.accepted, seconds=30))[0]
    assert told["status"] == "firing"
    (alert,) = told["alerts"]
    assert alert["labels"] == {
        "alertname": "BcmFailoverPage",
        "severity": "page",
        "service": "orders",
        "incident": "INC-7",
        "page": page,
        "team": "dba",
    }
    assert alert["annotations"] == {"summary": "orders: 主库宕机, held", "description": "gate rpo"}
    second = pager.page("page", "orders: failover failed", service="orders", incident="INC-7")
    await until(
        lambda: any(a["labels"]["page"] == second for body in receiver.accepted for a in body["alerts"]),
        seconds=30,
    )
    assert len(get(f"{alertmanager}/api/v2/alerts")) == 2
    pager.resolve("INC-7")
    ended = await until(
        lambda: [body for body in receiver.accepted if body["status"] == "resolved"], seconds=30
    )
    assert {a["labels"]["page"] for a in ended[-1]["alerts"]} == {page, second}
    assert get(f"{alertmanager}/api/v2/alerts") == []
