"""What is wrong with a service: a code from a closed table, with evidence for and against."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Cause(StrEnum):
    """The layer at which the cause lies (网络 / 服务器 / 应用 / 站点)."""

    NETWORK = "network"
    SERVER = "server"
    APPLICATION = "application"
    SITE = "site"
    EXTERNAL = "external"
    OBSERVER = "observer"
    NONE = "none"


class Stance(StrEnum):
    """What a code lets the product do by itself."""

    ACT = "act"  # a failover is the remedy
    REFUSE = "refuse"  # a failover would be wrong: hold and page
    CONFIRM = "confirm"  # not settled yet: the named probe settles it
    NONE = "none"  # nothing to do
    MEND = "mend"  # no failover: restore redundancy


@dataclass(frozen=True, slots=True)
class CodeInfo:
    """One row of the table: what a code means and what is done about it. remedy: the kind of runbook that
    helps, such as `failover`. runbook: its name, in the diagnosis of a service whose engine has one."""

    code: str
    cause: Cause
    stance: Stance
    level: str | None  # III, II, I or None where it is no incident
    sentence: str
    sentence_zh: str
    remedy: str | None = None
    confirm_with: str | None = None
    runbook: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    text: str
    supports: bool
    probe: str = ""
    age_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Root:
    """Where an outage comes from. key: `site/dc1`, `node/db1`, `probe/switch-1` (a network device, by the
    probe that looks at it), `service/orders`."""

    key: str
    info: CodeInfo
    evidence: tuple[Evidence, ...] = ()

    @property
    def code(self) -> str:
        return self.info.code

    @property
    def is_place(self) -> bool:
        """A whole site is out, or can't be reached."""
        return self.key.startswith("site/")

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "code": self.info.code,
            "cause": self.info.cause.value,
            "sentence": self.info.sentence,
            "sentence_zh": self.info.sentence_zh,
            "evidence_for": [e.text for e in self.evidence if e.supports],
            "evidence_against": [e.text for e in self.evidence if not e.supports],
        }


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`since_s`/`first_bad_s`/`last_good_s` are monotonic seconds of the observer. root: what lies below it,
    if it is the consequence of something else."""

    service: str
    info: CodeInfo
    member: str | None
    confirmed: bool
    since_s: float
    last_good_s: float | None
    first_bad_s: float | None
    evidence: tuple[Evidence, ...] = ()
    root: Root | None = None

    @property
    def code(self) -> str:
        return self.info.code

    def to_json(self) -> dict[str, Any]:
        return {
            "code": self.info.code,
            "cause": self.info.cause.value,
            "stance": self.info.stance.value,
            "level": self.info.level,
            "sentence": self.info.sentence,
            "sentence_zh": self.info.sentence_zh,
            "member": self.member,
            "confirmed": self.confirmed,
            "last_good_ns": None if self.last_good_s is None else int(self.last_good_s * 1e9),
            "first_bad_ns": None if self.first_bad_s is None else int(self.first_bad_s * 1e9),
            "evidence_for": [e.text for e in self.evidence if e.supports],
            "evidence_against": [e.text for e in self.evidence if not e.supports],
            "root": None if self.root is None else self.root.to_json(),
        }
