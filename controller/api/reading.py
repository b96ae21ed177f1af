"""What has happened, read from the journal: incidents, executions, events.

The journal is the truth, not the memory of a process: any daemon on it tells the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from controller.adapters.instant import host_now
from controller.api.answers import UnknownNameError, answer, answer_list
from controller.api.feed import JournalFeed
from controller.execution_clock import execution_now
from controller.execution_log import execution_log
from controller.executions import EXECUTION_TYPES, list_executions
from controller.incidents import list_incidents, show_incident
from controller.past import past_explanation
from controller.report import report_json, report_markdown
from controller.report.words import LANGUAGES
from model import events as ev
from model.errors import UsageError
from model.events import Event
from model.execution import ExecutionState

# A reader that asks for more looks again: no request holds a connection for ever.
_LONGEST_WAIT_S: Final = 30.0
_MOST_EVENTS: Final = 1000
# A new start or a new leader turns an open intent into an unknown one.
_TAKEOVERS: Final = (ev.DAEMON_STARTED, ev.EPOCH_TAKEN)


class Reading:
    """Handlers of `GET /v1/incidents…`, `/v1/executions…` and `/v1/events`."""

    def __init__(self, feed: JournalFeed) -> None:
        self._feed = feed

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/incidents", self.incidents),
            web.get("/v1/incidents/{incident}", self.incident),
            web.get("/v1/incidents/{incident}/report", self.report),
            web.get("/v1/past/{service}", self.past),
            web.get("/v1/executions", self.executions),
            web.get("/v1/executions/{execution}", self.execution),
            web.get("/v1/executions/{execution}/log", self.execution_log),
            web.get("/v1/events", self.events),
        ]

    async def incidents(self, _request: web.Request) -> web.Response:
        events = await self._feed.read()
        return answer_list("IncidentList", await asyncio.to_thread(list_incidents, events))

    async def incident(self, request: web.Request) -> web.Response:
        incident = await self._known_incident(request)
        events = await self._feed.read()
        return answer("Incident", await asyncio.to_thread(show_incident, events, incident))

    async def report(self, request: web.Request) -> web.Response:
        """`format`: json, or md for a page of text in `lang`."""
        incident = await self._known_incident(request)
        format_ = _choice(request, "format", ("md", "json"))
        language = _choice(request, "lang", LANGUAGES)
        events = await self._feed.read()
        if format_ == "json":
            return answer("IncidentReport", await asyncio.to_thread(report_json, events, incident))
        text = await asyncio.to_thread(report_markdown, events, incident, language)
        return answer(
            "IncidentReportPage", {"id": incident, "format": format_, "lang": language, "text": text}
        )

    async def past(self, request: web.Request) -> web.Response:
        """What was known and decided at a moment: `at`, `incident`."""
        service, query = request.match_info["service"], request.query
        events = await self._feed.read()
        found = await asyncio.to_thread(
            past_explanation, events, service, incident=query.get("incident"), at=query.get("at")
        )
        return answer("PastExplanation", found)

    async def _known_incident(self, request: web.Request) -> str:
        incident = request.match_info["incident"]
        if not await self._feed.read(incident=incident):
            raise UnknownNameError(
                f"no incident {incident!r} in the journal",
                hint="`bcm-failover incident list` prints those that there are",
            )
        return incident

    async def executions(self, _request: web.Request) -> web.Response:
        events = await self._feed.read(types=EXECUTION_TYPES)
        return answer_list("ExecutionList", await asyncio.to_thread(list_executions, events))

    async def execution(self, request: web.Request) -> web.Response:
        """`wait_s` with `after` (a `last_seq` of an earlier answer): returns when something new happened to
        it, when it is closed, or at the end of the wait."""
        execution = request.match_info["execution"]
        body = await self._execution(execution)
        after = integer(request, "after", body["last_seq"])
        wait_s = wait_of(request)
        if wait_s and body["last_seq"] <= after and body["closed_utc"] is None:
            await self._feed.wait(after_seq=after, timeout_s=wait_s, execution=execution)
            body = await self._execution(execution)
        return answer("Execution", body)

    async def execution_log(self, request: web.Request) -> web.Response:
        execution = request.match_info["execution"]
        events = await self._events_of(execution)
        return answer("ExecutionLog", execution_log(events, execution).to_json())

    async def events(self, request: web.Request) -> web.Response:
        """Records after `since`; with `wait_s` it waits for the first one. `last_seq` goes into the next
        request's `since`."""
        since = integer(request, "since", 0)
        found = await self._feed.wait(after_seq=since, timeout_s=wait_of(request))
        page = found[:_MOST_EVENTS]
        last_seq = page[-1].seq if page else since
        return answer_list(
            "EventList",
            [event.to_json() for event in page],
            last_seq=last_seq,
            more=len(found) > len(page),
        )

    async def _execution(self, execution: str) -> dict[str, Any]:
        events = await self._events_of(execution)
        last_seq = max(event.seq for event in events if event.execution == execution)
        return {**execution_now(events, execution, host_now()), "last_seq": last_seq}

    async def _events_of(self, execution: str) -> list[Event]:
        """Its own, those of its incident, and what tells whether its open intents are lost."""
        own = await self._feed.read(execution=execution)
        if not own:
            raise UnknownNameError(
                f"no execution {execution!r} in the journal",
                hint="`bcm-failover execution list` prints those that there are",
            )
        takeovers = await self._feed.read(since_seq=own[0].seq, types=_TAKEOVERS)
        incident = await self._feed.read(incident=own[0].incident) if own[0].incident else ()
        together = {event.seq: event for event in (*own, *takeovers, *incident)}
        return [together[seq] for seq in sorted(together)]

    async def refuse_if_closed(self, execution: str) -> None:
        """For requests that only an open execution can follow. Raises UsageError."""
        body = await self._execution(execution)
        if body["closed_utc"] is not None and body["state"] != ExecutionState.UNKNOWN.value:
            raise UsageError(
                f"{execution} is closed ({body['state']}): there is nothing left to do",
                hint=f"`bcm-failover execution show {execution}` prints how it went",
            )


def _choice(request: web.Request, key: str, allowed: Sequence[str]) -> str:
    """The first is the default. Raises UsageError."""
    text = request.query.get(key, allowed[0])
    if text not in allowed:
        raise UsageError(
            f"{key}={text!r} is not known", where=request.path, hint=f"one of {', '.join(allowed)}"
        )
    return text


def integer(request: web.Request, key: str, default: int) -> int:
    """Raises UsageError."""
    text = request.query.get(key)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"{key}={text!r} is not a number", where=request.path, hint=f"write {key}=0 or more")
    return int(text)


def wait_of(request: web.Request) -> float:
    """`wait_s` of the query in seconds, capped. Raises UsageError."""
    text = request.query.get("wait_s", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise UsageError(f"wait_s={text!r} is not a number of seconds", where=request.path)
    return min(seconds, _LONGEST_WAIT_S)
