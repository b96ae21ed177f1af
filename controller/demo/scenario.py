"""One run of the demo: a real cluster, the real daemon, a client that writes, one fault, and its end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.demo.client import ClientOptions, ClientProcess
from controller.demo.cluster import Cluster, ClusterOptions, free_ports
from controller.demo.daemon import DaemonProcess
from controller.demo.estate import SERVICE
from controller.demo.faults import FAULTS, SMALL_DISK_MB, Injected
from controller.demo.guard import GuardWatch
from controller.demo.haproxy import DemoHaproxy
from controller.demo.servers import Server
from controller.demo.settings import LOOPBACK, Sizing
from controller.demo.verdict import ClientVerdict, judge, read_log
from controller.report import report_json, report_markdown
from controller.store.reader import read_events
from model import events as ev
from model.errors import BcmError
from model.events import Event

SWITCHOVER = "switchover"
WRITES_BEFORE = 200
WRITES_AFTER = 200
# From the fault to the closed incident, redundancy and all; beyond it something is wrong, and is told.
RECOVERY_TIMEOUT_S = 45.0
# How long a fault that is none is watched: past every grace and silence of the profile `balanced`.
QUIET_S = 6.0

# An old primary that is restarted in place may recover by itself; one without room can't be rewound.
MAY_STAY_OPEN = frozenset({"crash-restart", "disk-full"})

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """fault: of FAULTS or `switchover`. asynchronous: no synchronous standby is named. endpoint: `dsn`, or
    `haproxy`: the client knows nothing but a load balancer."""

    fault: str = "crash"
    profile: str = "balanced"
    mode: str = "act"
    asynchronous: bool = False
    endpoint: str = "dsn"
    sizing: Sizing = field(default_factory=Sizing)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one run showed; `to_json` is the object that `--json` prints."""

    fault: str
    failover: bool
    client: ClientVerdict
    unguarded: int
    rto: dict[str, Any]
    rpo: dict[str, Any]
    rejoined: bool
    rejoin_s: float | None
    incident: str | None
    report: str | None
    diagnoses: tuple[str, ...]
    held: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "fault": self.fault,
            "failover": self.failover,
            "client_gap_s": None if self.client.gap_s is None else round(self.client.gap_s, 3),
            "rto": self.rto,
            "rpo": {
                "verdict": self.rpo.get("verdict"),
                "acknowledged": self.client.acknowledged,
                "lost": self.client.lost,
                "unguarded": self.unguarded,
                "method": self.rpo.get("method"),
                "reason": self.rpo.get("reason"),
            },
            "rejoined": self.rejoined,
            "rejoin_s": self.rejoin_s,
            "diagnoses": list(self.diagnoses),
            "incident": self.incident,
            "report": self.report,
        }


