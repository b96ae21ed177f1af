"""What would happen in a user's own estate, without touching anything of it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from config.endpoints import HaproxyEndpoint
from config.redis import RedisService
from config.schema import Estate
from controller import estate_file
from controller.cli.main import main
from controller.simulate.own_estate import own_estate
from model.errors import UsageError

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "config" / "examples"
THREE: Final = EXAMPLES / "three-node-postgresql.yaml"


def loaded(path: Path = THREE) -> Estate:
    return estate_file.load(path).estate


def ask(capsys: pytest.CaptureFixture[str], *arguments: str, estate: Path = THREE) -> dict[str, Any]:
    assert main(["simulate", "-c", str(estate), *arguments, "-o", "json"]) == 0
    body: dict[str, Any] = json.loads(capsys.readouterr().out)
    return body


def told(body: dict[str, Any], kind: str) -> list[str]:
    return [line["text"] for line in body["story"] if line["kind"] == kind]


def test_a_lost_site_is_seen_diagnosed_decided_and_failed_over(capsys: pytest.CaptureFixture[str]) -> None:
    body = ask(capsys, "--what", "site:dc1 down")
    assert body["kind"] == "WhatIf"
    assert any("orders/pg1" in text and "down" in text for text in told(body, "seen"))
    assert any(text.startswith("diagnosis PrimaryHung on pg1: ") for text in told(body, "diagnosed"))
    assert any(text.startswith("step promote: succeeded: pg2") for text in told(body, "step"))
    (standing,) = body["in_the_end"]
    assert (standing["primary"], standing["writes"]) == ("pg2", True)
    (clock,) = body["incidents"]
    marks = clock["marks_s"]
    assert list(marks) == [f"T{n}" for n in range(10)]
    assert 0 < clock["rto_s"] == marks["T8"] < 10
    assert marks["T9"] is None  # its site does not come back


def test_a_crash_is_mended_to_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    body = ask(capsys, "--what", "service:orders crash")
    assert body["incidents"][0]["marks_s"]["T9"] is not None
    assert body["recovered"] is True


def test_a_decision_tells_its_gates_and_what_stops_it(capsys: pytest.CaptureFixture[str]) -> None:
    debian = EXAMPLES / "debian-pg-ctlcluster.yaml"
    body = ask(capsys, "--what", "service:ledger down", estate=debian)
    (standing,) = body["in_the_end"]
    assert standing["writes"] is False
    assert standing["approvals"] == ["postgresql-failover to ledger2 (PrimaryProcessDown)"]
    assert any(gate["name"] == "approval" and not gate["passed"] for gate in standing["decision"]["gates"])


def test_in_another_mode_it_would_act(capsys: pytest.CaptureFixture[str]) -> None:
    starter = EXAMPLES / "starter.yaml"
    watched = ask(capsys, "--what", "service:orders crash", estate=starter)
    acting = ask(capsys, "--what", "service:orders crash", "--mode", "act", estate=starter)
    assert watched["in_the_end"][0]["writes"] is False
    assert any("would have acted" in text for text in told(watched, "decided"))
    assert acting["in_the_end"][0]["primary"] == "pg2"
    assert "every service is taken to be in mode act" in acting["notes"]


def test_two_faults_come_at_their_times(capsys: pytest.CaptureFixture[str]) -> None:
    body = ask(
        capsys, "--what", "orders/pg3 hang at 4s for 2s", "--what", "node:db2 slow by 50ms at 5s for 2s"
    )
    faults = [(line["at_s"], line["place"]) for line in body["story"] if line["kind"] == "fault"]
    assert faults == [(4.0, "db3"), (5.0, "db2")]
    assert body["incidents"] == []


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda p: p.stem)
@pytest.mark.parametrize("mode", ["act", "observe"])
def test_it_works_for_every_example_estate(
    example: Path, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    estate = loaded(example)
    service = next(iter(estate.services))
    site = next(s.name for s in estate.sites.values() if s.role == "primary")
    for fault in (f"site:{site} down for 20s", f"service:{service} crash"):
        body = ask(capsys, "--what", fault, "--mode", mode, estate=example)
        assert body["violations"] == []
        assert body["incidents"]


def test_people_get_a_story_and_what_was_not_modelled(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "-c", str(THREE), "--what", "site:dc1 down", "--ops", "dc2"]) == 0
    out = capsys.readouterr().out
    assert "the ops host stands at dc2" in out
    assert "site:dc1 down at 3s: the site is lost" in out
    assert "orders: pg2 accepts writes in the end" in out
    assert "T9 not observed" in out
    assert "RTO " in out
    assert "nothing was touched" in out
    assert "--ops SITE" not in out


def test_all_gates_are_printed_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["simulate", "-c", str(THREE), "--what", "service:orders crash"]
    assert main(arguments) == 0
    short = capsys.readouterr().out
    assert main([*arguments, "--gates"]) == 0
    whole = capsys.readouterr().out
    assert "passed: mode, pause" in short
    assert "pass rpo [S3]: " in whole
    assert "pass rpo [S3]: " not in short


def test_members_of_two_services_with_one_name_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = yaml.safe_load(THREE.read_text(encoding="utf-8"))
    bills = copy.deepcopy(data["services"]["orders"])
    for member in bills["members"].values():
        member.update(port=5433, data_dir="/var/lib/pgsql/16/bills", control="systemd:bills.service")
    data["services"]["bills"] = bills
    estate = tmp_path / "two.yaml"
    estate.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    body = ask(capsys, "--what", "bills/pg1 crash", estate=estate)
    assert any(text.startswith("bills/pg2 is promoted") for text in told(body, "world"))
    assert not any(text.startswith("orders/pg2 is promoted") for text in told(body, "world"))
    assert {s["service"]: s["primary"] for s in body["in_the_end"]} == {"orders": "pg1", "bills": "pg2"}
    assert body["recovered"] is True
    assert [incident["service"] for incident in body["incidents"]] == ["bills"]


# --- what is not modelled

CACHE: Final = RedisService.model_validate(
    {"engine": "redis", "members": {"r1": {"node": "db1", "role": "primary"}}}
).model_copy(update={"name": "cache"})


def with_a_cache() -> Estate:
    """An estate with a second service of another engine, on which the first depends."""
    estate = loaded()
    orders = estate.services["orders"].model_copy(update={"depends_on": ("cache",)})
    return estate.model_copy(update={"services": {"orders": orders, "cache": CACHE}})


def test_services_of_other_engines_are_left_out_and_named() -> None:
    own = own_estate(with_a_cache())
    assert list(own.estate.services) == ["orders"]
    assert own.estate.services["orders"].depends_on == ()
    assert "cache is left out: its engine, redis, is not modelled" in own.notes


def test_a_fault_of_a_service_that_is_left_out_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examined = replace(estate_file.load(THREE), estate=with_a_cache())
    monkeypatch.setattr(estate_file, "load", lambda _path: examined)
    assert main(["simulate", "-c", str(THREE), "--what", "service:cache crash"]) == 2
    assert "cache is left out: its engine, redis, is not modelled" in capsys.readouterr().err


def test_an_estate_without_any_modelled_service_is_refused() -> None:
    estate = loaded()
    with pytest.raises(UsageError, match="nothing in this estate is modelled: its engines are redis"):
        own_estate(estate.model_copy(update={"services": {"cache": CACHE}}))


def test_an_unknown_site_for_the_ops_host_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no site 'mars'"):
        own_estate(loaded(), ops="mars")


# --- nothing is touched

_WATCHED: Final = """
import sys
touched = []
def hook(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork",
                         "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "sqlite3.")):
        touched.append((event, repr(arguments)[:200]))
    if event == "open" and (arguments[2] or 0) & 3:
        touched.append((event, repr(arguments)[:200]))
from controller.cli.main import main
sys.addaudithook(hook)
code = main(sys.argv[1:])
sys.stdout.flush()
for one in touched:
    print("TOUCHED", *one, file=sys.stderr)
sys.exit(code)
"""


def test_no_socket_is_opened_no_file_written_and_no_program_run(tmp_path: Path) -> None:
    estate = tmp_path / "estate.yaml"
    estate.write_text(THREE.read_text(encoding="utf-8"), encoding="utf-8")
    before = (estate.stat().st_mtime_ns, sorted(tmp_path.iterdir()))
    arguments = ["simulate", "-c", str(estate), "--what", "site:dc1 down for 20s", "-o", "json"]
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recovered"] is True
    assert done.stderr == ""
    assert (estate.stat().st_mtime_ns, sorted(tmp_path.iterdir())) == before


# --- bad input


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--what", "site:dc9 down"], "there is no site 'dc9' to simulate"),
        (["--what", "site:dc1 burns"], "allowed: down, cut, isolated"),
        (["--what", "site:dc1 down", "--faults", "3"], "--faults does not go with --what"),
        (["--what", "site:dc1 down", "--ops", "mars"], "there is no site 'mars'"),
        (["--seed", "3", "--trace", "--mode", "act"], "--mode does not go with --trace"),
        (["--faults", "3", "--gates"], "--gates does not go with --faults or --seconds"),
        (["--seed", "3"], "what to simulate is not said"),
    ],
)
def test_bad_input_is_one_clear_error(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "-c", str(THREE), *arguments]) == 2
    said = capsys.readouterr()
    assert what in said.err
    assert said.out == ""


def test_without_an_estate_it_asks_for_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("controller.cli.settings.DEFAULT_CONFIG", Path("/nowhere/estate.yaml"))
    assert main(["simulate", "--what", "site:dc1 down"]) == 2
    assert "-c estate.yaml" in capsys.readouterr().err


def test_clients_that_are_led_by_a_load_balancer_are_taken_to_know_every_host() -> None:
    estate = loaded()
    orders = estate.service("orders")
    behind = HaproxyEndpoint(type="haproxy", host="lb", port=5000, sockets=("/run/a",), backend="pg")
    led = orders.model_copy(update={"endpoint": behind})
    own = own_estate(estate.model_copy(update={"services": {"orders": led}}))
    assert own.estate.service("orders").endpoint.type == "dsn"  # type: ignore[attr-defined]
    assert any("the clients of orders are taken to know every host" in note for note in own.notes)
