"""`explain`: what would happen now, and which gate would stop it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import click

from controller.advice import CODE_ADVICE, GATE_ADVICE
from controller.cli import completing
from controller.cli.base import command
from controller.cli.client import Client
from controller.cli.exits import ExitCode
from controller.cli.records import daemon_or_store
from controller.cli.settings import Settings, current_settings
from controller.cli.terminal import clean, console, emit, mark_of, style_of
from controller.past import past_explanation


@command(
    "explain",
    examples=(
        "bcm-failover explain orders",
        "bcm-failover explain orders -o json",
        "bcm-failover explain orders --incident INC-12 --at +1.5s",
        "bcm-failover explain orders --at 2026-11-25T10:00:03Z",
    ),
)
@click.argument("service", shell_complete=completing.services)
@click.option("--incident", metavar="ID", shell_complete=completing.incidents, help="A past incident.")
@click.option("--at", metavar="TIME", help="A past moment; `+1.5s` counts from the incident's T0.")
def explain(service: str, incident: str | None, at: str | None) -> int:
    """Say what would happen to SERVICE now, and which gate would stop it.

    Prints the diagnosis with the evidence for and against it, and every gate of the decision with its
    result and its reason. With --incident or --at the same for a past moment, from the journal. Changes
    nothing.
    """
    settings = current_settings()
    if incident is None and at is None:
        body = Client.of(settings).get("explain", service)
    else:
        asked: dict[str, Any] = {k: v for k, v in (("incident", incident), ("at", at)) if v is not None}
        body = daemon_or_store(
            settings,
            lambda: Client.of(settings).get("past", service, **asked),
            lambda events: {"kind": "PastExplanation", **past_explanation(events, service, **asked)},
        )
    emit(settings, body, lambda found: _print(settings, found))
    return ExitCode.OK


def _root_lines(root: Mapping[str, Any]) -> list[str]:
    """What lies below the diagnosis, if anything does."""
    if not root:
        return []
    head = f"  it comes from {root.get('key')}: {root.get('code')}: {root.get('sentence')}"
    return [head, *_evidence(root, "    ")]


def _evidence(found: Mapping[str, Any], indent: str) -> list[str]:
    lines = [f"{indent}+ {text}" for text in found.get("evidence_for", [])]
    return [*lines, *(f"{indent}- {text}" for text in found.get("evidence_against", []))]


def _print(settings: Settings, body: Mapping[str, Any]) -> None:
    from rich.text import Text

    out = console(settings)

    def line(text: str, style: str = "") -> None:
        out.print(Text(clean(text), style=style), soft_wrap=True)

    diagnosis = body.get("diagnosis") or {}
    if body.get("recorded_utc"):
        line(f"as it stood at {body.get('at_utc')} (journaled {body['recorded_utc']})")
    line(f"{body.get('service')}: {diagnosis.get('code', 'no diagnosis')}", "bold")
    if diagnosis:
        confirmed = "confirmed" if diagnosis.get("confirmed") else "not confirmed yet"
        line(f"  {diagnosis.get('sentence', '')} ({confirmed}; cause: {diagnosis.get('cause')})")
        for text in (*_evidence(diagnosis, "  "), *_root_lines(diagnosis.get("root") or {})):
            line(text)
    decision = body.get("decision") or {}
    verb = str(decision.get("verb", "none"))
    line(f"decision: {verb}: {decision.get('reason', '')}", style_of(verb))
    if body.get("would"):
        line(f"  {body['would']}")
    for gate in decision.get("gates", []):
        print_gate(line, gate)
        todo = advice_of(gate, str(diagnosis.get("code")))
        if verb in ("hold", "ask") and gate.get("passed") is False and todo:
            line(f"      what to do: {todo}")
    for probe in body.get("probes") or []:
        print_declared(line, probe)
    for warning in body.get("warnings") or []:
        source = f" ({warning['source']})" if warning.get("source") else ""
        line(f"  early warning {warning.get('code')}{source}: {warning.get('sentence')}", "yellow")
    for moment in body.get("moments") or []:
        stopped = f", stopped by {moment['stopped_by']}" if moment.get("stopped_by") else ""
        line(f"  decided at {moment['at_utc']}: {moment['code']}: {moment['verb']}{stopped}")
    proof = body.get("proof") or {}
    if proof:
        word = "complete" if proof.get("complete") else "NOT complete"
        line(
            f"proof of every acknowledged write, if the primary were lost now: {word}: {proof.get('reason')}"
        )
    for ready in body.get("readiness") or []:
        word = {True: "pass", False: "fail"}.get(ready.get("ok"), "unknown")
        hint = f" ({ready['hint']})" if ready.get("hint") and word != "pass" else ""
        line(f"  {mark_of(word)} {ready.get('what')}: {ready.get('text')}{hint}", style_of(word))


def print_declared(line: Any, probe: Mapping[str, Any]) -> None:
    """One declared probe: evidence, whatever it says."""
    health = str(probe.get("health"))
    flapping = ", flapping" if probe.get("flapping") else ""
    detail = probe.get("detail") or probe.get("why") or ""
    about = f"{probe.get('name')} ({probe.get('type')} of {probe.get('about')})"
    line(f"  probe {about}: {health}{flapping}: {detail}", style_of(health))


def advice_of(gate: Mapping[str, Any], code: str) -> str:
    """What a person does about the gate; '' if nothing is known. It is written for a page: its links lead
    nowhere on a terminal."""
    name = str(gate.get("name"))
    todo = CODE_ADVICE.get(code, "") if name == "diagnosis" else ""
    if not todo and name != "diagnosis" and name in GATE_ADVICE:
        todo = GATE_ADVICE[name].todo
    return re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", todo)


def print_gate(line: Any, gate: Mapping[str, Any]) -> None:
    """line: prints a text in a style. Records of earlier versions have no inputs."""
    word = {True: "pass", False: "fail"}.get(gate.get("passed"), "unknown")  # type: ignore[arg-type]
    rule = f" [{gate['rule']}]" if gate.get("rule") else ""
    line(f"  {mark_of(word)} {gate.get('name')}{rule}: {gate.get('reason', '')}", style_of(word))
    inputs = dict(gate.get("inputs") or {})
    ranking = inputs.pop("ranking", [])
    if inputs:
        line("      " + ", ".join(f"{k} = {_input(v)}" for k, v in inputs.items()), "dim")
    for ranked in ranking:
        place = f"{ranked['place']}." if ranked.get("place") else "not"
        line(f"      {place} {ranked.get('member')}: {ranked.get('why')}", "dim")


def _input(value: object) -> str:
    """One value that a gate looked at, as it stands in JSON, a text without its quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
