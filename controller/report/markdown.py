"""The report as a page: Markdown, from the data of `content`. What comes from outside is always escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controller import fields
from controller.report.content import report_json
from controller.report.escape import block, code, escaped, json_block
from controller.report.words import Words
from model.events import Event

Json = Mapping[str, Any]
_SKIPPED = "skipped"


def report_markdown(events: Iterable[Event], incident_id: str, lang: str = "en") -> str:
    """The page. lang: `en` or `zh`. Raises UsageError if the journal knows no such incident."""
    return page(report_json(events, incident_id), lang)


def page(report: Json, lang: str = "en") -> str:
    """The page of a report as `report_json` gives it."""
    words = Words(lang)
    incident = fields.mapping(report, "incident")
    lines = [f"# {words('title')} {escaped(incident.get('id'))}", ""]
    for section in (
        _overrides,
        _summary,
        _declared,
        _parts,
        _targets,
        _verdict,
        _clock,
        _diagnosis,
        _decisions,
        _held,
        _executions,
        _people,
        _timeline,
        _frozen,
        _journal,
    ):
        found = section(report, words)
        lines += [*found, ""] if found else []
    return "\n".join(lines).rstrip() + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Cells are Markdown already."""
    return [
        f"| {' | '.join(heads)} |",
        f"| {' | '.join('---' for _ in heads)} |",
        *(f"| {' | '.join(cell or ' ' for cell in row)} |" for row in rows),
    ]


def _seconds(value: Any, words: Words) -> str:
    return f"{value:.3f} s" if isinstance(value, int | float) else words("not_observed")


def _overrides(report: Json, words: Words) -> list[str]:
    """On page one, whatever else there is."""
    found = fields.mappings(report, "overrides")
    if not found:
        return [f"{words('no_overrides')}"]
    rows = [
        f"- **{escaped(o.get('rule'))}** — {escaped(o.get('person'))}, {escaped(o.get('at_utc'))}: "
        f"{escaped(o.get('reason'))}"
        for o in found
    ]
    return [f"## ⚠ {words('overrides')}", "", *rows]


def _summary(report: Json, words: Words) -> list[str]:
    incident = fields.mapping(report, "incident")
    opening = fields.mapping(fields.mapping(report, "diagnosis"), "opening")
    sentence = incident.get("sentence_zh" if words.chinese else "sentence") or incident.get("sentence")
    rows = [
        (words("service"), escaped(incident.get("service"))),
        (words("state"), escaped(incident.get("state"))),
        (words("level"), escaped(incident.get("level"))),
        (words("code"), code(incident.get("code"))),
        (words("cause"), escaped(opening.get("cause") or words("not_known"))),
        (words("sentence"), escaped(sentence)),
        (words("member"), escaped(opening.get("member") or words("none"))),
        (words("primary"), escaped(incident.get("primary") or words("not_known"))),
        (words("by_hand"), words("yes" if incident.get("manual") is True else "no")),
    ]
    rows += [(words(key), escaped(incident.get(key))) for key in ("root", "part_of") if incident.get(key)]
    return [f"## {words('summary')}", "", *_table(["", ""], rows), *_consequences(incident, words)]


def _declared(report: Json, words: Words) -> list[str]:
    """Of a declared disaster: by whom and why, and how far its plan has come."""
    plan = fields.mapping(report, "plan")
    if not plan:
        return []
    rows = [
        (escaped(s.get("service")), escaped(s.get("from")), escaped(s.get("to") or words("none")),
         escaped(", ".join(fields.texts(s, "after"))), escaped(s.get("state")), escaped(s.get("why")))
        for s in fields.mappings(plan, "steps")
    ]  # fmt: skip
    heads = [words(k) for k in ("service", "from", "to", "after", "state", "detail")]
    lines = [
        f"## {words('declared')}",
        "",
        f"{escaped(plan.get('tier'))}, {escaped(plan.get('scope'))}: {escaped(plan.get('state'))}",
        "",
        f"{words('declared_by')} {escaped(plan.get('person'))}: {escaped(plan.get('reason'))}",
    ]
    lines += ["", *_table(heads, rows)] if rows else []
    stays = [
        f"- {escaped(s.get('service'))}: {escaped(s.get('reason'))}" for s in fields.mappings(plan, "staying")
    ]
    return [*lines, "", *stays] if stays else lines