class Scenario:
    """Use `run` once. `keep` leaves everything running and says how to look at it."""

    def __init__(self, server: Server, options: RunOptions, tell: Tell, reports: Path | None) -> None:
        self._server = server
        self._options = options
        self._tell = tell
        self._reports = reports

    def run(self, *, keep: bool = False) -> RunResult:
        """Raises BcmError if the product did not do what it must."""
        with ExitStack() as stack:
            cluster = stack.enter_context(Cluster(self._server, self._cluster_options()))
            self._tell(f"PostgreSQL {self._server.version} runs on {_ports(cluster)}")
            balancer = self._balancer(cluster, stack)
            daemon = DaemonProcess(
                cluster,
                profile=self._options.profile,
                mode=self._options.mode,
                endpoint=balancer.endpoint() if balancer else None,
            )
            stack.callback(lambda: None if cluster.kept else daemon.stop())
            daemon.start()
            provable = "" if self._options.asynchronous else " and its failover provable"
            self._tell(f"bcm-failover watches; the service is healthy{provable}")
            through = ClientOptions(through=balancer.port if balancer else None)
            client = ClientProcess(cluster, cluster.base / "client.log", through)
            stack.callback(client.stop)
            guard = GuardWatch(cluster)
            guard.start()
            client.wait_writes(WRITES_BEFORE)
            result = self._incident(cluster, daemon, client, guard)
            if keep:
                cluster.keep()
                self._tell(_how_to_look(cluster, daemon))
            return result

    def _balancer(self, cluster: Cluster, stack: ExitStack) -> DemoHaproxy | None:
        if self._options.endpoint != "haproxy":
            return None
        [port] = free_ports(1)
        balancer = DemoHaproxy(cluster.base, port, {node.name: node.port for node in cluster.nodes})
        stack.callback(lambda: None if cluster.kept else balancer.stop())
        balancer.start()
        self._tell(f"HAProxy stands before it on {LOOPBACK}:{port}; its servers start disabled")
        return balancer

    def _cluster_options(self) -> ClusterOptions:
        disk = {"pg1": SMALL_DISK_MB} if self._options.fault == "disk-full" else {}
        sizing = Sizing(wal_segment_mb=1, wal_keep_mb=32) if disk else self._options.sizing
        names = {"synchronous_standby_names": ""} if self._options.asynchronous else {}
        return ClusterOptions(small_disk_mb=disk, sizing=sizing, **names)  # type: ignore[arg-type]

    def _incident(
        self, cluster: Cluster, daemon: DaemonProcess, client: ClientProcess, guard: GuardWatch
    ) -> RunResult:
        began_seq = _last_seq(daemon.state_dir)
        fault = self._make_fault(cluster, daemon)
        events = self._follow(cluster, daemon, began_seq, fault)
        client.wait_writes(WRITES_AFTER, timeout_s=RECOVERY_TIMEOUT_S)
        guard.stop()
        survivor = cluster.current_primary()
        if survivor is None:
            raise BcmError("no member accepts writes any more")
        verdict = judge(client.stop(), survivor.dsn("app"), after_ns=fault.at_ns)
        guarded = guard.verdict(read_log(client.log).acks, since_ns=fault.at_ns)
        fault.heal()
        return self._result(daemon, fault, events, verdict, guarded.unguarded if self._synchronous else 0)

    @property
    def _synchronous(self) -> bool:
        return not self._options.asynchronous

    def _make_fault(self, cluster: Cluster, daemon: DaemonProcess) -> Injected:
        if self._options.fault == SWITCHOVER:
            at_ns = time.monotonic_ns()
            daemon.ask("POST", f"/v1/services/{SERVICE}/switchover", {})
            self._tell("planned switchover: asked for")
            return Injected(SWITCHOVER, "pg1", at_ns)
        fault = FAULTS[self._options.fault]
        injected = fault.inject(cluster)
        self._tell(f"fault `{fault.name}` on {injected.node}: {fault.sentence}")
        return injected

    def _follow(
        self, cluster: Cluster, daemon: DaemonProcess, began_seq: int, fault: Injected
    ) -> list[Event]:
        """Tell what the journal says as it happens, until it is over; where the product holds, do what a
        person would do then; for a fault that is none, until it has been quiet for long enough."""
        wanted = self._options.fault == SWITCHOVER or FAULTS[self._options.fault].failover
        wait_s = RECOVERY_TIMEOUT_S if wanted else QUIET_S
        deadline = time.monotonic() + wait_s
        seen: list[Event] = []
        helped = False
        while time.monotonic() < deadline:
            fresh = list(read_events(daemon.state_dir, since_seq=seen[-1].seq if seen else began_seq))
            for event in fresh:
                line = sentence(event, fault.at_ns)
                if line:
                    self._tell(line)
            seen += fresh
            if wanted and not helped and _held(fresh):
                helped = self._help(cluster, daemon, fault)
            if _over(seen, helped):
                return seen
            time.sleep(0.02)
        if wanted and self._options.fault not in MAY_STAY_OPEN:
            raise BcmError(f"the incident was not over after {wait_s:g} s:\n{daemon.log_tail()}")
        return seen

    def _help(self, cluster: Cluster, daemon: DaemonProcess, fault: Injected) -> bool:
        """The part of the person whom the product paged. Was anything done?"""
        if self._options.mode != "act":
            self._tell("an operator starts the old primary again")
            cluster.node(fault.node).start()
        elif self._options.asynchronous:
            self._tell("a person decides: failover --override S3, since nothing can be proven")
            body = {"override": ["S3"], "reason": "demo: the standbys are asynchronous"}
            daemon.ask("POST", f"/v1/services/{SERVICE}/failover", body)
        else:
            return False
        return True

    def _result(
        self,
        daemon: DaemonProcess,
        fault: Injected,
        events: Sequence[Event],
        client: ClientVerdict,
        unguarded: int,
    ) -> RunResult:
        everything = read_events(daemon.state_dir)
        incident = next((e.incident for e in events if e.type == ev.INCIDENT_OPENED), None)
        report = report_json(everything, incident) if incident else {}
        clock = report.get("rto") or {}
        rejoined = [e for e in events if e.type == ev.MEMBER_REJOINED]
        return RunResult(
            fault=self._options.fault,
            failover=any(e.type == ev.MEMBER_RETIRED for e in events),
            client=client,
            unguarded=unguarded,
            rto={
                "target_s": clock.get("target_s"),
                "actual_s": clock.get("actual_s"),
                "phases": {f"{name}_s": value for name, value in (clock.get("phases") or {}).items()},
            },
            rpo=report.get("rpo") or {},
            rejoined=bool(rejoined),
            rejoin_s=round((rejoined[-1].mono_ns - fault.at_ns) / 1e9, 3) if rejoined else None,
            incident=incident,
            report=self._save_report(everything, incident),
            held=_held(events),
            diagnoses=tuple(
                dict.fromkeys(str(e.data.get("code")) for e in events if e.type == ev.DIAGNOSIS_CHANGED)
            ),
        )

    def _save_report(self, events: Sequence[Event], incident: str | None) -> str | None:
        if incident is None or self._reports is None:
            return None
        self._reports.mkdir(parents=True, exist_ok=True)
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{self._options.fault}-{incident}"
        path = self._reports / f"{stem}.md"
        path.write_text(report_markdown(events, incident), encoding="utf-8")
        text = json.dumps(report_json(events, incident), indent=2, ensure_ascii=False)
        path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
        return str(path)


