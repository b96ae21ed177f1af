"""Whoever has a say in a value has none in what is done: every action, every place for a value.

The values come as a variable (so does what an alert's label says) and as what a command of an earlier step
has printed. Each either arrives as it is or is refused; what would be done if it were read as code is never
done.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from model.errors import RunbookError
from model.execution import ExecutionState
from runbooks.lint import lint
from runbooks.registry import action_names, action_type
from runbooks.schema import Step
from runbooks.spliced import _secrets, spliced
from tests.generic_bench import SERVICE, GenericBench, bench_estate, step
from tests.http_items import ItemServer, running_items
from tests.ssh_server import LOOPBACK, SshServer

VALUE = "{{ value }}"
PAYLOADS = [
    # a shell
    "$(touch OWNED)",
    "`touch OWNED`",
    "; touch OWNED #",
    "| touch OWNED",
    "&& touch OWNED",
    "\ntouch OWNED\n",
    "'; touch OWNED; '",
    '"; touch OWNED; "',
    "$IFS;{touch,OWNED}",
    "--checkpoint-action=exec=touch OWNED",
    "-oProxyCommand=touch OWNED",
    # a template
    "{{ 7 * 7 }}",
    "{{ value.__class__.__mro__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ lookup('pipe', 'touch OWNED') }}",
    "{% for x in [].__class__.__base__.__subclasses__() %}{% endfor %}",
    "{# #}",
    # a path
    "../../../../../../../../../../OWNED",
    "OWNED",
    "a/../../OWNED",
    "..%2f..%2fOWNED",
    "/dev/null\x00OWNED",
    # a statement, a header, a URL
    "'); DROP TABLE notes; --",
    "a\r\nX-Evil: 1\r\n\r\nGET /evil HTTP/1.1",
    "@evil.example/?x=1&y=2#z",
    '\\" OR 1=1 \\',
    '"}, "admin": true, "x": {"y": "',
]


@dataclass
class Stage:
    """owned: a file that no payload may make."""

    bench: GenericBench
    root: Path
    server: ItemServer
    told: list[str] = field(default_factory=list)

    @property
    def owned(self) -> Path:
        return self.root / "owned"

    @property
    def conf(self) -> Path:
        return self.root / "conf"

    def payloads(self, *, of_a_shell: bool = False) -> Iterator[str]:
        """All, or those that a shell would act on: what goes through sshd takes its time."""
        for payload in PAYLOADS[:9:2] if of_a_shell else PAYLOADS:
            yield payload.replace("OWNED", str(self.owned))

    @contextmanager
    def unharmed(self, payload: str) -> Iterator[None]:
        before = self._files()
        yield
        assert not self.owned.exists(), payload
        assert self._files() == before, payload
        evil = [path for _, path, headers, _ in self.server.seen if "X-Evil" in headers or path == "/evil"]
        assert evil == [], payload

    def _files(self) -> list[str]:
        return sorted(str(p) for p in self.root.rglob("*") if not p.is_relative_to(self.root / "outputs"))


@pytest.fixture
async def stage(tmp_path: Path, sshd: SshServer) -> AsyncIterator[Stage]:
    root = tmp_path / "stage"
    (root / "conf").mkdir(parents=True)
    nodes = {
        "here": {"site": "one", "address": LOOPBACK, "access": "local"},
        "far": {
            "site": "one",
            "address": LOOPBACK,
            "access": "ssh",
            "ssh": sshd.settings().model_dump(mode="json"),
        },
    }
    with running_items() as server:
        members = {"web1": {"node": "here", "port": server.port}}
        estate = bench_estate(
            nodes=nodes,
            services={SERVICE: {"engine": "generic", "members": members}},
            daemon={"file_directories": [str(root / "conf")]},
            pager={"alertmanager": {"url": f"{server.url}/say/200"}},
        )
        bench = GenericBench(root, estate)
        made = Stage(bench, root, server)

        def tell(_severity: str, summary: str, detail: str, _service: Any, _incident: Any) -> str:
            made.told.append(summary)
            return "PAGE-1"

        bench.ports = dataclasses.replace(bench.ports, tell=tell)
        yield made
        await bench.close()


Arrived = Callable[[Stage, str, dict[str, Any]], object]


@dataclass(frozen=True)
class Place:
    """One place for a value. arrived: what must hold of a run that succeeded."""

    name: str
    action: str
    options: dict[str, Any]
    arrived: Arrived = lambda _stage, _payload, _output: True


def _stdout(_stage: Stage, payload: str, output: dict[str, Any]) -> bool:
    return bool(output["stdout"] == payload.rstrip("\r\n"))


def _path(stage: Stage, payload: str, _output: dict[str, Any]) -> bool:
    raw = urlsplit(stage.server.seen[-1][1]).path
    return raw.count("/") == 3 and unquote(raw.rpartition("/")[2]) == payload


def _query(stage: Stage, payload: str, _output: dict[str, Any]) -> bool:
    return parse_qs(urlsplit(stage.server.seen[-1][1]).query) == {"q": [payload]}


def _form(stage: Stage, payload: str, _output: dict[str, Any]) -> bool:
    return parse_qs(stage.server.seen[-1][3].decode()) == {"q": [payload]}


def _json(stage: Stage, payload: str, _output: dict[str, Any]) -> bool:
    return bool(json.loads(stage.server.seen[-1][3]) == {"q": payload})


def _header(stage: Stage, payload: str, _output: dict[str, Any]) -> bool:
    return stage.server.seen[-1][2]["X-Value"] == payload.strip()


def _content(stage: Stage, payload: str, _output: dict[str, Any]) -> bool:
    text = (stage.conf / "a.conf").read_text()
    (stage.conf / "a.conf").unlink()
    for kept in stage.conf.iterdir():
        kept.unlink()
    return text == f"value {payload}\n"


def _part_of_a_path(stage: Stage, payload: str, _output: dict[str, Any]) -> bool:
    """The name of one file, right there."""
    made = [path.name for path in stage.conf.iterdir() if not path.name.endswith(".none")]
    for path in stage.conf.iterdir():
        path.unlink()
    return made == [payload]


def _summary(stage: Stage, payload: str, _output: dict[str, Any]) -> bool:
    return stage.told[-1] == payload


SHELL = {"shell": True, "command": ['printf %s "$WORD"'], "env": {"WORD": VALUE}, "changes": False}
GET = {"method": "POST", "undo": {"path": []}}
PLACES = [
    Place("argument", "exec.run", {"command": ["/usr/bin/printf", "%s", VALUE]}, _stdout),
    Place(
        "argument of a shell",
        "exec.run",
        {"command": ["/bin/sh", "-c", 'printf %s "$1"', "sh", VALUE]},
        _stdout,
    ),
    Place("environment", "exec.run", SHELL, _stdout),
    Place("input", "exec.run", {"command": ["/bin/cat"], "stdin": VALUE}, _stdout),
    Place(
        "argument of the effect",
        "exec.run",
        {"command": ["/bin/true"], "effect": ["/usr/bin/test", "x", "!=", VALUE]},
    ),
    Place(
        "argument on a node", "ssh.run", {"node": "far", "command": ["/usr/bin/printf", "%s", VALUE]}, _stdout
    ),
    Place(
        "environment on a node",
        "ssh.run",
        {"node": "far", "command": ["/usr/bin/printenv", "WORD"], "env": {"WORD": VALUE}},
        _stdout,
    ),
    Place("node", "ssh.run", {"node": VALUE, "command": ["/bin/true"]}),
    Place("member", "ssh.run", {"member": VALUE, "command": ["/bin/true"]}),
    Place("unit to start", "systemd.start", {"node": "here", "unit": VALUE}),
    Place("unit to stop", "systemd.stop", {"node": "here", "unit": VALUE}),
    Place("unit to restart", "systemd.restart", {"node": "here", "unit": VALUE}),
    Place("unit to look at", "systemd.is_active", {"node": "here", "unit": VALUE}),
    Place("segment", "http.request", {"member": "web1", "path": ["say", "200", VALUE]}, _path),
    Place("query", "http.request", {"member": "web1", "path": ["say", "200"], "query": {"q": VALUE}}, _query),
    Place(
        "form",
        "http.request",
        {"member": "web1", "path": ["say", "200"], **GET, "request_form": {"q": VALUE}},
        _form,
    ),
    Place(
        "json",
        "http.request",
        {"member": "web1", "path": ["say", "200"], **GET, "request_json": {"q": VALUE}},
        _json,
    ),
    Place(
        "header",
        "http.request",
        {"member": "web1", "path": ["say", "200"], "headers": {"X-Value": VALUE}},
        _header,
    ),
    Place("member of a URL", "http.request", {"member": VALUE, "path": ["say", "200"]}),
    Place("path", "file.render", {"path": VALUE, "content": "x"}),
    Place("part of a path", "file.render", {"path": f"CONF/{VALUE}", "content": "x"}, _part_of_a_path),
    Place("content", "file.render", {"path": "CONF/a.conf", "content": f"value {VALUE}\n"}, _content),
    Place("probe", "wait.until", {"probe": VALUE}),
    Place("watched member", "wait.until", {"member": VALUE}),
    Place("what people are told", "notify.send", {"summary": VALUE}, _summary),
    Place("label", "alertmanager.silence", {"match": {"service": VALUE}, "duration": "1m", "comment": "x"}),
    Place("comment", "alertmanager.silence", {"match": {"a": "b"}, "duration": "1m", "comment": VALUE}),
    Place("host", "ansible.playbook", {"playbook": "/none.yml", "limit": [VALUE]}),
    Place("tag", "ansible.playbook", {"playbook": "/none.yml", "tags": [VALUE]}),
]


def steps_of(stage: Stage, place: Place, source: str) -> list[dict[str, Any]]:
    """With the value from a variable, or from what a command has printed into the file `said`."""
    options = json.loads(json.dumps(place.options).replace("CONF", str(stage.conf)))
    if source == "variable":
        return [step(place.action, timeout="5s", with_=options)]
    options = json.loads(json.dumps(options).replace(VALUE, "{{ steps.said.stdout }}"))
    said = {"command": ["/bin/cat", str(stage.root / "said")], "changes": False}
    return [step("exec.run", "said", with_=said), step(place.action, timeout="5s", with_=options)]


@pytest.mark.parametrize("source", ["variable", "output"])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.action}: {place.name}")
async def test_a_value_stays_a_value(stage: Stage, place: Place, source: str) -> None:
    said = stage.root / "said"
    said.touch()
    for payload in stage.payloads(of_a_shell="far" in place.options.values()):
        variables = {}
        value = payload
        if source == "variable":
            variables = {"value": payload}
        else:
            said.write_bytes(payload.encode())
            value = payload.rstrip("\r\n")
        with stage.unharmed(payload):
            result = await stage.bench.run(steps_of(stage, place, source), **variables)
            if result.state is ExecutionState.SUCCEEDED:
                output = dict(result.outputs["act"])
                assert place.arrived(stage, value, output), (payload, output)


async def test_a_plan_of_hostile_values_does_nothing(stage: Stage) -> None:
    hostile = "$(touch OWNED)'; touch OWNED; {{ 7 * 7 }}".replace("OWNED", str(stage.owned))
    with stage.unharmed(hostile):
        for place in PLACES:
            await stage.bench.plan(steps_of(stage, place, "variable"), value=hostile)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.action}: {place.name}")
async def test_a_name_that_is_not_there_is_an_error_before_anything_runs(stage: Stage, place: Place) -> None:
    options = json.loads(json.dumps(place.options).replace(VALUE, "{{ nobody_declared_this }}"))
    steps = [step(place.action, with_=options)]
    with pytest.raises(RunbookError, match="there is no variable 'nobody_declared_this'"):
        await stage.bench.run(steps)
    found = "\n".join(map(str, lint(stage.bench.made(steps, {}), stage.bench.estate, SERVICE)))
    assert "there is no variable 'nobody_declared_this'" in found
    assert stage.bench.store.events == []


def _secret_options(name: str) -> list[str]:
    return [str(path[0]) for path in _secrets(action_type(name))]


WITH_SECRETS = [(name, option) for name in action_names() for option in _secret_options(name)]


def test_actions_with_secrets_are_known() -> None:
    assert {"exec.run", "ssh.run", "http.request", "alertmanager.silence", "ansible.playbook"} <= {
        name for name, _ in WITH_SECRETS
    }


@pytest.mark.parametrize(("name", "option"), WITH_SECRETS)
def test_no_value_of_any_action_chooses_which_secret_is_read(name: str, option: str) -> None:
    bench_step = {"id": "act", "action": name, "timeout": "5s", "with": {option: {"X": {"file": VALUE}}}}
    places = [path for path, _ in spliced(Step.model_validate(bench_step), action_type(name))]
    assert (option,) in places


@pytest.mark.parametrize(
    ("action", "options"),
    [
        ("exec.run", {"command": ["/bin/true"], "user": VALUE}),
        ("exec.run", {"command": ["echo x"], "shell": VALUE}),
        ("exec.run", {"command": ["/bin/sh"], "stdin": f"echo {VALUE}"}),
        ("exec.run", {"command": ["/usr/bin/python3", "-"], "stdin": VALUE}),
        ("exec.run", {"command": ["/usr/bin/psql", "-d", "orders"], "stdin": f"select '{VALUE}'"}),
        ("exec.run", {"command": ["/bin/true"], "env": {"PATH": VALUE}}),
        ("exec.run", {"command": ["/bin/true"], "env": {"LD_PRELOAD": VALUE}}),
        ("exec.run", {"command": ["/bin/true"], "env": {"BASH_ENV": VALUE}}),
        ("exec.run", {"command": ["/bin/true"], "env": VALUE}),
        ("ssh.run", {"node": "far", "command": ["bash", "-s"], "stdin": VALUE}),
        ("ssh.run", {"node": "far", "command": ["true"], "user": VALUE}),
        ("systemd.stop", {"node": "here", "unit": "a.service", "user": VALUE}),
        ("systemd.stop", {"node": "here", "unit": "a.service", "manager": VALUE}),
        ("file.render", {"path": "/a/b", "content": "x", "user": VALUE}),
    ],
)
async def test_no_value_chooses_account_interpreter_or_surroundings(
    stage: Stage, action: str, options: dict[str, Any]
) -> None:
    with pytest.raises(RunbookError, match="no template may stand in"):
        await stage.bench.run([step(action, with_=options)], value="x")


async def test_an_estate_with_an_address_that_is_none_reaches_no_other_host(
    tmp_path: Path, stage: Stage
) -> None:
    for address in ("evil.example#", "evil.example?", "a\\b", "[::1", "a%2fb"):
        try:
            nodes = {"here": {"site": "one", "address": address}}
            members = {"web1": {"node": "here", "port": stage.server.port}}
            estate = bench_estate(nodes=nodes, services={SERVICE: {"engine": "generic", "members": members}})
        except ValueError:
            continue
        bench = GenericBench(tmp_path, estate)
        result = await bench.run([step("http.request", with_={"member": "web1"})])
        assert result.state is not ExecutionState.SUCCEEDED
        await bench.close()
    assert stage.server.seen == []


def test_the_hook_of_the_linter_and_that_of_the_engine_agree(stage: Stage) -> None:
    """A runbook that the linter passes is one that can be planned."""
    for place in PLACES:
        made = stage.bench.made([step(place.action, with_=place.options)], {"value": "x"})
        findings = [str(f) for f in lint(made, stage.bench.estate, SERVICE)]
        assert not any("no template may stand" in text for text in findings), (place, findings)
