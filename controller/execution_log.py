"""The log of one execution: every step with who, when, what it was given, what came of it. Pure.

One entry per record of the journal, in its order. Times are told twice: on the wall, and from T0 (the last
good observation; of a planned switch from when writes were stopped; else from the execution's beginning).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from config.secrets import is_secret_key
from controller import fields
from controller.executions import Execution, find_execution
from controller.phases import Instant, read_timings, signed_between, wall_text
from model import events as ev
from model.events import Event

# Of a text in the log; what is longer stands in the journal as a whole, or in the file that the step names.
LONGEST: Final = 2000
MASKED: Final = "********"


@dataclass(frozen=True, slots=True)
class Entry:
    """One record. offset_s: from T0, None where no clock tells. step: empty for the execution itself. who: a
    person or the daemon. text: one line. data: the record's, with secrets masked."""

    seq: int
    at_utc: str
    offset_s: float | None
    who: str
    type: str
    step: str
    attempt: int | None
    text: str
    outcome: str = ""
    took_s: float | None = None
    budget_s: float | None = None
    over_budget_s: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "seq": self.seq, "at_utc": self.at_utc, "offset_s": self.offset_s, "who": self.who,
            "type": self.type, "step": self.step, "attempt": self.attempt, "text": self.text,
            "outcome": self.outcome, "took_s": self.took_s, "budget_s": self.budget_s,
            "over_budget_s": self.over_budget_s, "details": dict(self.details),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ExecutionLog:
    """since: what the offsets count from."""

    execution: Execution
    since: str
    entries: tuple[Entry, ...]

    def to_json(self) -> dict[str, Any]:
        run = self.execution
        return {
            "id": run.id, "service": run.service, "incident": run.incident, "runbook": run.runbook,
            "digest": run.digest, "mode": run.mode, "trigger": run.trigger, "actor": run.actor,
            "state": run.state, "reason": run.reason, "offsets_from": self.since,
            "entries": [entry.to_json() for entry in self.entries],
        }  # fmt: skip


def execution_log(events: Sequence[Event], execution_id: str) -> ExecutionLog:
    """events: the journal, or at least those of the execution and of its incident. Raises UsageError."""
    run = find_execution(events, execution_id)
    incident = [e for e in events if e.incident is not None and e.incident == run.incident]
    t0 = read_timings(incident).marks.get("T0")
    budgets = {step.id: step.budget_ms for step in run.steps}
    own = [e for e in events if e.execution == execution_id]
    spent: dict[str, int] = {}
    entries = tuple(_entry(event, t0 or run.opened, budgets, spent) for event in own)
    return ExecutionLog(run, "T0" if t0 is not None else "its beginning", entries)


def as_text(log: Mapping[str, Any]) -> Iterator[str]:
    """Lines for a terminal. log: `ExecutionLog.to_json`."""
    yield (
        f"{log['id']}: {log['runbook']} on {log['service']}, mode {log['mode']}, by {log['actor']}; "
        f"incident {log['incident'] or '-'}"
    )
    yield f"digest {log['digest']}; offsets count from {log['offsets_from']}"
    for entry in log["entries"]:
        name = f"{entry['step']} " if entry["step"] else ""
        line = f"{entry['at_utc']} {_offset(entry):>12} {entry['who']:<12} {name}{entry['text']}"
        yield line + _time(entry)
        for key, value in entry["details"].items():
            yield from (f"{'':<28}{key}: {line}" for line in _lines(value))
    yield f"{log['id']} is {log['state']}" + (f": {log['reason']}" if log["reason"] else "")


def as_jsonl(log: Mapping[str, Any]) -> Iterator[str]:
    """One JSON object a record."""
    for entry in log["entries"]:
        yield json.dumps({"execution": log["id"], **entry}, ensure_ascii=False)


def as_markdown(log: Mapping[str, Any]) -> Iterator[str]:
    """A page for an incident's review."""
    yield f"# {log['id']}: {_cell(log['runbook'])} on {_cell(log['service'] or '-')}"
    yield ""
    yield f"State **{log['state']}**" + (f": {_cell(log['reason'])}" if log["reason"] else "")
    yield ""
    yield (
        f"Mode {log['mode']}, trigger {log['trigger']}, by {_cell(log['actor'])}; "
        f"incident {log['incident'] or '-'}; runbook digest `{log['digest']}`. "
        f"Offsets count from {log['offsets_from']}."
    )
    yield ""
    yield "| record | when | offset | who | step | what | time |"
    yield "|---:|---|---:|---|---|---|---|"
    for entry in log["entries"]:
        time = _time(entry).strip(" ()")
        cells = (
            str(entry["seq"]), entry["at_utc"], _offset(entry), entry["who"], entry["step"] or "-",
            entry["text"], time,
        )  # fmt: skip
        yield "| " + " | ".join(_cell(cell) for cell in cells) + " |"
    for entry in log["entries"]:
        if entry["details"]:
            yield ""
            yield f"## {entry['seq']}: {_cell(entry['step'] or log['id'])}, {_cell(entry['type'])}"
            for key, value in entry["details"].items():
                yield from ("", f"{key}:", "")
                yield from (f"    {line}" for line in _lines(value))


