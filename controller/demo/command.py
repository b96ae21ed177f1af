"""`bcm-failover demo`: the main job on real servers, on this machine, with proof."""

from __future__ import annotations

import json
import signal
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TextIO

import click
from click.core import ParameterSource

from controller.cli.base import command
from controller.demo.faults import FAULTS
from controller.demo.pool.runs import run_pool
from controller.demo.scenario import SWITCHOVER, RunOptions, RunResult, Scenario, Tell
from controller.demo.servers import best_server
from controller.demo.tours import TOURS, run_tours
from model.errors import BcmError, UsageError

_FAULTS = (*FAULTS, SWITCHOVER)
POOL = "pool"
_REPORTS = Path("bcm-demo-reports")


@command(
    "demo",
    examples=(
        "bcm-failover demo",
        "bcm-failover demo --fault hang --profile fast",
        "bcm-failover demo --fault crash --runs 10 --json",
        "bcm-failover demo --fault switchover --keep",
        "bcm-failover demo --engine redis --runs 5",
        "bcm-failover demo --engine pool --runs 5",
        "bcm-failover demo --endpoint haproxy --runs 5",
    ),
)
@click.option(
    "--engine",
    type=click.Choice(["postgresql", *TOURS, POOL]),
    default="postgresql",
    show_default=True,
    help="What the service is made of; others than postgresql have a crash, a switchover and a failback.",
)
@click.option("--fault", type=click.Choice(_FAULTS), default="crash", show_default=True, help="What happens.")
@click.option("--runs", type=click.IntRange(1, 1000), default=1, show_default=True, help="How often.")
@click.option(
    "--profile",
    type=click.Choice(["fast", "balanced", "careful"]),
    help="How patient the detection is; balanced for postgresql, else fast, if not given.",
)
@click.option("--asynchronous", is_flag=True, help="No synchronous standby: nothing can be proven.")
@click.option(
    "--mode",
    type=click.Choice(["act", "ask", "observe"]),
    default="act",
    show_default=True,
    help="What the daemon may do by itself.",
)
@click.option(
    "--endpoint",
    type=click.Choice(["dsn", "haproxy"]),
    default="dsn",
    show_default=True,
    help="How the client reaches the service: it knows all hosts, or a load balancer alone.",
)
@click.option("--postgresql", "version", type=click.IntRange(14, 18), default=18, show_default=True)
@click.option("--reports", type=click.Path(path_type=Path), default=_REPORTS, show_default=True)
@click.option("--keep", is_flag=True, help="Leave it running and print how to look at it.")
@click.option("--json", "as_json", is_flag=True, help="Progress to stderr; the result is stdout's last line.")
def demo(
    engine: str,
    fault: str,
    runs: int,
    profile: str | None,
    asynchronous: bool,
    mode: str,
    endpoint: str,
    version: int,
    reports: Path,
    keep: bool,
    as_json: bool,
) -> int:
    """A service of three nodes on loopback loses its primary and is failed over, with proof.

    A pool of web servers has no primary: a member is drained and put back, and another one crashes.

    Real servers (PostgreSQL from the wheel of the extra `demo`, or installed ones), the real daemon, and a
    client that writes all the time and counts what it was told is safe. Everything is removed at the end.
    """
    if keep and runs > 1:
        raise UsageError("--keep goes with one run", hint="leave out --runs")
    if engine in TOURS or engine == POOL:
        _refuse_given(engine)
        _end_on_sigterm()
        tell = _tell_to(sys.stderr if as_json else sys.stdout)
        if engine == POOL:
            return run_pool(profile or "fast", runs, tell, keep=keep, as_json=as_json)
        return run_tours(engine, profile or "fast", runs, tell, keep=keep, as_json=as_json)
    unsupported = FAULTS[fault].unsupported() if fault in FAULTS else None
    if unsupported:
        raise BcmError(unsupported, hint="other faults need no rights: --fault crash")
    _end_on_sigterm()
    options = RunOptions(
        fault=fault,
        profile=profile or "balanced",
        mode=mode,
        asynchronous=asynchronous,
        endpoint=endpoint,
    )
    server = best_server(version)
    tell = _tell_to(sys.stderr if as_json else sys.stdout)
    results = []
    for number in range(1, runs + 1):
        if runs > 1:
            tell(f"run {number} of {runs}")
        result = Scenario(server, options, tell, reports).run(keep=keep)
        results.append(result)
        if not as_json:
            _print_evidence(result)
    if as_json:
        click.echo(json.dumps(summary(results), ensure_ascii=False))
    elif runs > 1:
        _print_medians(results)
    return 0 if all(_good(r, options) for r in results) else 1