def _parts(report: Json, words: Words) -> list[str]:
    """Incidents that are one with it; each has its own clock and verdict."""
    found = fields.mappings(report, "parts")
    if not found:
        return []
    rows = [
        (escaped(p.get("id")), escaped(p.get("service")), escaped(p.get("level")), escaped(p.get("state")),
         code(p.get("code")), _seconds(p.get("rto_s"), words), escaped(p.get("rpo") or words("not_known")))
        for p in found
    ]  # fmt: skip
    heads = [words(k) for k in ("incident", "service", "level", "state", "code", "rto_good", "rpo")]
    return [f"## {words('parts')}", "", *_table(heads, rows)]


def _consequences(incident: Json, words: Words) -> list[str]:
    """Services that suffer from the same root, with their own incidents."""
    found = fields.mappings(incident, "consequences")
    if not found:
        return []
    rows = [
        (escaped(c.get("service")), code(c.get("code")) if c.get("code") else words("none"),
         escaped(c.get("incident") or words("none")), escaped(c.get("root")))
        for c in found
    ]  # fmt: skip
    heads = [words(k) for k in ("service", "code", "incident", "root")]
    return ["", f"### {words('consequences')}", "", *_table(heads, rows)]


def _targets(report: Json, words: Words) -> list[str]:
    rto, rpo = fields.mapping(report, "rto"), fields.mapping(report, "rpo")
    target_s, met = rto.get("target_s"), rto.get("met")
    target = words("not_known") if target_s is None else _seconds(target_s, words)
    reached = words("not_known") if met is None else words("yes" if met is True else "no")
    lost_s = rpo.get("target_s")
    verdict = rpo.get("verdict")
    kept = {"ZERO_PROVEN": "yes", "LOSS": "no" if lost_s == 0 else "not_known"}.get(str(verdict), "not_known")
    rows = [
        (words("rto_good"), target, _seconds(rto.get("actual_s"), words), reached),
        (words("rto_bad"), "", _seconds(rto.get("from_first_bad_s"), words), ""),
        (
            words("rpo"),
            words("not_known") if lost_s is None else _seconds(lost_s, words),
            escaped(verdict or words("not_known")),
            words(kept),
        ),
        (words("below_copies"), "", _seconds(rto.get("below_copies_s"), words), ""),
    ]
    lines = [f"## {words('targets')}", ""]
    lines += _table([words(k) for k in ("measure", "target", "actual", "met")], rows)
    if rto.get("estimated") is True:
        error = rto.get("estimated_error_us")
        lines += ["", f"{words('estimated')} (± {words('not_known') if error is None else f'{error} µs'})"]
    return lines


def _verdict(report: Json, words: Words) -> list[str]:
    rpo = fields.mapping(report, "rpo")
    lines = [f"## {words('verdict')}", ""]
    if rpo.get("verdict") is None:
        return [*lines, words("no_verdict")]
    lines += [f"**{escaped(rpo.get('label'))}**", ""]
    lines += [f"- {words('reason')}: {escaped(rpo.get('reason'))}"]
    lines += [f"- {words('method')}: {escaped(rpo.get('method'))}", "", f"{words('not_covered')}:", ""]
    lines += [f"- {escaped(text)}" for text in fields.texts(rpo, "not_covered")] or [f"- {words('none')}"]
    lines += ["", f"{words('inputs')}:", "", *json_block(rpo.get("inputs"))]
    for earlier in fields.mappings(rpo, "earlier"):
        lines += ["", f"{code(earlier.get('execution'))}: {escaped(earlier.get('label'))}"]
    return lines


def _clock(report: Json, words: Words) -> list[str]:
    rto = fields.mapping(report, "rto")
    marks, phases = fields.mapping(rto, "marks"), fields.mapping(rto, "phases")
    rows = []
    for name, mark in marks.items():
        seen = mark if isinstance(mark, Mapping) else {}
        at = escaped(seen.get("at_utc")) if seen else words("not_observed")
        since = _seconds(seen.get("since_t0_s"), words) if seen else ""
        rows.append((escaped(name), words.mark(name), at, since))
    lines = [f"## {words('clock')}", ""]
    lines += _table([words(k) for k in ("mark", "meaning", "time", "since_t0")], rows)
    spans = [(words.phase(name), _seconds(value, words)) for name, value in phases.items()]
    waited = rto.get("human_wait_s")
    spans.append((words("human_wait"), words("nobody_waited") if waited is None else _seconds(waited, words)))
    return [*lines, "", *_table([words("phase"), words("took")], spans)]


