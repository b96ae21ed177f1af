"""Pages as alerts of Alertmanager (API v2), which routes, groups and silences them.

Every page is an alert of its own (label `page`): two pages of one incident must both be told, while alerts
with equal labels are one to Alertmanager. It forgets an alert when its end comes, so those of open incidents
are sent again and again with a later end.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import requests

from config.schema import AlertmanagerPager
from controller.adapters.threads import DaemonThreads
from controller.notify.page import DeliveryError, Page
from controller.notify.scrub import short
from model.errors import BcmError
from model.ports import Clock

RESEND_S: Final = 60.0
# Like Prometheus: an alert outlives three resendings that did not come through.
OPEN_FOR_S: Final = 4 * RESEND_S
# A page without an incident has no end that anybody would tell: long enough to be seen in the overview.
ALONE_FOR_S: Final = 3600.0
DEADLINE_S: Final = 15.0
_CONNECT_S, _READ_S = 5.0, 10.0
_NAMES: Final = {"page": "BcmFailoverPage", "warning": "BcmFailoverWarning", "info": "BcmFailoverInfo"}
_LABEL = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


class Alertmanager:
    """One Alertmanager by its base URL. requests runs in daemon threads; the deadline is ours."""

    def __init__(self, settings: AlertmanagerPager, clock: Clock) -> None:
        self._url = settings.url.rstrip("/") + "/api/v2/alerts"
        self._labels = {k: v for k, v in settings.labels.items() if _LABEL.match(k) and v}
        self._clock = clock
        self._threads = DaemonThreads("alertmanager", 8)

    @property
    def name(self) -> str:
        return "alertmanager"

    async def deliver(self, page: Page) -> None:
        """Raises DeliveryError until Alertmanager has answered 2xx."""
        await self.send([self.alert(page, OPEN_FOR_S if page.incident else ALONE_FOR_S)])

    def alert(self, page: Page, lasts_s: float) -> dict[str, Any]:
        """The alert, ending `lasts_s` from now; 0 resolves it."""
        labels = {
            **self._labels,
            "alertname": _NAMES.get(page.severity, _NAMES["page"]),
            "severity": page.severity,
            "page": page.id,
            "service": page.service or "",
            "incident": page.incident or "",
            "level": page.level,
        }
        people = {"people": ", ".join(page.people)} if page.people else {}
        return {
            "labels": {k: v for k, v in labels.items() if v},
            "annotations": {"summary": page.summary, "description": page.detail, **people},
            "startsAt": page.queued_utc,
            "endsAt": self._wall(lasts_s),
        }

    async def send(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """One request for all of them. Raises DeliveryError."""
        try:
            answer = self._threads.start(partial(self._post, list(alerts)))
        except BcmError as error:
            raise DeliveryError(f"earlier requests to {self._where} still hang") from error
        done, _ = await asyncio.wait({answer}, timeout=DEADLINE_S)
        if not done:
            answer.cancel()  # the thread goes on alone and ends with its socket
            raise DeliveryError(f"{self._where} did not answer within {DEADLINE_S:.0f} s")
        answer.result()

    def _post(self, alerts: list[Mapping[str, Any]]) -> None:
        """In a thread. Proxies and .netrc of the environment are not used: a page's way must be known."""
        try:
            with requests.Session() as session:
                session.trust_env = False
                response = session.post(
                    self._url,
                    json=alerts,
                    timeout=(_CONNECT_S, _READ_S),
                    allow_redirects=False,
                    stream=True,
                )
                with response:
                    if 200 <= response.status_code < 300:
                        return
                    body = next(response.iter_content(500), b"").decode("utf-8", "replace")
        except requests.RequestException as error:
            # The text of the library may hold the URL with its credentials.
            raise DeliveryError(f"{self._where}: {_reason(error)}") from None
        raise DeliveryError(f"{self._where} answered {response.status_code}: {short(body, 200)}")

    @property
    def _where(self) -> str:
        return short(re.sub(r"//[^/@]*@", "//", self._url), 200)

    def _wall(self, from_now_s: float) -> str:
        at = datetime.fromtimestamp(self._clock.wall_s(), UTC) + timedelta(seconds=from_now_s)
        return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.ConnectTimeout):
        return "can't be reached in time"
    if isinstance(error, requests.Timeout):
        return "accepts connections and does not answer"
    if isinstance(error, requests.ConnectionError):
        return "can't be reached (refused, reset or unknown host)"
    return f"the request can't be made ({type(error).__name__})"
