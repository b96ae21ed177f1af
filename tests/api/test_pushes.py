"""What is pushed over HTTP: who may, what is taken, and one clear text for what is not."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from config.alerts import Alerts
from config.secrets import SecretRef
from controller.adapters.secrets import SecretStore
from controller.alerts import Alert, AlertBox, Taken
from controller.api import pushes
from controller.api.public import HealthReport, PublicServer
from controller.api.pushes import MOST_ALERT_BYTES, MOST_HEARTBEAT_BYTES, Pushes
from controller.heartbeats import HeartbeatBox
from tests.bad_servers import LOOPBACK
from tests.virtual_clock import RealClock

TOKEN = "s3cret-tökén"


def webhook(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """As Alertmanager 0.25 sends it."""
    return {
        "receiver": "bcm",
        "status": "firing",
        "alerts": list(alerts),
        "groupLabels": {"alertname": "Slow"},
        "commonLabels": {"alertname": "Slow"},
        "commonAnnotations": {},
        "externalURL": "http://am:9093",
        "version": "4",
        "groupKey": '{}:{alertname="Slow"}',
        "truncatedAlerts": 0,
        **changes,
    }


def alert(**changes: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": "Slow", "service": "orders"},
        "annotations": {"summary": "writes are slow"},
        "startsAt": "2026-03-01T10:00:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prom:9090/graph",
        "fingerprint": "b1ab0c0e1f2a3b4c",
        **changes,
    }


@dataclass
class World:
    token: SecretRef | None
    box: AlertBox = field(default_factory=lambda: AlertBox(RealClock(), Alerts(), ["orders"]))
    beats: HeartbeatBox = field(default_factory=lambda: HeartbeatBox(RealClock(), ["backup"]))

    def take(self, alerts: Sequence[Alert]) -> Taken:
        return self.box.take(alerts)


class Pusher:
    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session, self.url = session, f"http://{LOOPBACK}:{port}/api/v1"
        self.port = port

    async def __call__(
        self, path: str, body: Any = None, *, token: str | None = TOKEN, scheme: str = "Bearer"
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"{scheme} {token}"} if token is not None else {}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        data = None if body is None else io.BytesIO(raw)
        async with self.session.post(f"{self.url}/{path}", data=data, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
def world(tmp_path: Path) -> World:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n", encoding="utf-8")
    file.chmod(0o600)
    return World(SecretRef(file=file))


@pytest.fixture
async def push(world: World) -> AsyncIterator[Pusher]:
    taken = Pushes(
        token=lambda: world.token, secret=SecretStore().get, alerts=world.take, beat=world.beats.push
    )
    server = PublicServer(
        f"{LOOPBACK}:0",
        health=lambda: HealthReport("ok", (), None, 5.0),
        routing=lambda _service: None,
        metrics=lambda: bytes,
        more=taken.routes(),
    )
    await server.start()
    assert server.port
    async with aiohttp.ClientSession() as session:
        yield Pusher(session, server.port)
    await server.stop()


async def test_alerts_of_a_webhook_are_taken_in(world: World, push: Pusher) -> None:
    other = alert(labels={"alertname": "Slow", "service": "another"}, fingerprint="c")
    assert await push("alerts", webhook(alert(), other)) == (200, {"accepted": 1, "ignored": 1})
    assert [name for name, _sentence, _since in world.box.warnings("orders")] == ["Slow"]
    ended = webhook(alert(status="resolved"), status="resolved")
    assert (await push("alerts", ended))[0] == 200
    assert world.box.firing() == []


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", "\udcff"])
@pytest.mark.parametrize("path", ["alerts", "heartbeat/backup"])
async def test_nobody_pushes_without_the_token(
    world: World, push: Pusher, token: str | None, path: str
) -> None:
    code, body = await push(path, webhook(alert()), token=token)
    assert (code, body) == (401, {"error": "the bearer token is missing or wrong"})
    assert world.box.received == 0
    assert world.beats.last("backup") is None


async def test_the_token_counts_as_a_bearer_only(push: Pusher) -> None:
    assert (await push("alerts", webhook(), scheme="Basic"))[0] == 401
    assert (await push("alerts", webhook(), scheme="bearer"))[0] == 200


async def test_without_a_token_in_the_estate_nothing_is_taken_and_it_says_why(
    world: World, push: Pusher
) -> None:
    world.token = None
    code, body = await push("alerts", webhook(alert()))
    assert code == 503
    assert "daemon.push_token is not set" in body["error"]


async def test_a_token_that_can_t_be_read_opens_nothing_and_tells_strangers_nothing(
    world: World, push: Pusher, tmp_path: Path
) -> None:
    world.token = SecretRef(file=tmp_path / "gone")
    code, body = await push("alerts", webhook(alert()), token="")
    assert code == 503
    assert str(tmp_path) not in body["error"]


async def test_a_new_token_is_taken_up_at_once(world: World, push: Pusher) -> None:
    assert world.token
    assert world.token.file
    world.token.file.write_text("another")
    assert (await push("alerts", webhook()))[0] == 401
    assert (await push("alerts", webhook(), token="another"))[0] == 200


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b"[]", "valid dictionary"),
        (webhook(version="3"), 'version must be "4"'),
        ({"alerts": []}, 'version must be "4"'),
        (webhook(alerts={}), "alerts: "),
        (webhook(alert(status="maybe")), "alerts.0.status: "),
        (webhook(alert(labels={"a": 1})), "alerts.0.labels.a: "),
        (webhook(alert(labels={"a": "x" * 9000})), "alerts.0.labels.a: "),
        (webhook(alert(labels={str(n): "" for n in range(200)})), "alerts.0.labels: "),
        (webhook(alert(fingerprint="../x")), "alerts.0.fingerprint: "),
        (webhook(alert(fingerprint="")), "alerts.0.fingerprint: "),
        (webhook(alert(), alert(status="x"), alert(status="y")), "(and 1 more problems)"),
        (webhook({}), "alerts.0.status: Field required"),
    ],
)
async def test_what_is_no_webhook_is_refused_with_one_clear_text_and_nothing_is_taken(
    world: World, push: Pusher, body: Any, text: str
) -> None:
    code, answer = await push("alerts", body)
    assert code == 400
    assert text in answer["error"]
    assert len(answer["error"]) < 300
    assert world.box.received == 0


async def test_keys_of_a_newer_alertmanager_are_left_alone(push: Pusher) -> None:
    assert (await push("alerts", webhook(alert(newKey=1), another={})))[0] == 200


async def test_a_body_that_is_too_long_is_refused(push: Pusher) -> None:
    assert (await push("alerts", b" " * (MOST_ALERT_BYTES + 1)))[0] == 413
    assert (await push("heartbeat/backup", b" " * (MOST_HEARTBEAT_BYTES + 1)))[0] == 413
    padded = json.dumps(webhook(alert())).encode()
    assert (await push("alerts", padded + b" " * (MOST_ALERT_BYTES - len(padded))))[0] == 200


async def test_a_body_that_does_not_come_ends_the_request(
    push: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushes, "_BODY_WITHIN_S", 0.1)
    reader, writer = await asyncio.open_connection(LOOPBACK, push.port)
    lines = ["POST /api/v1/alerts HTTP/1.1", "Host: x", f"Authorization: Bearer {TOKEN}", "Content-Length: 9"]
    writer.write("\r\n".join([*lines, "", "{"]).encode())
    async with asyncio.timeout(20):
        assert b" 408 " in await reader.readline()
    writer.close()


# --- heartbeats


async def test_a_heartbeat_is_taken_with_and_without_a_body(world: World, push: Pusher) -> None:
    assert (await push("heartbeat/backup"))[0] == 200
    assert world.beats.last("backup")[1] == "ok"  # type: ignore[index]
    assert (await push("heartbeat/backup", {"status": "fail", "message": "\x1b[2Jdisk full"}))[0] == 200
    assert world.beats.last("backup")[1] == "fail"  # type: ignore[index]
    assert (await push("heartbeat/backup", {"status": "ok"}))[1] == {"heartbeat": "backup", "status": "ok"}


async def test_a_heartbeat_that_no_probe_waits_for_is_404(world: World, push: Pusher) -> None:
    assert (await push("heartbeat/other"))[0] == 404
    assert (await push("heartbeat/other", token="wrong"))[0] == 401  # a stranger does not learn the names
    assert (await push("heartbeat/..%2Fbackup"))[0] == 404


@pytest.mark.parametrize(
    "body", [{"status": "well"}, {"status": 1}, [], {"message": "x" * 4000, "status": 2}]
)
async def test_a_heartbeat_of_another_shape_is_refused(world: World, push: Pusher, body: Any) -> None:
    assert (await push("heartbeat/backup", body))[0] == 400
    assert world.beats.last("backup") is None