def _evidence(diagnosis: Json, words: Words) -> list[str]:
    lines = []
    for title, key in (("for", "evidence_for"), ("against", "evidence_against")):
        lines += [f"{words(title)}:", ""]
        lines += [f"- {escaped(text)}" for text in fields.texts(diagnosis, key)] or [f"- {words('none')}"]
        lines.append("")
    return lines


def _diagnosis(report: Json, words: Words) -> list[str]:
    found = fields.mapping(report, "diagnosis")
    opening = fields.mapping(found, "opening")
    lines = [
        f"## {words('diagnosis')}",
        "",
        f"{code(opening.get('code'))} {escaped(opening.get('member') or '')}",
    ]
    lines += ["", *_evidence(opening, words)]
    for change in fields.mappings(found, "changes"):
        since = _seconds(change.get("since_t0_s"), words)
        lines += [f"### {escaped(change.get('code'))} ({since})", "", *_evidence(change, words)]
    return lines[:-1]


def _decisions(report: Json, words: Words) -> list[str]:
    lines = [f"## {words('decisions')}", ""]
    for decision in fields.mappings(report, "decisions"):
        to = decision.get("candidate")
        lines += [
            f"### {escaped(decision.get('verb'))} ({_seconds(decision.get('since_t0_s'), words)})",
            "",
            f"{escaped(decision.get('reason'))} {f'→ {escaped(to)}' if to else ''}".rstrip(),
            "",
        ]
        rows = [
            (escaped(g.get("name")), _passed(g, words), escaped(g.get("rule")), escaped(g.get("reason")))
            for g in fields.mappings(decision, "gates")
        ]
        lines += [*_table([words(k) for k in ("gate", "result", "rule", "reason")], rows), ""]
    return lines[:-1] if fields.items(report, "decisions") else [*lines, words("none")]


def _passed(gate: Json, words: Words) -> str:
    return {True: "✓", False: "✗"}.get(gate.get("passed"), words("not_known"))  # type: ignore[arg-type]


def _held(report: Json, words: Words) -> list[str]:
    rows = [
        f"- {_seconds(d.get('since_t0_s'), words)}: **{escaped(d.get('verb'))}** "
        f"{code(d.get('stopped_by') or '')} {escaped(d.get('reason'))}"
        + (f" (**would {escaped(d.get('runbook'))}**)" if d.get("would") is True else "")
        for d in fields.mappings(report, "held")
    ]
    return [f"## {words('held')}", "", *(rows or [words("none")])]


def _executions(report: Json, words: Words) -> list[str]:
    lines = [f"## {words('executions')}", ""]
    runs = fields.mappings(report, "executions")
    for run in runs:
        lines += _execution(run, words)
    return lines[:-1] if runs else [*lines, words("none")]


def _execution(run: Json, words: Words) -> list[str]:
    lines = [
        f"### {escaped(run.get('id'))}: {escaped(run.get('runbook'))} — {escaped(run.get('state'))}",
        "",
        f"{escaped(run.get('mode'))}, {escaped(run.get('trigger'))}, {escaped(run.get('actor'))}, "
        f"{_seconds(run.get('took_s'), words)}. {escaped(run.get('reason') or '')}".rstrip(),
        "",
        f"runbook {code(run.get('digest'))}",
        "",
    ]
    steps = fields.mappings(run, "steps")
    rows = []
    for step in steps:
        attempts = fields.mappings(step, "attempts")
        last: Json = attempts[-1] if attempts else {}
        took = "" if not last or last.get("outcome") == _SKIPPED else _seconds(last.get("took_s"), words)
        detail = last.get("detail") or last.get("reason") or ""
        rows.append((escaped(step.get("id")), escaped(step.get("state")), took, escaped(detail)))
    lines += [*_table([words(k) for k in ("step", "outcome", "took", "detail")], rows), ""]
    for step in steps:
        lines += _step(step, words)
    return lines


