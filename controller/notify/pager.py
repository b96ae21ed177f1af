"""The pager: takes a page at once, delivers it behind, and keeps on until it is taken or given up.

The journal says what was queued, delivered and given up; if it can't be written the page goes out all the
same. What was not delivered when the daemon ended is taken up from the journal by the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from config.schema import Pager as PagerSettings
from controller.notify.alertmanager import Alertmanager
from controller.notify.backlog import TYPES, Waiting, read_backlog
from controller.notify.exec_hook import ExecHook
from controller.notify.open_alerts import OpenAlerts
from controller.notify.page import SEVERITIES, Audience, Channel, DeliveryError, Page
from controller.notify.scrub import scrub, short
from controller.phases import parse_wall_ns
from controller.store.hostclock import boot_id, wall_utc
from model import events as ev
from model.errors import LeadershipLostError
from model.events import Event
from model.ports import Clock, Journal

log = structlog.get_logger(__name__)

SUMMARY_CHARS: Final = 300
DETAIL_CHARS: Final = 4000
# The same words about the same thing within this time are one page: a fault in a loop must not flood people.
REPEAT_S: Final = 300.0
MAX_WAITING: Final = 1000
AT_ONCE: Final = 4  # attempts under way per channel
RETRY_MAX_S: Final = 60.0
CLOSE_GRACE_S: Final = 3.0  # for pages that have not had their first attempt when the daemon stops


class Pager:
    """Use it from one event loop: `start`, `page` and `resolve` as often as needed, `aclose`. audience: of an
    incident, as it is now."""

    def __init__(
        self,
        settings: PagerSettings,
        journal: Journal,
        clock: Clock,
        audience: Callable[[str], Audience | None] = lambda _incident: None,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._audience = audience
        self._channels: dict[str, Channel] = {}
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._open_alerts = OpenAlerts(journal, clock)
        self._waiting: set[tuple[str, str]] = set()
        self._fresh: set[tuple[str, str]] = set()  # without a first attempt yet
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._recent: dict[tuple[str, ...], tuple[float, str]] = {}
        self._records: asyncio.Queue[tuple[str, Mapping[str, Any], Page | None]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.configure(settings)

    def configure(self, settings: PagerSettings) -> None:
        """Other channels from now on, also for what waits."""
        self._give_up_s = settings.give_up
        self._channels = {}
        alertmanager = None
        if settings.alertmanager is not None:
            alertmanager = Alertmanager(settings.alertmanager, self._clock)
            self._channels[alertmanager.name] = alertmanager
        if settings.exec is not None:
            hook = ExecHook(settings.exec)
            self._channels[hook.name] = hook
        self._gates = {name: asyncio.Semaphore(AT_ONCE) for name in self._channels}
        self._open_alerts.use(alertmanager)

    def start(self) -> None:
        """Begin the work behind, and take up what an earlier daemon left. Needs a running loop."""
        self._spawn(self._write_records(), "pager-journal")
        self._spawn(self._open_alerts.run(), "pager-resend")
        backlog = read_backlog(self._journal.events(types=TYPES), tuple(self._channels))
        self._open_alerts.restore(backlog.open)
        if backlog.waiting:
            self._spawn(self._take_up(backlog.waiting), "pager-take-up")

    @property
    def undelivered(self) -> int:
        """Pages that at least one channel has not taken yet."""
        return len({page for page, _channel in self._waiting})

    def page(
        self,
        severity: str,
        summary: str,
        detail: str = "",
        service: str | None = None,
        incident: str | None = None,
    ) -> str:
        """Tell people; returns the page's id at once. severity: page, warning or info.

        Secrets are masked, texts cut. The same page again within 5 min is the same page.
        """
        if severity not in SEVERITIES:
            severity = SEVERITIES[0]  # rather too loud than lost
        summary, detail = short(summary, SUMMARY_CHARS), scrub(detail)[:DETAIL_CHARS]
        now_s = self._clock.monotonic_s()
        key = (severity, summary, service or "", incident or "")
        self._recent = {k: v for k, v in self._recent.items() if now_s - v[0] < REPEAT_S}
        if key in self._recent:
            return self._recent[key][1]
        audience = self._audience(incident) if incident else None
        page = Page(
            f"PAGE-{uuid4().hex[:10]}",
            severity,
            summary,
            detail,
            service,
            incident,
            wall_utc(self._clock.wall_s()),
            level=audience.level if audience is not None else "",
            people=audience.people if audience is not None else (),
        )
        self._recent[key] = (now_s, page.id)
        log.warning("page", page=page.id, severity=severity, summary=summary, service=service)
        self._record(
            ev.PAGE_QUEUED,
            {
                "page": page.id,
                "severity": severity,
                "summary": summary,
                "detail": detail,
                **({"level": page.level, "people": list(page.people)} if page.level else {}),
            },
            page,
        )
        if not self._channels:
            log.error("nobody is told: the estate names no pager", page=page.id)
        for channel in self._channels:
            self._deliver_behind(page, channel, now_s + self._give_up_s)
        return page.id

    def resolve(self, incident: str) -> None:
        """The incident is over: its alerts end. Also done when the journal says that it was closed."""
        self._open_alerts.resolve(incident)

    async def aclose(self) -> None:
        """Pages that were never tried get a few seconds; the rest waits in the journal for the next start."""
        self._closed = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._settle(), CLOSE_GRACE_S)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self) -> None:
        await self._quiet.wait()
        await self._records.join()
        await self._open_alerts.settle()

    # --- delivering

    def _deliver_behind(self, page: Page, channel: str, deadline_s: float) -> None:
        key = (page.id, channel)
        if self._closed or key in self._waiting:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._record(ev.PAGE_FAILED, _about(page, channel, error="too many pages wait already"), page)
            return
        self._waiting.add(key)
        self._fresh.add(key)
        self._quiet.clear()
        self._spawn(self._deliver(page, channel, deadline_s), f"pager-{page.id}-{channel}")

    async def _deliver(self, page: Page, channel: str, deadline_s: float) -> None:
        def given_up(state: RetryCallState) -> bool:
            return self._clock.monotonic_s() + state.upcoming_sleep >= deadline_s

        retrying = AsyncRetrying(
            sleep=self._clock.sleep,
            stop=given_up,
            wait=wait_exponential_jitter(initial=1, max=RETRY_MAX_S, jitter=1),
            retry=retry_if_exception_type(DeliveryError),
            reraise=True,
        )
        try:
            await retrying(self._attempt, page, channel)
        except DeliveryError as error:
            log.error("page given up", page=page.id, channel=channel, error=str(error))  # noqa: TRY400
            self._record(ev.PAGE_FAILED, _about(page, channel, error=str(error)), page)
        except Exception as error:
            log.exception("page given up", page=page.id, channel=channel)
            self._record(ev.PAGE_FAILED, _about(page, channel, error=type(error).__name__), page)
        else:
            self._record(ev.PAGE_DELIVERED, _about(page, channel), page)
            if isinstance(self._channels.get(channel), Alertmanager):
                self._open_alerts.delivered(page)
        finally:
            self._waiting.discard((page.id, channel))
            self._tried((page.id, channel))

    async def _attempt(self, page: Page, channel: str) -> None:
        target = self._channels.get(channel)
        if target is None:
            raise DeliveryError("this channel is not configured any more")
        try:
            async with self._gates[channel]:
                await target.deliver(page)
        except DeliveryError as error:
            log.warning("page not taken", page=page.id, channel=channel, error=str(error))
            raise
        finally:
            self._tried((page.id, channel))

    def _tried(self, key: tuple[str, str]) -> None:
        self._fresh.discard(key)
        if not self._fresh:
            self._quiet.set()

    async def _take_up(self, waiting: tuple[Waiting, ...]) -> None:
        """Only by the journal's owner: an observer would tell everything a second time."""
        remaining = [(w, self._remaining_s(w.queued)) for w in waiting]
        due = [(w, s) for w, s in remaining if s > 0]
        if len(due) < len(waiting):
            log.error("pages too old to be delivered", count=len(waiting) - len(due))
        if not due:
            return
        try:
            await self._journal.append(ev.PAGES_RESUMED, {"pages": [w.page.id for w, _ in due]})
        except LeadershipLostError:
            return
        except Exception as error:  # noqa: BLE001 - the page goes out with or without its record
            log.warning("journal", error=str(error))
        now_s = self._clock.monotonic_s()
        for item, left_s in due:
            for channel in item.channels:
                self._deliver_behind(item.page, channel, now_s + left_s)

    def _remaining_s(self, queued: Event) -> float:
        """Until the page is given up. By wall time only across a reboot, where nothing else is left."""
        if queued.boot_id == boot_id():
            age_s = self._clock.monotonic_s() - queued.mono_ns / 1e9
        else:
            queued_ns = parse_wall_ns(queued.wall_utc)
            age_s = 0.0 if queued_ns is None else self._clock.wall_s() - queued_ns / 1e9
        return self._give_up_s - max(age_s, 0.0)

    # --- journaling

    def _record(self, type_: str, data: Mapping[str, Any], page: Page) -> None:
        self._records.put_nowait((type_, data, page))

    async def _write_records(self) -> None:
        """In order, behind: a disk that hangs or is full holds up no page."""
        while True:
            type_, data, page = await self._records.get()
            try:
                await self._journal.append(
                    type_,
                    data,
                    service=page.service if page else None,
                    incident=page.incident if page else None,
                )
            except Exception as error:  # noqa: BLE001 - see above
                log.warning("page not journaled", type=type_, page=data.get("page"), error=str(error))
            finally:
                self._records.task_done()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("pager task failed", task=task.get_name(), error=repr(task.exception()))


def _about(page: Page, channel: str, **more: str) -> dict[str, str]:
    return {"page": page.id, "channel": channel, **more}
