"""The port `Http` against servers that behave badly: an answer, or an error that says what was sent."""

from __future__ import annotations

import time

import pytest

from controller.adapters.clock import SystemClock
from controller.adapters.http import HttpConnections
from model.ports import HttpError, HttpRequest
from tests.bad_servers import LOOPBACK, Handler, black_hole, closes, garbage, nobody, reset, serving, silent
from tests.http_items import running_items

LIMIT_S = 0.3


async def ask(port: int, method: str = "POST", timeout_s: float = LIMIT_S) -> None:
    request = HttpRequest(method=method, url=f"http://{LOOPBACK}:{port}/x")
    await HttpConnections(SystemClock()).request(request, timeout_s=timeout_s)


@pytest.mark.parametrize("handler", [silent, reset, closes, garbage])
async def test_once_it_was_sent_nobody_knows_what_became_of_it(handler: Handler) -> None:
    began_s = time.monotonic()
    async with serving(handler) as port:
        with pytest.raises(HttpError) as caught:
            await ask(port)
    assert caught.value.sent
    assert f"http://{LOOPBACK}:{port}" in str(caught.value)
    assert time.monotonic() - began_s < LIMIT_S + 2


async def test_what_was_never_connected_was_never_sent() -> None:
    async with nobody() as port:
        with pytest.raises(HttpError) as caught:
            await ask(port)
    assert not caught.value.sent
    async with black_hole() as port:
        with pytest.raises(HttpError, match=r"no answer within 0\.3 s") as caught:
            await ask(port)
    assert not caught.value.sent


async def test_an_answer_has_status_headers_and_body() -> None:
    with running_items() as server:
        request = HttpRequest("POST", f"{server.url}/say/418", {"X-A": "b"}, b"data")
        answer = await HttpConnections(SystemClock()).request(request, timeout_s=5)
        assert (answer.status, answer.headers["content-type"]) == (418, "application/json")
        assert answer.complete
        assert b'"X-A": "b"' in answer.body
        assert b'"body": "data"' in answer.body
        head = await HttpConnections(SystemClock()).request(
            HttpRequest("HEAD", f"{server.url}/say/200"), timeout_s=5
        )
        assert (head.status, head.body) == (200, b"")


async def test_a_lines_end_in_the_head_is_refused_before_anything_is_sent() -> None:
    with running_items() as server:
        for headers in ({"X-A": "b\r\nX-Evil: 1"}, {"X-A\r\nX-Evil": "1"}):
            request = HttpRequest("GET", f"{server.url}/say/200", headers)
            with pytest.raises(ValueError, match="line's end"):
                await HttpConnections(SystemClock()).request(request, timeout_s=5)
        assert server.seen == []