def masked(value: Any, key: str = "") -> Any:
    """The same with what a key calls a secret hidden, at any depth; a reference to one may be told."""
    if isinstance(value, Mapping):
        return {k: masked(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, key) for item in value]
    if isinstance(value, str) and value and is_secret_key(key):
        return MASKED
    return value


def _entry(event: Event, since: Instant, budgets: Mapping[str, int | None], spent: dict[str, int]) -> Entry:
    data = event.data
    step = fields.text(data, "step")
    took_ns = fields.integer(data, "took_ns")
    if took_ns is not None and event.type == ev.STEP_RESULT:
        spent[step] = spent.get(step, 0) + took_ns
    budget_ms = budgets.get(step) if event.type == ev.STEP_RESULT else None
    over = None
    if budget_ms is not None:
        over = max(0, round(spent.get(step, 0) / 1e6) - budget_ms) / 1000
    return Entry(
        seq=event.seq,
        at_utc=event.wall_utc,
        offset_s=signed_between(since, Instant.of(event)).seconds,
        who=event.actor,
        type=event.type,
        step=step,
        attempt=fields.integer(data, "attempt"),
        text=_text(event),
        outcome=fields.text(data, "outcome"),
        took_s=None if took_ns is None else round(took_ns / 1e9, 6),
        budget_s=None if budget_ms is None else budget_ms / 1000,
        over_budget_s=over,
        details=_details(event),
    )


def _text(event: Event) -> str:
    data = event.data

    def word(key: str) -> str:
        return fields.text(data, key)

    match event.type:
        case ev.EXECUTION_OPENED:
            return f"begins: {word('runbook')}, {word('trigger')}"
        case ev.STEP_INTENT:
            again = f" (attempt {data.get('attempt')}: {word('why')})" if word("why") else ""
            return f"begins: {word('action')}{again}"
        case ev.STEP_RESULT:
            said = f": {_cut(word('detail'))}" if word("detail") else ""
            return f"{word('outcome')}{said}" + (f" [{word('reason')}]" if word("reason") else "")
        case ev.UNDO_INTENT:
            return "is taken back"
        case ev.UNDO_RESULT:
            return f"taken back: {word('outcome')}" + (f": {_cut(word('detail'))}" if word("detail") else "")
        case ev.STEP_ASKED:
            until = wall_text(fields.integer(data, "expires_wall_ns") or 0)
            return f"asks for {word('kind')} until {until}: {_cut(word('text'))}"
        case ev.STEP_ANSWERED:
            return f"answer: {word('word')}" + (f": {word('reason')}" if word("reason") else "")
        case ev.CLOCK_MARK:
            return f"mark {word('mark')}" + (f" ({word('note')})" if word("note") else "")
        case ev.EXECUTION_CLOSED:
            return f"ends {word('state')}: {_cut(word('reason'))}"
        case _:
            reason = word("reason")
            return event.type + (f": {_cut(reason)}" if reason else "")


def _details(event: Event) -> dict[str, Any]:
    """What a reviewer asks for next: commands and resolved inputs, output, the execution's variables."""
    wanted = {
        ev.STEP_INTENT: ("commands", "inputs"),
        ev.STEP_RESULT: ("output",),
        ev.EXECUTION_OPENED: ("digest", "vars"),
    }.get(event.type, ())
    return {key: masked(event.data[key]) for key in wanted if event.data.get(key)}


def _lines(value: Any) -> list[str]:
    """Of a list its items, of a mapping its pairs; texts are bounded."""
    if isinstance(value, Mapping):
        return [f"{key}={_cut(_plain(item))}" for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [_cut(_plain(item)) for item in value]
    return [_cut(_plain(value))]


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("\n", "\\n")


def _cut(text: str) -> str:
    more = len(text) - LONGEST
    return text if more <= 0 else f"{text[:LONGEST]}… ({more} more characters)"


def _offset(entry: Mapping[str, Any]) -> str:
    return "?" if entry["offset_s"] is None else f"{entry['offset_s']:+.3f} s"


def _time(entry: Mapping[str, Any]) -> str:
    if entry["took_s"] is None:
        return ""
    budget = "" if entry["budget_s"] is None else f" of {entry['budget_s']:g} s"
    over = f", {entry['over_budget_s']:g} s over" if entry["over_budget_s"] else ""
    return f" ({entry['took_s']:.3f} s{budget}{over})"


def _cell(text: str) -> str:
    """Markdown of one table cell: no pipes, no new lines, no markup of others."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("`", "'").replace("<", "&lt;")