def _held(events: Sequence[Event]) -> bool:
    return any(e.type == ev.DECISION_MADE and e.data.get("verb") in ("hold", "ask") for e in events)


def _over(events: Sequence[Event], helped: bool) -> bool:
    """The incident is closed; or a person helped and the service works again, whatever is still missing."""
    ends = {ev.INCIDENT_CLOSED} | ({ev.INCIDENT_RECOVERED, ev.RPO_VERDICT} if helped else set())
    return any(e.type in ends for e in events)


def sentence(event: Event, fault_ns: int) -> str | None:
    """One event as a line for people, with the time since the fault; None for what need not be shown."""
    data = event.data
    match event.type:
        case ev.HEALTH_CHANGED:
            text = f"{data['target']} is {data['to']}: {data['why']}"
        case ev.DIAGNOSIS_CHANGED if data.get("code") != "Healthy":
            text = f"diagnosis {data['code']}: {data['sentence']}"
        case ev.INCIDENT_OPENED:
            text = f"incident {event.incident}, level {data['level']}"
        case ev.DECISION_MADE:
            text = f"decision: {data['verb']}" + (f" ({data['reason']})" if data["verb"] != "act" else "")
        case ev.EXECUTION_OPENED:
            text = f"{data['runbook']} {event.execution} begins"
        case ev.STEP_RESULT:
            took = data.get("took_ns")
            ms = f" ({took // 1_000_000} ms)" if isinstance(took, int) else ""
            text = f"  {data['step']}: {data['outcome']}{ms}" + (
                f", {data['detail']}" if data.get("detail") else ""
            )
        case ev.EXECUTION_CLOSED:
            text = f"{event.execution} ended: {data['state']}"
        case ev.RPO_VERDICT:
            text = f"RPO verdict: {data['verdict']}"
        case ev.MEMBER_REJOINED:
            text = f"{data['member']} streams again as a standby"
        case ev.INCIDENT_RECOVERED:
            text = f"recovered: {data['primary']} accepts writes"
        case ev.INCIDENT_CLOSED:
            text = f"incident {event.incident} closed: {data['reason']}"
        case _:
            return None
    return f"{(event.mono_ns - fault_ns) / 1e9:+8.3f} s  {text}"


def _last_seq(state_dir: Path) -> int:
    events = read_events(state_dir)
    return events[-1].seq if events else 0


def _ports(cluster: Cluster) -> str:
    return ", ".join(f"{node.name} ({node.role}) {node.address()}" for node in cluster.nodes)


def _how_to_look(cluster: Cluster, daemon: DaemonProcess) -> str:
    """What a person types to look around, and to end it."""
    return (
        f"left running below {cluster.base}\n"
        f"  bcm-failover --socket {daemon.socket} status\n"
        f"  bcm-failover --socket {daemon.socket} explain {SERVICE}\n"
        f"  bcm-failover --state-dir {daemon.state_dir} incident list\n"
        f"to end it: kill {daemon.pid}; pkill -f {cluster.base}; rm -rf {cluster.base}"
    )
