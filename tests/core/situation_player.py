"""Plays a situation (tests/situations/*.yaml) through fold → view → diagnose → decide.

A situation is written for people who run databases: what each probe saw when, and what is made of it.

    what: one sentence
    rule: P13                      # the rule that it stands for
    lesson: hung-and-open          # of docs/lessons.md, if it shows one
    calm: true                     # the default: all answer for 3 s before 0.0; false: nothing was seen
    engine: redis                  # postgresql, if not given; situation_engines.py has what members say
    service: {profile: fast, …}    # fields of ServiceView, where they are not the default
    members: {pg3: {site_role: dr, facts: {…}}}   # fields of MemberView; facts of every good reading
    declared: {smtp: network}      # the probes of a generic service, with their layers
    endpoint: [vip]                # probes that look at the service as its clients do
    around: {mode: observe, …}     # fields of DecisionInput; of them
      approval: {level: II, persons: 2, approvers: [wang, ada], given: [wang], refused: …, left_s: 60}
      lost_role: {pg2: 600}        # who lost the primary's role to a failover, how many seconds ago
      out_too: {ldap: moving}      # other services: confirming, due (to fail over next) or moving
      needs: [ldap]                # those that this one needs
      importance: {orders: low}    # of services, where it is not normal
      command: {tier: natural, scope: "site:dc1", leaving: [pg1], waits_for: [db]}   # a declared disaster
    observers:                     # several: the first is the one that judges, and has `seen`
      ops1: {site: a}
      ops2: {site: b, seen: [0.10..3.00/0.25+0.50 pg1 silent]}   # what this one saw, on our clock
      ops3: {site: w, like: true}  # sees what we see; sane, why: what it says of itself (default: true)
      ops4: {site: b, until: -2.0} # nothing comes from it that it saw later
    seen:
      - 0.00 pg1 closed
      - 0.02..0.08/0.02 pg1 refused            # several: first..last/step
      - 0.00..2.00/0.25+0.50 pg1 silent        # +how long each took (5 ms, if not given)
      - 0.50 pg1/canary sync_blocked           # the canary's probe; pg1/icmp is the host's
      - 0.60 pg1 ok timeline=2 late            # facts of this reading; `late`: after its deadline
    expect:
      - {at: 0.09, code: PrimaryProcessDown, verb: act, candidate: pg2}
      - {at: 0.09, lasts: 35m, grown: II}      # the incident's level by then; was: II, the level before

What is true of one engine's members only is not told of others': a pool has no primary and no canary.
Members that a `seen` does not name go on answering until the moment that is judged; a primary that it names
has no canary but the one that is written down. Times are seconds; 0.0 is when the trouble begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from config.services import Importance
from controller.approval_rules import DAEMON, ApprovalState, Rule, Standing, judge_approval
from controller.decide import decide
from controller.detect import age
from controller.detect_count import fold_count
from controller.diagnose import diagnose
from controller.engines import ENGINES, POSTGRESQL, Engine
from controller.flapping import described
from controller.gates import DecisionInput
from controller.hearing import Hearing, answered
from controller.order import Claim, FailoverOrder, Stage, Turn
from controller.supervisor.judgement import candidates
from controller.tally import tally, third_places
from controller.views import CANARY, DeclaredView, MemberView, ObserverView, ServiceView
from model.decision import Decision
from model.diagnosis import Diagnosis
from model.disaster import Command, Scope, Tier
from model.health import PROFILES, ProbeState, Profile
from model.observation import Failure, Layer, Observation, Outcome
from model.quorum import parse_synchronous_standby_names
from tests.core.situation_engines import MEMBERS, SITES, SYSTEM, facts_of

ORIGIN_S = 1000.0
_LINE = re.compile(
    r"(?P<first>[\d.]+?)(?:\.\.(?P<last>[\d.]+)/(?P<step>[\d.]+))?(?:\+(?P<took>[\d.]+))?"
    r"\s+(?P<member>[\w.-]+?)(?:/(?P<probe>\w+))?\s+(?P<result>\w+)(?P<rest>.*)"
)
# What the probes report as "could not find out".
_UNKNOWN = {"local", "credentials", "lock_blocked"}
NO_RETURN_S = 3600
BUDGET = 3
# Of a declared probe: failures in a row that make it `down`, successes that make it `up` again.
_FALL, _RISE = 3, 2


@dataclass(frozen=True)
class Judged:
    view: ServiceView
    diagnosis: Diagnosis
    decision: Decision


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


class Situation:
    def __init__(self, described: Mapping[str, Any]) -> None:
        self.described = described
        self.engine: Engine = ENGINES[described.get("engine", "postgresql")]
        names = MEMBERS[self.engine.name]
        service = dict(described.get("service", {}))
        self.profile: Profile = PROFILES[service.pop("profile", "balanced")]
        self.primary: str | None = service.pop("primary", names[0] if self.engine.primaries else None)
        texts = service.pop("settings", ["ANY 1 (pg2, pg3)"] if self.engine is POSTGRESQL else [])
        self.view_fields: dict[str, Any] = {
            "settings": tuple(parse_synchronous_standby_names(t) for t in texts),
            "intended_setting": "ANY 1 (pg1, pg2, pg3)" if self.engine is POSTGRESQL else None,
            "observer_sane": True,
            "rpo_s": 0.0,
            "system_identifier": SYSTEM if self.engine is POSTGRESQL else None,
            **service,
        }
        self.layers = {name: Layer(layer) for name, layer in described.get("declared", {}).items()}
        self.endpoint: list[str] = list(described.get("endpoint", []))
        self.seen: list[str] = list(described.get("seen", []))
        self.observers = dict(described.get("observers", {}))
        for own in list(self.observers)[:1]:
            self.view_fields.update(observer=own, observer_site=self.observers.pop(own)["site"])
        marks = self.view_fields.get("high_water", {})
        self.view_fields["high_water"] = {m: tuple(mark) for m, mark in marks.items()}
        told = described.get("members", {})
        self.members = {name: dict(told.get(name) or {}) for name in dict.fromkeys([*names, *told])}
        for name in described.get("without", []):
            del self.members[name]

    def judge(self, expected: Mapping[str, Any]) -> Judged:
        now_s = ORIGIN_S + expected["at"]
        view = self.view(now_s, expected.get("vetoes", []))
        return judge(view, now_s, {**self.described.get("around", {}), **expected.get("around", {})})

    def view(self, now_s: float, vetoes: list[str]) -> ServiceView:
        seen = list(self._observations(now_s, self.seen, canary=True))
        aged = self._folded(seen, now_s)
        return ServiceView(
            name="orders",
            profile=self.profile,
            primary=self.primary,
            members=[self._member(name, aged, name in vetoes) for name in self.members],
            elsewhere=tuple(self._elsewhere(name, now_s, **told) for name, told in self.observers.items()),
            hearing=self._hearing(seen),
            endpoint={name: aged[name, "declared"] for name in self.endpoint},
            engine=self.engine,
            declared=tuple(
                DeclaredView(name, layer, aged.get((name, "declared"), ProbeState(name, "declared")))
                for name, layer in self.layers.items()
            ),
            **self.view_fields,
        )

    def _hearing(self, seen: Iterable[Observation]) -> Hearing:
        hearing = Hearing()
        for observation in sorted(seen, key=lambda o: o.ended_s):
            if (observation.target != self.primary or observation.probe == "icmp") and answered(observation):
                hearing.heard(observation.started_s, self.profile.interval_s)
        return hearing

    def _folded(self, seen: Iterable[Observation], now_s: float) -> dict[tuple[str, str], ProbeState]:
        states: dict[tuple[str, str], ProbeState] = {}
        for observation in sorted(seen, key=lambda o: o.ended_s):
            key = (observation.target, observation.probe)
            before = states.get(key, ProbeState(*key))
            states[key] = self._fold(before, observation)
        return {key: age(state, now_s, self.profile) for key, state in states.items()}

    def _fold(self, before: ProbeState, seen: Observation) -> ProbeState:
        if seen.probe == "declared":
            return fold_count(before, seen, _FALL, _RISE)
        return self.engine.fold_of(seen.probe)(before, seen, self.profile)

    def _probe(self, target: str, told: str | None) -> str:
        if target in self.layers or target in self.endpoint:
            return "declared"
        return {None: self.engine.probe, "canary": CANARY, "icmp": "icmp"}[told]

    def _elsewhere(
        self,
        name: str,
        now_s: float,
        *,
        site: str,
        seen: Iterable[str] = (),
        like: bool = False,
        until: float | None = None,
        sane: bool | None = True,
        why: str = "",
    ) -> ObserverView:
        until_s = now_s if until is None else min(now_s, ORIGIN_S + until)
        lines = [text for text in self.seen if "/canary" not in text] if like else list(seen)
        states = self._folded(self._observations(until_s, lines, canary=False), now_s)
        own = self.engine.probe
        return ObserverView(
            name,
            site,
            sane,
            why,
            members={m: states.get((m, own)) or ProbeState(m, own) for m in self.members},
            hosts={m: {p: s for (of, p), s in states.items() if of == m and p != own} for m in self.members},
        )

    def _member(self, name: str, states: Mapping[tuple[str, str], ProbeState], vetoes: bool) -> MemberView:
        allowed = {f.name for f in fields(MemberView) if f.init}
        told = {k: v for k, v in self.members[name].items() if k in allowed}
        view = MemberView(
            name=name,
            application_name=name,
            role="primary" if name == self.primary else "standby",
            node=f"db{name[-1]}",
            site=SITES.get(name, "b"),
            preference=100,
            excluded=False,
            probes={p: s for (m, p), s in states.items() if m == name and p != "icmp"},
            node_probes={p: s for (m, p), s in states.items() if m == name and p == "icmp"},
            received_after_suspicion=vetoes,
            engine=self.engine,
        )
        return replace(view, **told)

    # --- observations

    def _observations(self, now_s: float, seen: Iterable[str], *, canary: bool) -> Iterator[Observation]:
        """canary: only the one that leads writes it."""
        lines = [m for text in seen for m in [_LINE.fullmatch(str(text))]]
        if None in lines:
            raise ValueError(f"a line of `seen` can't be read in {self.described.get('what')!r}")
        told = {(m["member"], m["probe"]) for m in lines if m}
        named = {member for member, _probe in told}
        if self.described.get("calm", True):
            yield from self._calm(now_s, told)
            yield from self._canaries(now_s, named) if canary else ()
        for match in lines:
            if match is not None:
                yield from (o for o in self._line(match) if o.ended_s <= now_s + 1e-9)

    def _calm(self, now_s: float, told: set[tuple[str, str | None]]) -> Iterator[Observation]:
        """Everybody answers for 3 s, and goes on answering where nothing else is told."""
        for member in self.members:
            until_s = min(ORIGIN_S, now_s) if (member, None) in told else now_s
            own = self.engine.probe
            yield from (self._good(member, own, at) for at in _times(ORIGIN_S - 3, until_s, 0.1))
            if (member, "icmp") in told or self.members[member].get("ping"):
                until_s = min(ORIGIN_S, now_s) if (member, "icmp") in told else now_s
                yield from (self._good(member, "icmp", at) for at in _times(ORIGIN_S - 3, until_s, 0.1))
        for name in (*self.layers, *self.endpoint):
            until_s = min(ORIGIN_S, now_s) if (name, None) in told else now_s
            yield from (self._good(name, "declared", at) for at in _times(ORIGIN_S - 3, until_s, 0.1))

    def _canaries(self, now_s: float, named: set[str]) -> Iterator[Observation]:
        if self.engine.canary and self.primary in self.members:
            until_s = ORIGIN_S if self.primary in named else now_s
            times = _times(ORIGIN_S - 3, until_s, self.profile.canary_interval_s)
            yield from (self._good(self.primary, CANARY, at) for at in times)

    def _good(
        self, member: str, probe: str, at_s: float, facts: Mapping[str, Any] = {}, took_s: float = 0.005
    ):
        known = {**self._facts(member), **facts} if probe == self.engine.probe else dict(facts)
        return Observation(
            member, probe, "test", Outcome.SUCCEEDED, at_s, at_s + took_s, at_s, None, "", known
        )

    def _facts(self, member: str) -> dict[str, Any]:
        facts = facts_of(self.engine.name, member, primary=member == self.primary)
        return {**facts, **self.members[member].get("facts", {})}

    def _line(self, match: re.Match[str]) -> Iterator[Observation]:
        end = match["result"] in ("closed", "stopping")
        took_s = float(match["took"] or (0.0 if end else 0.005))
        first = float(match["first"])
        last, step = float(match["last"] or first), float(match["step"] or 1)
        words = match["rest"].split()
        facts = {k: yaml.safe_load(v) for k, _, v in (w.partition("=") for w in words if "=" in w)}
        detail = " ".join(w for w in words if "=" not in w and w != "late")
        for at_s in _times(ORIGIN_S + first, ORIGIN_S + last, step):
            probe = self._probe(match["member"], match["probe"])
            seen = self._good(match["member"], probe, at_s, facts, took_s)
            if match["result"] != "ok":
                failure = Failure(match["result"])
                outcome = Outcome.UNKNOWN if match["result"] in _UNKNOWN else Outcome.FAILED
                seen = replace(seen, outcome=outcome, failure=failure, detail=detail, facts=facts)
            yield replace(seen, late="late" in words)


def _times(first_s: float, last_s: float, step_s: float) -> Iterator[float]:
    number = 0
    while (at_s := first_s + number * step_s) <= last_s + 1e-9:
        yield at_s
        number += 1


def judge(view: ServiceView, now_s: float, around: Mapping[str, Any]) -> Judged:
    diagnosis = diagnose(view, now_s)
    around = dict(around)
    lost_ago_s = {m: s for m, s in around.pop("lost_role", {}).items() if s < NO_RETURN_S}
    others = {key: around.pop(key, {}) for key in ("out_too", "needs", "importance")}
    around["turn"] = _turn(**others, budget_left=around.get("budget_left", BUDGET))
    given = _decision_input(view, diagnosis, lost_ago_s, around, now_s)
    if given.choice.candidate in lost_ago_s:
        ago_ms = lost_ago_s[given.choice.candidate] * 1000
        given = replace(given, lost_by="EXE-5", lost_ago_ms=ago_ms, no_return_ms=NO_RETURN_S * 1000)
    return Judged(view, diagnosis, decide(given))


def _decision_input(
    view: ServiceView,
    diagnosis: Diagnosis,
    returning: Mapping[str, int],
    around: Mapping[str, Any],
    now_s: float,
) -> DecisionInput:
    around = dict(around)
    command = _command(around.pop("command")) if "command" in around else None
    _members, choice, proof = candidates(view, returning=returning, command=command)
    candidate, primary = view.member(choice.candidate), view.member(view.primary)
    votes = tally(view, now_s)
    given: dict[str, Any] = {
        "service": view.name,
        "diagnosis": diagnosis,
        "mode": "act" if view.engine.runbooks else "ask",
        "paused": None,
        "leader": True,
        "epoch": 7,
        "observer_sane": view.observer_sane,
        "observer_why": view.observer_why,
        "blocked": None,
        "budget_left": BUDGET,
        "open_execution": None,
        "choice": choice,
        "proof": proof,
        "rpo_s": view.rpo_s,
        "canary_age_ms": None,
        "candidate_site_role": "dr" if candidate and candidate.at_dr else "standby",
        "votes": votes,
        "third_observers": third_places(
            votes, primary.site if primary else None, candidate.site if candidate else None
        ),
        "flapping": described(primary.own) if primary else None,
        **around,
    }
    if "approval" in given:
        state = _approval(given["approval"])
        given |= {
            "approval": state,
            "approved": state is not None and state.standing is Standing.GRANTED,
        }
    for listed in ("auto_refusals", "third_observers"):
        given[listed] = tuple(given.get(listed, ()))
    return DecisionInput(**given, command=command)


def _command(told: Mapping[str, Any]) -> Command:
    """{tier, scope: site:dc1, leaving: [member], waits_for: [service]}"""
    return Command(
        incident="INC-7",
        tier=Tier(told["tier"]),
        scope=Scope.parse(told["scope"]),
        person="wang",
        leaving=tuple(told.get("leaving", ())),
        waits_for=tuple(told.get("waits_for", ())),
    )


def _turn(
    out_too: Mapping[str, str], needs: Iterable[str], importance: Mapping[str, str], budget_left: int
) -> Turn:
    ranks = {i.value: rank for rank, i in enumerate(Importance)}
    order = FailoverOrder(
        {"orders": tuple(needs)},
        {s: ranks[importance.get(s, "normal")] for s in ("orders", *out_too)},
        dict.fromkeys(needs, ("orders",)),
    )
    claims = [Claim(service, Stage[stage.upper()], 0.0, 0.0) for service, stage in out_too.items()]
    return order.turn("orders", claims, budget_left, 0.0)


def _approval(told: Mapping[str, Any]) -> ApprovalState | None:
    """How a request of the daemon stands. One that has expired is none: it is asked anew."""
    people = told.get("approvers")
    rule = Rule(
        told.get("level", "III"),
        told.get("persons", 1),
        tuple(told.get("offices", ["deputy"])),
        None if people is None else tuple(people),
    )
    state = judge_approval(
        rule,
        approval="APR-orders-1",
        requester=DAEMON,
        given=told.get("given", []),
        expires_ns=int(told.get("left_s", 900) * 1e9),
        wall_ns=0,
        rejected=told.get("refused"),
    )
    expired = state.standing is Standing.REFUSED and told.get("refused") is None
    return None if expired else state
