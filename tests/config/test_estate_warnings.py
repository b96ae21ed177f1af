"""Warnings: valid estates that will not do what their objectives say."""

from __future__ import annotations

import pytest
from estate_texts import VALID, lines_of, spoiled

# What billing, which is asynchronous, always has.
ALWAYS = "24:34: warning: billing: asynchronous, so it always holds on host loss (S3)"


def warnings(*changes: tuple[str, str]) -> list[str]:
    text = VALID
    for old, new in changes:
        text = spoiled(old, new, text)
    lines = lines_of(text)
    assert all(": warning: " in line for line in lines), lines
    return [line for line in lines if not line.startswith(ALWAYS)]


def test_a_sound_service_has_no_warning() -> None:
    assert warnings() == []
    assert any(line.startswith(ALWAYS) for line in lines_of(VALID))


def test_an_rto_below_detection_and_runbook_is_warned_of_with_the_sum() -> None:
    assert warnings(("rto: 30s", "rto: 5s")) == [
        (
            "37:23: warning: orders: an outage may last 5.90s, the RTO is 5s; worst-case detection 3.4s "
            "(profile balanced) + lock and last look 0.3s + detach and prove 0.5s + fence and promote 0.7s + "
            "re-point and verify 1s = 5.90s; allowed: a faster profile or a longer RTO"
        )
    ]
    assert warnings(("rto: 30s", "rto: 5s"), ("profile: balanced", "profile: fast")) == []


def test_a_declared_probe_that_is_a_reference_is_a_reference_target() -> None:
    without = spoiled(', reference_targets: ["10.0.0.1:53"]', "", VALID)
    assert any("no reference targets" in line for line in lines_of(without))
    gateway = "probes: {gw: {type: icmp, reference: true, options: {host: 10.0.0.1}}}\n"
    assert not any("no reference targets" in line for line in lines_of(without + gateway))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([("objectives: {rpo: 5s}", "objectives: {rpo: 0s}")],
         "24:34: warning: billing: RPO 0 with asynchronous replication"),
        ([("db3: {site: far, address: 10.0.3.1, access: ssh}", "db3: {site: far, address: 10.0.3.1}")],
         "35:11: warning: orders: mode act without node access to pg3"),
        ([("127.0.0.1:9977", "0.0.0.0:9977")],
         "2:53: warning: /metrics is open to the network at 0.0.0.0:9977"),
        ([('"127.0.0.1:9977"', '"127.0.0.1:9977", probe_endpoint: ["*"]')],
         "2:87: warning: whoever reaches 127.0.0.1:9977 can make this host connect to any target"),
        ([("127.0.0.1:9977", ":9977")], "2:53: warning: /metrics is open to the network at :9977"),
        ([("/var/lib/bcm", "/run/bcm")], "2:33: warning: the journal in /run/bcm does not outlive a reboot"),
        ([(', reference_targets: ["10.0.0.1:53"]', "")], "2:1: warning: no reference targets"),
        ([('  alertmanager: {url: "http://127.0.0.1:9093", labels: {team: db}}\n', "  # none\n"),
          ("  exec: {command: [/usr/bin/page, --loud], timeout: 5s}\n", "  give_up: 1h\n")],
         "16:1: warning: nobody is paged"),
        ([(", os_users: [ada, root2]", ""), (", os_users: [bob]", "")],
         "13:1: warning: no account belongs to a person"),
        ([("mode: act", "mode: ask")], "35:11: warning: orders: mode ask waits for a person, the RTO is 30s"),
        ([("node: db2\n        role: standby", "node: db1\n        port: 5434\n        role: standby")],
         "51:15: warning: orders: pg2 and pg1 are on one node"),
        ([("slot: pg2\n", "excluded: true\n"), ("slot: pg3\n", "excluded: true\n")],
         "43:5: warning: orders: every standby is excluded"),
        ([("order: [pg1, pg2, pg3]", "order: [pg1, pg2]")],
         "39:34: warning: orders: pg3 can't be reached through the endpoint"),
        ([("web: {site: ops, address: 10.0.4.1}", "web: {site: ops, address: 10.0.4.1, ssh: {}}")],
         "12:39: warning: node web: ssh is set up but access is none"),
        ([("systemd:postgresql@15-main.service", "systemd:postgresql")],
         "63:18: warning: postgresql.service is only an umbrella on Debian"),
        ([("systemd:postgresql@15-main.service", "pg_ctl")],
         "63:18: warning: the server's log has no place"),
        ([("node: db3\n        role: dr", "node: db3\n        role: standby")],
         "59:15: warning: a standby member at the DR site 'far'"),
    ],
)  # fmt: skip
def test_each_doubt_has_its_place(changes: list[tuple[str, str]], expected: str) -> None:
    (line,) = warnings(*changes)
    assert line.startswith(expected)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("alerts: {rules: [{says: down}]}\n", "alerts have rules and daemon.push_token is not set"),
        (
            "probes:\n  job: {type: heartbeat, options: {within: 1h}}\n",
            "job waits for pushes and daemon.push_token is not set",
        ),
    ],
)
def test_pushes_that_nobody_takes_are_warned_of(more: str, expected: str) -> None:
    with_token = spoiled("daemon: {", "daemon: {push_token: {file: /etc/t}, ")
    assert lines_of(with_token + more) == lines_of(with_token)
    (line,) = [line for line in lines_of(VALID + more) if not line.startswith(ALWAYS)]
    assert expected in line
    assert int(line.partition(":")[0]) > len(VALID.splitlines())


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("levels: {approvals: {II: {persons: 2}}}\n", []),
        (
            "levels: {approvals: {II: {persons: 2}}, offices: {deputy: [ada]}}\n",
            ["orders: at level II 2 persons must agree, and only ada may", "billing: at level II 2 persons"],
        ),
        (
            "levels: {approvals: {II: {offices: [guards]}}}\n",
            ["nobody holds the office 'guards'"],
        ),
    ],
)
def test_an_approval_that_too_few_can_give_is_warned_of(more: str, expected: list[str]) -> None:
    lines = [line for line in lines_of(VALID + more) if not line.startswith(ALWAYS)]
    assert len(lines) == len(expected), lines
    for text in expected:
        assert any(text in line for line in lines), lines


def test_without_node_access_the_asynchronous_warning_says_so() -> None:
    text = spoiled("db1: {site: dc1, address: 10.0.1.1, access: ssh, ssh: {user: bcm, port: 22}}",
                   "db1: {site: dc1, address: 10.0.1.1}")  # fmt: skip
    (line,) = [line for line in lines_of(text) if line.startswith(ALWAYS)]
    assert "without node access an asynchronous primary can't be fenced either" in line