def _step(step: Json, words: Words) -> list[str]:
    """Every attempt with its commands and output; a step that never began has nothing to show."""
    lines: list[str] = []
    attempts = [a for a in fields.mappings(step, "attempts") if a.get("outcome") != _SKIPPED]
    tries = [(words("step"), a) for a in attempts]
    undo = fields.mapping(step, "undo")
    tries += [(words("undo"), undo)] if undo else []
    for kind, attempt in tries:
        began = _seconds(attempt.get("began_s"), words)
        name = f"{escaped(step.get('id'))} ({escaped(step.get('action'))}) {escaped(attempt.get('attempt'))}"
        why = f"{escaped(attempt.get('detail') or '')} {escaped(attempt.get('reason') or '')}"
        lines += [f"#### {kind} {name}: {escaped(attempt.get('outcome') or words('not_known'))}", ""]
        lines += [f"+{began}, {words('took')} {_seconds(attempt.get('took_s'), words)}. {why}".rstrip(), ""]
        commands = fields.texts(attempt, "commands")
        if commands:
            lines += [f"{words('commands')}:", "", *block("\n".join(commands)), ""]
        output = fields.mapping(attempt, "output")
        if output:
            lines += [f"{words('output')}:", "", *json_block(output), ""]
    return lines


def _no(approval: Json, words: Words) -> str:
    said = fields.mapping(approval, "rejected")
    return f"; {words('no')}: {escaped(said.get('person'))}: {escaped(said.get('reason'))}" if said else ""


def _people(report: Json, words: Words) -> list[str]:
    people = [escaped(p) for p in fields.texts(report, "people")]
    lines = [f"## {words('people')}", "", ", ".join(people) or words("none")]
    approvals = fields.mappings(report, "approvals")
    lines += ["", f"## {words('approvals')}", ""]
    lines += [
        f"- {code(a.get('approval'))} {escaped(a.get('what'))}: {escaped(a.get('requester'))} → "
        f"{', '.join(escaped(p) for p in fields.items(a, 'given_by')) or words('no')}" + _no(a, words)
        for a in approvals
    ] or [words("none")]
    lines += ["", f"## {words('pages')}", ""]
    lines += [
        f"- {code(p.get('page'))} {escaped(p.get('severity'))}: {escaped(p.get('summary'))} "
        f"(✓ {', '.join(escaped(c) for c in fields.items(p, 'delivered')) or words('none')}; "
        f"✗ {', '.join(escaped(c) for c in fields.items(p, 'failed')) or words('none')})"
        for p in fields.mappings(report, "pages")
    ] or [words("none")]
    return lines


def _timeline(report: Json, words: Words) -> list[str]:
    several = bool(fields.mappings(report, "parts"))
    rows = [
        (
            str(line.get("seq")),
            *([escaped(line.get("service"))] if several else []),
            escaped(line.get("at_utc")),
            _seconds(line.get("since_t0_s"), words),
            escaped(line.get("text")),
            escaped(line.get("actor")),
        )
        for line in fields.mappings(report, "timeline")
    ]
    whose = ["service"] if several else []
    heads = ["seq", *(words(k) for k in (*whose, "time", "since_t0", "event", "actor"))]
    return [f"## {words('timeline')}", "", *_table(heads, rows)]


def _frozen(report: Json, words: Words) -> list[str]:
    frozen = fields.mapping(report, "frozen")
    lines = [f"## {words('frozen')}", "", *json_block(frozen.get("facts"))]
    raw = fields.mapping(frozen, "raw_observations")
    if raw:
        lines += ["", f"{words('raw')}: {code(raw.get('file'))}, SHA-256 {code(raw.get('sha256'))}"]
    clocks = [
        f"- {escaped(c.get('writer'))}, boot {code(c.get('boot_id'))}: "
        + (words("not_known") if c.get("worst_offset_us") is None else f"± {c['worst_offset_us']} µs")
        for c in fields.mappings(report, "clocks")
    ]
    return [*lines, "", f"{words('clocks')}:", "", *clocks]


def _journal(report: Json, words: Words) -> list[str]:
    journal = fields.mapping(report, "journal")
    head, closed = fields.mapping(journal, "head"), fields.mapping(journal, "closed_head")
    signature = closed.get("signature")
    lines = [
        f"## {words('journal')}",
        "",
        f"- {words('head')}: {head.get('seq')} {code(head.get('hash'))}",
    ]
    if closed.get("seq") is None:
        return [*lines, f"- {words('not_signed')}", "", words("verify")]
    lines.append(f"- {words('closed_head')}: {closed.get('seq')} {code(closed.get('hash'))}")
    lines.append(f"- {words('signature')}: {code(signature) if signature else words('not_known')}")
    return [*lines, "", words("verify")]
