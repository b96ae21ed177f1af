"""The pager: at once for the caller, stubborn behind, and never dependent on the journal."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from config.schema import Pager as PagerSettings
from controller.notify.backlog import page_of
from controller.notify.page import Audience
from controller.store.sqlite import SqliteStore
from model import events as ev
from model.errors import JournalFullError
from tests.notify.conftest import FastClock, MakePager, Receiver, of_type, until


async def test_a_page_is_queued_delivered_and_both_are_journaled(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver
) -> None:
    pager = make_pager(alertmanager={"url": receiver.url, "labels": {"team": "dba"}})
    page = pager.page("page", "orders: held", "gate rpo", service="orders", incident="INC-7")
    assert receiver.bodies == [], "the caller does not wait"
    assert pager.undelivered == 1
    (delivered,) = await until(lambda: of_type(journal, ev.PAGE_DELIVERED))
    (queued,) = of_type(journal, ev.PAGE_QUEUED)
    assert queued.data == {"page": page, "severity": "page", "summary": "orders: held", "detail": "gate rpo"}
    assert (queued.service, queued.incident) == ("orders", "INC-7")
    assert delivered.data == {"page": page, "channel": "alertmanager"}
    assert delivered.incident == "INC-7"
    assert pager.undelivered == 0
    (alert,) = receiver.accepted[0]
    assert alert["labels"] == {
        "alertname": "BcmFailoverPage",
        "severity": "page",
        "service": "orders",
        "incident": "INC-7",
        "page": page,
        "team": "dba",
    }
    assert alert["annotations"] == {"summary": "orders: held", "description": "gate rpo"}
    assert alert["startsAt"] < alert["endsAt"]
    assert receiver.headers[0]["Content-Type"] == "application/json"


async def test_a_page_of_an_incident_says_its_level_and_whom_it_is_for(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver
) -> None:
    """So that Alertmanager can route by it; also where a later daemon delivers what waits in the journal."""
    levels = {"INC-7": Audience("II", ("zhao", "li"))}
    pager = make_pager(alertmanager={"url": receiver.url}, audience=levels.get)
    pager.page("page", "level raised", incident="INC-7")
    pager.page("page", "another matter")
    await until(lambda: len(of_type(journal, ev.PAGE_DELIVERED)) == 2)
    alerts = {a["annotations"]["summary"]: a for body in receiver.accepted for a in body}
    assert alerts["level raised"]["labels"]["level"] == "II"
    assert alerts["level raised"]["annotations"]["people"] == "zhao, li"
    assert "level" not in alerts["another matter"]["labels"]
    queued = next(e for e in of_type(journal, ev.PAGE_QUEUED) if e.incident == "INC-7")
    assert (page_of(queued).level, page_of(queued).people) == ("II", ("zhao", "li"))


async def test_a_receiver_that_fails_is_tried_until_it_takes_the_page(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver
) -> None:
    receiver.statuses = [500, 503, 302, 404, 429]
    pager = make_pager(alertmanager={"url": receiver.url})
    pager.page("page", "orders: held")
    await until(lambda: of_type(journal, ev.PAGE_DELIVERED))
    assert [status for status, _ in receiver.bodies] == [500, 503, 302, 404, 429, 200]
    assert of_type(journal, ev.PAGE_FAILED) == []


async def test_a_receiver_that_is_not_there_is_given_up_in_the_end(
    make_pager: MakePager, journal: SqliteStore
) -> None:
    pager = make_pager(alertmanager={"url": "http://user:hunter2@127.0.0.1:9"}, give_up=120.0)
    page = pager.page("page", "orders: held", incident="INC-7")
    (failed,) = await until(lambda: of_type(journal, ev.PAGE_FAILED))
    assert failed.data["page"] == page
    assert failed.incident == "INC-7"
    assert "can't be reached" in failed.data["error"]
    assert "hunter2" not in json.dumps(failed.to_json())
    assert pager.undelivered == 0


async def test_one_channel_that_fails_does_not_hold_up_the_other(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver
) -> None:
    pager = make_pager(
        alertmanager={"url": receiver.url}, exec={"command": [sys.executable, "-c", "raise SystemExit(3)"]}
    )
    pager.page("warning", "standby lags")
    (delivered,) = await until(lambda: of_type(journal, ev.PAGE_DELIVERED))
    assert delivered.data["channel"] == "alertmanager"
    assert pager.undelivered == 1


async def test_many_pages_all_arrive(make_pager: MakePager, journal: SqliteStore, receiver: Receiver) -> None:
    pager = make_pager(alertmanager={"url": receiver.url})
    pages = [pager.page("info", f"number {n}") for n in range(60)]
    await until(lambda: len(of_type(journal, ev.PAGE_DELIVERED)) == 60)
    assert {a["labels"]["page"] for body in receiver.accepted for a in body} == set(pages)
    assert [e.data["page"] for e in of_type(journal, ev.PAGE_QUEUED)] == pages


async def test_the_same_page_in_a_loop_is_one_page(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver
) -> None:
    pager = make_pager(alertmanager={"url": receiver.url})
    ids = {pager.page("page", "internal error", service="orders") for _ in range(50)}
    other = pager.page("page", "internal error", service="billing")
    assert len(ids) == 1
    await until(lambda: len(of_type(journal, ev.PAGE_DELIVERED)) == 2)
    assert {e.data["page"] for e in of_type(journal, ev.PAGE_QUEUED)} == {*ids, other}
    clock = pager._clock
    later_s = clock.monotonic_s() + 301
    await until(lambda: clock.monotonic_s() > later_s)
    assert pager.page("page", "internal error", service="orders") not in ids


class FullJournal:
    """The disk is full: reads work, nothing can be written."""

    def __init__(self, store: SqliteStore) -> None:
        self.events = store.events

    async def append(self, *_args: Any, **_more: Any) -> Any:
        raise JournalFullError("full")


async def test_a_page_goes_out_though_the_journal_can_not_be_written(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver
) -> None:
    pager = make_pager(store=FullJournal(journal), alertmanager={"url": receiver.url})
    pager.page("page", "the journal's disk is full")
    await until(lambda: receiver.accepted)
    await until(lambda: pager.undelivered == 0)


async def test_a_controller_that_only_observes_still_pages(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver, tmp_path: Path
) -> None:
    observer = SqliteStore.open(tmp_path / "state", owner="second", clock=FastClock())
    assert not observer.held()
    pager = make_pager(store=observer, alertmanager={"url": receiver.url})
    pager.page("page", "orders: primary is down")
    await until(lambda: receiver.accepted)
    observer.close()


async def test_what_was_not_delivered_is_taken_up_after_a_restart(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver
) -> None:
    receiver.statuses = [500] * 3
    first = make_pager(alertmanager={"url": receiver.url}, exec={"command": ["/bin/true"]})
    page = first.page("page", "orders: held", "why", service="orders", incident="INC-7")
    await until(lambda: receiver.bodies and of_type(journal, ev.PAGE_DELIVERED))
    await first.aclose()
    assert receiver.accepted == []
    receiver.statuses = []
    make_pager(alertmanager={"url": receiver.url}, exec={"command": ["/bin/true"]})
    await until(lambda: len(of_type(journal, ev.PAGE_DELIVERED)) == 2)
    assert [e.data for e in of_type(journal, ev.PAGES_RESUMED)] == [{"pages": [page]}]
    assert [e.data["channel"] for e in of_type(journal, ev.PAGE_DELIVERED)] == ["exec", "alertmanager"]
    (alert,) = receiver.accepted[0]
    assert alert["labels"]["page"] == page
    assert alert["labels"]["service"] == "orders"
    assert alert["annotations"] == {"summary": "orders: held", "description": "why"}
    make_pager(alertmanager={"url": receiver.url}, exec={"command": ["/bin/true"]})
    assert len(of_type(journal, ev.PAGES_RESUMED)) == 1, "what was delivered is not told again"


async def test_an_observer_does_not_tell_again_what_the_owner_is_telling(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver, tmp_path: Path
) -> None:
    await journal.append(
        ev.PAGE_QUEUED, {"page": "PAGE-1", "severity": "page", "summary": "held", "detail": ""}
    )
    observer = SqliteStore.open(tmp_path / "state", owner="second", clock=FastClock())
    pager = make_pager(store=observer, alertmanager={"url": receiver.url})
    pager.page("info", "mine")
    await until(lambda: receiver.accepted)
    await pager.aclose()
    observer.close()
    assert [a["annotations"]["summary"] for (a,) in receiver.accepted] == ["mine"]


async def test_a_page_older_than_giving_up_is_not_taken_up(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver
) -> None:
    await journal.append(
        ev.PAGE_QUEUED, {"page": "PAGE-1", "severity": "page", "summary": "old", "detail": ""}
    )
    begun_s = journal._clock.monotonic_s()
    await until(lambda: journal._clock.monotonic_s() > begun_s + 100)
    pager = make_pager(clock=journal._clock, alertmanager={"url": receiver.url}, give_up=60.0)
    pager.page("info", "new")
    await until(lambda: of_type(journal, ev.PAGE_DELIVERED))
    assert [a["annotations"]["summary"] for (a,) in receiver.accepted] == ["new"]


async def test_a_stop_gives_a_page_its_first_attempt(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver
) -> None:
    pager = make_pager(alertmanager={"url": receiver.url})
    pager.page("info", "stopping")
    await pager.aclose()
    assert len(receiver.accepted) == 1
    assert len(of_type(journal, ev.PAGE_DELIVERED)) == 1


async def test_secrets_are_masked_in_what_people_are_told(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver
) -> None:
    pager = make_pager(alertmanager={"url": receiver.url})
    pager.page(
        "page",
        "can't connect: postgresql://bcm:hunter2@10.0.0.1/x",
        'host=10.0.0.1 password=hunter2 dbname=x; {"token": "hunter2"}; Authorization: Bearer hunter2; '
        "PGPASSWORD='hunter2 hunter2' -----BEGIN PRIVATE KEY-----\nhunter2",
    )
    await until(lambda: of_type(journal, ev.PAGE_DELIVERED))
    everything = json.dumps([receiver.bodies, [e.to_json() for e in journal.events()]])
    assert "hunter2" not in everything
    (queued,) = of_type(journal, ev.PAGE_QUEUED)
    assert queued.data["summary"] == "can't connect: postgresql://bcm:***@10.0.0.1/x"
    assert "host=10.0.0.1 password=*** dbname=x" in queued.data["detail"]


async def test_other_channels_after_a_reload_get_what_waits(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver
) -> None:
    pager = make_pager(alertmanager={"url": "http://127.0.0.1:9"})
    pager.page("page", "orders: held")
    pager.configure(PagerSettings(alertmanager={"url": receiver.url}))
    await until(lambda: receiver.accepted)


async def test_an_estate_without_a_pager_journals_the_page(
    make_pager: MakePager, journal: SqliteStore
) -> None:
    pager = make_pager()
    pager.page("strange", "orders: held")
    (queued,) = await until(lambda: of_type(journal, ev.PAGE_QUEUED))
    assert queued.data["severity"] == "page"
    assert pager.undelivered == 0


@pytest.mark.parametrize("where", ["open", "hang"])
async def test_a_receiver_that_never_answers_holds_nobody_up(
    make_pager: MakePager,
    journal: SqliteStore,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    monkeypatch.setattr("controller.notify.alertmanager.DEADLINE_S", 0.2)
    receiver.hanging = where == "hang"
    pager = make_pager(
        alertmanager={"url": receiver.url}, exec={"command": [sys.executable, "-c", ""]}, give_up=1.0
    )
    pager.page("page", "orders: held")
    if where == "hang":
        (failed,) = await until(lambda: of_type(journal, ev.PAGE_FAILED))
        assert "did not answer within" in failed.data["error"]
    await until(lambda: of_type(journal, ev.PAGE_DELIVERED))


async def test_the_environments_proxy_is_not_asked_to_carry_pages(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    pager = make_pager(alertmanager={"url": receiver.url})
    pager.page("page", "orders: held")
    await until(lambda: receiver.accepted)