def _refuse_given(engine: str) -> None:
    """What has no effect is no option."""
    context = click.get_current_context()
    for name in ("fault", "asynchronous", "mode", "endpoint", "version", "reports"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = "--postgresql" if name == "version" else f"--{name}"
            raise UsageError(f"{option} is of the engine postgresql", hint=f"leave it out for {engine}")


def summary(results: Sequence[RunResult]) -> dict[str, object]:
    """One object for one run; for more, `runs` with medians and worst values."""
    if len(results) == 1:
        return results[0].to_json()
    return {
        "fault": results[0].fault,
        "runs": [r.to_json() for r in results],
        "median": {"client_gap_s": _median(gaps(results)), "rto_s": _median(_rtos(results))},
        "worst": {
            "client_gap_s": max(gaps(results), default=None),
            "rto_s": max(_rtos(results), default=None),
        },
        "lost": sum(r.client.lost for r in results),
        "unguarded": sum(r.unguarded for r in results),
        "rejoined": sum(r.rejoined for r in results),
    }


def gaps(results: Sequence[RunResult]) -> list[float]:
    return [round(r.client.gap_s, 3) for r in results if r.client.gap_s is not None]


def _rtos(results: Sequence[RunResult]) -> list[float]:
    return [float(r.rto["actual_s"]) for r in results if r.rto.get("actual_s") is not None]


def _median(values: Sequence[float]) -> float | None:
    return round(statistics.median(values), 3) if values else None


def _good(result: RunResult, options: RunOptions) -> bool:
    """Nothing acknowledged was lost, and what had to be done was done."""
    called_for = options.fault == SWITCHOVER or FAULTS[options.fault].failover
    proven = result.rpo.get("verdict") == "ZERO_PROVEN"
    must = (
        called_for and options.mode == "act" and not options.asynchronous and options.fault != "crash-restart"
    )
    if result.client.lost and not options.asynchronous:
        return False
    return (proven and result.rejoined) if must else (called_for or not result.failover)


def _tell_to(stream: TextIO) -> Tell:
    def tell(line: str) -> None:
        click.echo(line, file=stream)
        stream.flush()

    return tell


def _print_evidence(result: RunResult) -> None:
    data = result.to_json()
    phases = ", ".join(
        f"{name.removesuffix('_s')} {value:.3f}"
        for name, value in result.rto["phases"].items()
        if value is not None and name != "human_wait_s"
    )
    gap = "-" if result.client.gap_s is None else f"{result.client.gap_s:.3f} s"
    actual = result.rto["actual_s"]
    rpo = result.rpo
    click.echo("")
    click.echo(f"client      write gap {gap}; {result.client.acknowledged} writes acknowledged, "
               f"{result.client.lost} lost, {result.unguarded} unguarded")  # fmt: skip
    if result.incident:
        click.echo(f"RTO         {'not observed' if actual is None else f'{actual:.3f} s'} of "
                   f"{result.rto['target_s']} s ({phases or 'no phases'})")  # fmt: skip
        click.echo(f"RPO         {rpo.get('verdict', 'no verdict')}: {rpo.get('reason', '')}")
        click.echo(f"redundancy  {_redundancy(result)}")
        click.echo(f"report      {data['report']}")
    else:
        click.echo(f"no incident; diagnoses: {', '.join(result.diagnoses) or 'none'}")


def _redundancy(result: RunResult) -> str:
    if not result.rejoined:
        return "the old primary has not rejoined"
    return f"the old primary streams again {result.rejoin_s:.1f} s after the fault"


def _print_medians(results: Sequence[RunResult]) -> None:
    values = gaps(results)
    if values:
        click.echo(f"\n{len(values)} runs: client's write gap median {statistics.median(values):.3f} s, "
                   f"worst {max(values):.3f} s; lost {sum(r.client.lost for r in results)}, "
                   f"unguarded {sum(r.unguarded for r in results)}")  # fmt: skip


def _end_on_sigterm() -> None:
    """As Ctrl-C: everything is stopped and removed."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
