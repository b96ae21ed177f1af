"""Alerts of open incidents live as long as the incident."""

from __future__ import annotations

from typing import Any

from controller.store.sqlite import SqliteStore
from model import events as ev
from tests.notify.conftest import MakePager, Receiver, of_type, until


def sent(receiver: Receiver, page: str) -> list[dict[str, Any]]:
    return [a for body in receiver.accepted for a in body if a["labels"]["page"] == page]


async def test_an_alert_is_sent_again_before_it_ends(make_pager: MakePager, receiver: Receiver) -> None:
    pager = make_pager(alertmanager={"url": receiver.url})
    page = pager.page("page", "orders: held", incident="INC-7")
    await until(lambda: len(sent(receiver, page)) >= 3)
    ends = [a["endsAt"] for a in sent(receiver, page)]
    starts = {a["startsAt"] for a in sent(receiver, page)}
    assert ends == sorted(ends)
    assert len(set(ends)) == len(ends)
    assert len(starts) == 1


async def test_a_page_without_an_incident_is_sent_once(make_pager: MakePager, receiver: Receiver) -> None:
    pager = make_pager(alertmanager={"url": receiver.url})
    alone = pager.page("warning", "disk fills")
    other = pager.page("page", "orders: held", incident="INC-7")
    await until(lambda: len(sent(receiver, other)) >= 4)
    assert len(sent(receiver, alone)) == 1


async def test_resolving_an_incident_ends_its_alerts_and_no_others(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver
) -> None:
    pager = make_pager(alertmanager={"url": receiver.url})
    mine = pager.page("page", "orders: held", incident="INC-7")
    other = pager.page("page", "billing: held", incident="INC-9")
    await until(lambda: len(of_type(journal, ev.PAGE_DELIVERED)) == 2)
    receiver.statuses = [500, 500]
    before = len(sent(receiver, mine))
    pager.resolve("INC-7")
    last = (await until(lambda: sent(receiver, mine)[before:]))[-1]
    await until(lambda: len(sent(receiver, other)) >= 4)
    assert sent(receiver, mine)[-1] == last, "once ended it is not sent again"
    assert last["endsAt"] < sent(receiver, other)[-1]["endsAt"]


async def test_an_incident_that_the_journal_closes_is_resolved(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver
) -> None:
    pager = make_pager(alertmanager={"url": receiver.url})
    page = pager.page("page", "orders: held", incident="INC-7")
    await until(lambda: len(sent(receiver, page)) >= 2)
    await journal.append(ev.INCIDENT_CLOSED, {"reason": "recovered"}, incident="INC-7")
    await until(lambda: not pager._open_alerts._open and not pager._open_alerts._ending)
    ends = [a["endsAt"] for a in sent(receiver, page)]
    assert ends[-1] < ends[-2], "its end is now, no longer in four minutes"


async def test_after_a_restart_alerts_of_open_incidents_go_on(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver
) -> None:
    first = make_pager(alertmanager={"url": receiver.url})
    still_open = first.page("page", "orders: held", incident="INC-7")
    over = first.page("page", "billing: held", incident="INC-9")
    await until(lambda: len(of_type(journal, ev.PAGE_DELIVERED)) == 2)
    await first.aclose()
    await journal.append(ev.INCIDENT_CLOSED, {"reason": "recovered"}, incident="INC-9")
    receiver.bodies.clear()
    make_pager(alertmanager={"url": receiver.url})
    await until(lambda: len(sent(receiver, still_open)) >= 2)
    assert sent(receiver, over) == []
