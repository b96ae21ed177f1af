"""http.request against a real HTTP server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.errors import RunbookError
from model.execution import ExecutionState
from runbooks.lint import lint
from tests.certificates import certificate
from tests.generic_bench import SERVICE, GenericBench, at_once, bench_estate, step, succeeded
from tests.http_items import ItemServer, running_items
from tests.pg_pair import free_port

FAILS = step("exec.run", "fails", with_={"command": ["/bin/false"], "changes": False}, on_failure="undo")


@pytest.fixture
def server() -> Iterator[ItemServer]:
    with running_items() as running:
        yield running


def put(server: ItemServer, **more: Any) -> dict[str, Any]:
    return {"method": "PUT", "url": f"{server.url}/items/a", "request_json": {"num": 1}, **more}


def post(server: ItemServer, **more: Any) -> dict[str, Any]:
    """With a look at its effect, and a way back."""
    there = {"effect": {"expect_json": {"value.num": 1}}, "undo": {"path": []}}
    return put(server, **there) | {"method": "POST"} | more


async def test_an_answer_as_expected_and_what_is_kept_of_it(bench: GenericBench, server: ItemServer) -> None:
    server.items["a"] = {"num": 7, "words": ["x", "y"]}
    options = {"url": f"{server.url}/items/a", "keep": {"number": "value.num", "last": "value.words[-1]"}}
    found = succeeded(await bench.run([step("http.request", with_=options)]))["act"]
    assert found["status"] == 200
    assert found["values"] == {"number": 7, "last": "y"}
    assert '"num": 7' in found["body"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"url": "/items/none"}, "status 404, expected 2xx"),
        ({"status": [204]}, "status 200, expected 204"),
        ({"body": "nowhere"}, "'nowhere' is not in the body"),
        ({"body_matches": "^nothing"}, "does not match"),
        ({"expect_json": {"value.num": 8}}, "value.num is 7, expected 8"),
        ({"keep": {"x": "value.none"}}, "value.none is not there"),
    ],
)
async def test_another_answer_is_a_failure(
    bench: GenericBench, server: ItemServer, more: dict[str, Any], why: str
) -> None:
    server.items["a"] = {"num": 7}
    options = {"url": "/items/a"} | more
    options["url"] = server.url + options["url"]
    await bench.run([step("http.request", with_=options)])
    assert bench.last_result("act")["outcome"] == "failed"
    assert why in bench.last_result("act")["detail"]


async def test_a_server_that_does_not_answer_leaves_a_question_open(
    bench: GenericBench, server: ItemServer
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/"
    await bench.run([step("http.request", with_={"url": nobody})])
    assert bench.last_result("act")["outcome"] == "unknown"
    result = await bench.run(at_once("http.request", url=nobody, method="POST"))
    assert result.state is ExecutionState.FAILED, "nothing was sent, so nothing was done"


async def test_an_answer_that_was_lost_is_settled_by_the_effect(
    bench: GenericBench, server: ItemServer
) -> None:
    server.hold_s = 3.0
    steps = [step("http.request", timeout="500ms", with_=post(server), point_of_no_return=True)]
    succeeded(await bench.run(steps))
    assert server.changes() == ["POST /items/a"]
    assert bench.last_result("act")["reason"] == "reconciled"


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_proxy_in_trouble_does_not_know_what_became_of_it(
    bench: GenericBench, server: ItemServer, status: int
) -> None:
    server.answer = status
    succeeded(await bench.run(at_once("http.request", **post(server))))
    options = {k: v for k, v in post(server).items() if k != "effect"}
    result = await bench.run(at_once("http.request", **options))
    assert result.state is ExecutionState.UNKNOWN


async def test_an_effect_whose_record_was_lost_is_seen_and_not_repeated(
    bench: GenericBench, server: ItemServer
) -> None:
    await bench.dies_before_the_result(at_once("http.request", **post(server)))
    succeeded(await bench.resume())
    assert server.changes() == ["POST /items/a"]


async def test_an_effect_that_is_not_there_is_brought_about(bench: GenericBench, server: ItemServer) -> None:
    await bench.dies_after_the_intent(at_once("http.request", **post(server)))
    succeeded(await bench.resume())
    assert server.changes() == ["POST /items/a"]


async def test_without_a_look_at_its_effect_an_interrupted_one_stays_unknown(
    bench: GenericBench, server: ItemServer
) -> None:
    options = {k: v for k, v in post(server).items() if k != "effect"}
    await bench.dies_after_the_intent(at_once("http.request", **options))
    assert (await bench.resume()).state is ExecutionState.UNKNOWN
    assert server.changes() == []


async def test_an_effect_that_is_there_already_is_not_brought_about_again(
    bench: GenericBench, server: ItemServer
) -> None:
    server.items["a"] = {"num": 1}
    assert succeeded(await bench.run(at_once("http.request", **post(server))))["act"]["changed"] is False
    assert server.changes() == []


async def test_an_effect_that_takes_its_time_is_waited_for(bench: GenericBench, server: ItemServer) -> None:
    server.ready_s = time.monotonic() + 0.5
    found = succeeded(await bench.run(at_once("http.request", **post(server))))["act"]
    assert found["status"] == 201
    assert time.monotonic() >= server.ready_s


async def test_it_is_taken_back_only_if_it_was_done(bench: GenericBench, server: ItemServer) -> None:
    steps = [step("http.request", with_=post(server), undo=True, on_failure="undo"), FAILS]
    result = await bench.run(steps)
    assert result.state is ExecutionState.UNDONE, result.reason
    assert server.changes() == ["POST /items/a", "DELETE /items/a"]
    server.items["a"] = {"num": 1}
    result = await bench.run(steps)
    assert result.state is ExecutionState.UNDONE, result.reason
    assert server.items == {"a": {"num": 1}}, "it was so before the step"


# --- values in their places


HOSTILE = "../b/../../c?x=1&y=2#z %2e%2e\r\nX-Evil: 1\n\n@evil.example/{{ service }}\\é"


async def test_a_value_stays_one_segment_of_the_path(bench: GenericBench, server: ItemServer) -> None:
    options = {"url": f"{server.url}/items", "path": ["{{ value }}"], "status": [404]}
    succeeded(await bench.run([step("http.request", with_=options)], value=HOSTILE))
    [(_, path, headers, _)] = server.seen
    assert path.startswith("/items/")
    assert path.count("/") == 2
    assert "?" not in path
    assert "X-Evil" not in headers


@pytest.mark.parametrize("value", ["..", ".", ""])
async def test_a_value_does_not_lead_up(bench: GenericBench, server: ItemServer, value: str) -> None:
    options = {"url": f"{server.url}/items", "path": ["{{ value }}", "x"]}
    result = await bench.run([step("http.request", with_=options)], value=value)
    assert "is no segment of a path" in result.reason
    assert server.seen == []


async def test_a_value_stays_a_value_of_query_form_and_json(bench: GenericBench, server: ItemServer) -> None:
    base = {"url": f"{server.url}/say/200", "method": "POST"}
    succeeded(await bench.run(at_once("http.request", **base, query={"q": "{{ value }}"}), value=HOSTILE))
    assert server.seen[-1][1].count("&") == 0
    succeeded(
        await bench.run(at_once("http.request", **base, request_form={"q": "{{ value }}"}), value=HOSTILE)
    )
    assert server.seen[-1][3].count(b"&") == 0
    value = '"}, "admin": true, "x": {"y": "'
    succeeded(
        await bench.run(at_once("http.request", **base, request_json={"q": "{{ value }}"}), value=value)
    )
    import json

    assert json.loads(server.seen[-1][3]) == {"q": value}


async def test_a_value_makes_no_header_of_its_own(bench: GenericBench, server: ItemServer) -> None:
    options = {"url": f"{server.url}/say/200", "headers": {"X-Name": "{{ value }}"}}
    for value in ("a\r\nX-Evil: 1", "a\nb", "a\x00"):
        result = await bench.run([step("http.request", with_=options)], value=value)
        assert "no control characters" in result.reason
    assert server.seen == []


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://{{ value }}/"},
        {"url": "{{ value }}"},
        {"url": "http://a/{{ value }}"},
        {"url": "http://a/", "method": "{{ value }}"},
        {"url": "http://a/", "method": "POST", "request_body": '{"a": "{{ value }}"}'},
        {"url": "http://a/", "body_matches": "{{ value }}"},
        {"url": "http://a/", "bearer": {"file": "{{ value }}"}},
        {"url": "http://a/", "user": "x", "password": {"file": "{{ value }}"}},
        {"url": "http://a/", "secret_headers": {"X-Token": {"file": "{{ value }}"}}},
        {"url": "http://a/", "method": "PUT", "effect": {"url": "{{ value }}"}},
        {"url": "http://a/", "method": "PUT", "effect": "{{ value }}"},
        {"url": "http://a/", "method": "PUT", "undo": {"url": "http://{{ value }}"}},
        {"member": "web1", "port": "{{ value }}"},
        {"url": "https://a/", "verify": "{{ value }}"},
        {"url": "https://a/", "ca_file": "{{ value }}"},
    ],
)
async def test_no_value_chooses_the_server_the_secret_or_what_is_sent_as_it_stands(
    bench: GenericBench, options: dict[str, Any]
) -> None:
    steps = at_once("http.request", **options)
    with pytest.raises(RunbookError, match="no template may stand in"):
        await bench.run(steps, value="x")
    found = "\n".join(map(str, lint(bench.made(steps, {"value": "x"}), bench.estate, SERVICE)))
    assert "no template may stand in" in found


# --- credentials and TLS


async def test_credentials_are_sent_and_never_seen(
    bench: GenericBench, server: ItemServer, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    base = {"url": f"{server.url}/say/200"}
    for options, header in [
        ({"bearer": {"file": str(secret)}}, ("Authorization", "Bearer hunter2")),
        ({"user": "li", "password": {"file": str(secret)}}, ("Authorization", "Basic bGk6aHVudGVyMg==")),
        ({"secret_headers": {"X-Api-Key": {"file": str(secret)}}}, ("X-Api-Key", "hunter2")),
    ]:
        steps = [step("http.request", with_={**base, **options})]
        found = succeeded(await bench.run(steps))["act"]
        assert server.seen[-1][2][header[0]] == header[1]
        assert "***" in found["body"], "the server has echoed it"
        view = await bench.plan(steps)
        for text in (bench.text(), str(view.to_json())):
            assert "hunter2" not in text
            assert "bGk6aHVudGVyMg" not in text


def test_a_secret_in_plain_is_refused(bench: GenericBench) -> None:
    for headers in ({"Authorization": "Bearer x"}, {"X-Api-Token": "x"}):
        steps = at_once("http.request", url="http://a/", headers=headers)
        found = "\n".join(map(str, lint(bench.made(steps, {}), bench.estate, SERVICE)))
        assert "secret" in found


async def test_the_certificate_is_checked_unless_it_is_said_otherwise(
    bench: GenericBench, tmp_path: Path
) -> None:
    made = certificate(tmp_path, 10)
    with running_items(made.server_context) as server:
        options = {"url": f"{server.url}/say/200", "method": "POST"}
        result = await bench.run(at_once("http.request", **options))
        assert result.state is ExecutionState.FAILED, "nothing was sent to a stranger"
        assert "certificate" in result.reason
        assert server.seen == []
        succeeded(await bench.run(at_once("http.request", **options, ca_file=str(made.file))))
        succeeded(await bench.run(at_once("http.request", **options, verify=False)))


async def test_a_member_is_asked_at_its_address(tmp_path: Path, server: ItemServer) -> None:
    members = {"web1": {"node": "here", "port": server.port}}
    bench = GenericBench(
        tmp_path, bench_estate(services={SERVICE: {"engine": "generic", "members": members}})
    )
    options = {"member": "{{ who }}", "path": ["say", "200"]}
    succeeded(await bench.run([step("http.request", with_=options)], who="web1"))
    result = await bench.run([step("http.request", with_=options)], who="evil.example")
    assert "has no member 'evil.example'" in result.reason
    await bench.close()


def test_options_that_can_not_be_meant_are_findings(bench: GenericBench) -> None:
    for options, why in [
        ({}, "give `url`, or `member`"),
        ({"url": "http://a/", "effect": {}}, "GET only looks"),
        ({"url": "http://a:b@c/"}, "no user and password in a URL"),
        ({"url": "ftp://a/"}, "not a URL"),
        ({"url": "http://a/", "method": "POST", "request_body": "a", "request_json": {}}, "give one of"),
    ]:
        found = "\n".join(
            map(str, lint(bench.made(at_once("http.request", **options), {}), bench.estate, SERVICE))
        )
        assert why in found, (options, found)


async def test_what_may_have_been_done_is_not_done_again_while_its_effect_can_not_be_seen(
    bench: GenericBench, server: ItemServer
) -> None:
    server.answer = 502
    effect = {"url": f"http://127.0.0.1:{free_port()}/"}
    steps = [
        step(
            "http.request",
            with_=post(server, effect=effect),
            point_of_no_return=True,
            retry={"attempts": 3},
            on_failure="continue",
        )
    ]
    await bench.run(steps)
    assert bench.last_result("act")["outcome"] == "unknown"
    assert server.changes() == ["POST /items/a"]
