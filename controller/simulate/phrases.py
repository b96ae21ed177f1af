"""Faults as people write them: `site:dc1 down at 5s for 20s`, `orders/pg1 slow-disk by 300ms`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from config.durations import parse_duration_s
from config.findings import did_you_mean, one_of
from config.schema import Estate
from controller.simulate.faults import KINDS, FaultEvent
from model.errors import UsageError

# The world runs well for so long first: the controller has to know it.
BEGIN_S: Final = 3.0
SHAPE: Final = "TARGET WORD [by VALUE] [at TIME] [for TIME]"
TARGETS: Final = (
    "site:NAME, node:NAME, SERVICE/MEMBER, service:NAME (its primary), link:A,B, controller, observer:NAME"
)
_ENDS: Final = ("ops", "clients")


@dataclass(frozen=True, slots=True)
class Word:
    """What a fault is called. lasts: what `for` says: until it `heals`, its `value` (how long something stays
    away), or '' where nothing ends it but the product or a person. by: the unit of its value, `s`, `%` or ''.
    value: without `by` or `for`."""

    fault: str
    lasts: str = "heals"
    by: str = ""
    value: float = 0.0


# By what is struck. The first word for a fault is how it is written.
WORDS: Final[Mapping[str, Mapping[str, Word]]] = {
    "site": {"down": Word("site-down"), "cut": Word("site-cut"), "isolated": Word("site-cut")},
    "node": {
        "down": Word("host-down"),
        "hang": Word("host-paused"),
        "cut": Word("node-cut"),
        "isolated": Word("node-cut"),
        "deaf": Word("node-deaf"),
        "mute": Word("node-mute"),
        "unseen": Word("ops-cut"),
        "replication-cut": Word("replication-cut"),
        "clients-cut": Word("clients-cut"),
        "slow": Word("slow-link", by="s", value=0.2),
        "lossy": Word("lossy-link", by="%", value=0.2),
    },
    "member": {
        "crash": Word("crash", lasts=""),
        "down": Word("start-fails"),
        "hang": Word("freeze"),
        "restart": Word("restart", lasts="value", value=1.0),
        "stop": Word("admin-stop"),
        "disk-full": Word("full-disk"),
        "slow-disk": Word("slow-disk", by="s", value=1.0),
        "slow": Word("slow-disk", by="s", value=1.0),
        "no-connections": Word("saturated"),
        "password-refused": Word("credentials"),
        "backend-killed": Word("backend-killed", lasts=""),
        "postmaster-hang": Word("postmaster-stopped"),
        "idle-kill": Word("idle-kill", lasts=""),
        "replay-paused": Word("replay-paused"),
        "replay-conflict": Word("conflict"),
        "detached": Word("astray", lasts=""),
        "names-loosened": Word("names-loosened"),
        "promoted-outside": Word("promoted-outside", lasts=""),
        "comes-back-empty": Word("comes-back-empty"),
    },
    "observer": {
        "isolated": Word("observer-blind"),
        "hang": Word("observer-frozen"),
        "killed": Word("observer-killed", lasts="value", value=3.0),
    },
    "link": {"cut": Word("link-cut"), "down": Word("link-cut")},
    "controller": {
        "killed": Word("controller-killed", lasts="value", value=3.0),
        "hang": Word("controller-frozen"),
        "taken-over": Word("taken-over"),
        "isolated": Word("controller-blind"),
        "clock-jumps": Word("wall-jump", by="s", value=300.0),
        "journal-full": Word("journal-full"),
        "journal-slow": Word("journal-slow", by="s", value=0.5),
    },
}


def parse(text: str, estate: Estate) -> FaultEvent:
    """Raises UsageError: what is wrong, and what is allowed."""
    words = text.split()
    if len(words) < 2:
        raise _wrong(text, "a fault needs a target and a word", f"{SHAPE}, where TARGET is {TARGETS}")
    on, target = _target(text, words[0], estate)
    known = WORDS[on]
    word = known.get(words[1])
    if word is None:
        what = f"{words[1]!r} is nothing that happens to a {on}"
        raise _wrong(text, what, ", ".join(known), did_you_mean(words[1], known))
    given = _options(text, words[2:])
    at_s = _seconds(text, given["at"]) if "at" in given else BEGIN_S
    value, for_s = word.value, 0.0
    if "by" in given:
        value = _value(text, given["by"], word, words[1])
    if "for" in given:
        lasts_s = _seconds(text, given["for"])
        if not word.lasts:
            raise _wrong(
                text, f"{words[1]} has no end of its own", "leave `for` out: the product or a person ends it"
            )
        value, for_s = (lasts_s, 0.0) if word.lasts == "value" else (value, lasts_s)
    return FaultEvent(at_s, word.fault, target, for_s, value)


def phrase(event: FaultEvent) -> str:
    """The same in the words that `parse` reads."""
    on = KINDS[event.fault].on
    name, word = next((n, w) for n, w in WORDS[on].items() if w.fault == event.fault)
    target = {"member": event.target, "controller": "controller"}.get(on, f"{on}:{event.target}")
    parts = [target, name]
    if word.by:
        parts.append(f"by {event.value * 100:g}%" if word.by == "%" else f"by {_number(event.value)}s")
    parts.append(f"at {_number(event.at_s)}s")
    lasts_s = event.value if word.lasts == "value" else event.for_s
    if lasts_s > 0:
        parts.append(f"for {_number(lasts_s)}s")
    return " ".join(parts)


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _wrong(text: str, what: str, allowed: str, near: str = "") -> UsageError:
    return UsageError(f"{what}: {text!r}", hint=f"{near} allowed: {allowed}".strip())


# --- its parts


def _target(text: str, word: str, estate: Estate) -> tuple[str, str]:
    """(what it is, its name in the estate)."""
    kind, colon, name = word.partition(":")
    if word == "controller":
        return "controller", ""
    if not colon:
        if "/" not in word:
            raise _wrong(text, f"{word!r} is no target", TARGETS)
        return "member", _member(text, word, estate)
    match kind:
        case "site" | "node":
            declared = estate.sites if kind == "site" else estate.nodes
            return kind, _declared(text, kind, name, declared)
        case "member":
            return "member", _member(text, name, estate)
        case "service":
            service = estate.services[_declared(text, "service", name, estate.services)]
            home = next(m.name for m in service.members.values() if m.role.value == "primary")
            return "member", f"{name}/{home}"
        case "observer":
            return "observer", _declared(text, "other observer", name, estate.other_observers)
        case "link":
            return "link", _link(text, name, estate)
        case _:
            raise _wrong(text, f"{kind!r} is no kind of target", TARGETS)


def _declared(text: str, kind: str, name: str, names: Mapping[str, object]) -> str:
    if name not in names:
        what = f"there is no {kind} {name!r} to simulate"
        raise _wrong(text, what, one_of(names), did_you_mean(name, names))
    return name


def _member(text: str, name: str, estate: Estate) -> str:
    service, slash, member = name.partition("/")
    if not slash:
        raise _wrong(text, f"{name!r} is no member", "SERVICE/MEMBER")
    _declared(text, "service", service, estate.services)
    _declared(text, f"member of {service}", member, estate.services[service].members)
    return name


def _link(text: str, name: str, estate: Estate) -> str:
    ends = name.split(",")
    places = {**estate.nodes, **estate.sites, **estate.observers, **dict.fromkeys(_ENDS)}
    if len(ends) != 2 or ends[0] == ends[1]:
        raise _wrong(text, "a link has two ends", f"link:A,B with {one_of(places)}")
    for end in ends:
        _declared(text, "place", end, places)
    return name


def _options(text: str, words: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in zip(words[::2], [*words[1::2], ""], strict=False):
        if name not in ("by", "at", "for") or name in given or not value:
            what = "is said twice" if name in given else "can't be read"
            raise _wrong(text, f"{name!r} {what}", f"{SHAPE}; a TIME is 500ms, 30s or 5m")
        given[name] = value
    return given


def _seconds(text: str, value: str) -> float:
    try:
        return parse_duration_s(value)
    except ValueError as error:
        raise _wrong(text, f"{value!r} is no time", "500ms, 30s, 5m") from error


def _value(text: str, value: str, word: Word, name: str) -> float:
    if not word.by:
        raise _wrong(text, f"{name} has no `by`", "TARGET WORD [at TIME] [for TIME]")
    if word.by == "%":
        match = re.fullmatch(r"(\d{1,2}(?:\.\d+)?|100)%", value)
        if match is None:
            raise _wrong(text, f"{value!r} is no share", "0% to 100%, as 20%")
        return float(match[1]) / 100
    sign = -1.0 if value.startswith("-") else 1.0
    return sign * _seconds(text, value.removeprefix("-"))
