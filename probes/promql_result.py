"""What Prometheus answers to a query, and what is made of its samples: pure functions.

Source: Prometheus' HTTP API, `/api/v1/query`. Values are decimal text there, and stay exact here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Literal

from model.observation import Failure
from probes.texts import one_line

Comparison = Literal[">", "<", ">=", "<=", "==", "!="]
_COMPARED: dict[Comparison, Callable[[Decimal, Decimal], bool]] = {
    ">": gt, "<": lt, ">=": ge, "<=": le, "==": eq, "!=": ne,
}  # fmt: skip
_MOST_LABEL_CHARACTERS = 120
_MOST_WARNINGS = 5


class QueryError(Exception):
    """Prometheus did not answer the query. `failure`: None where it says what is wrong with the query."""

    def __init__(self, text: str, failure: Failure | None = None) -> None:
        super().__init__(text)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value, as of `at_s` of Prometheus' own clock: the moment of the evaluation."""

    labels: str
    at_s: Decimal
    text: str

    @property
    def value(self) -> Decimal:
        return Decimal(self.text)


@dataclass(frozen=True, slots=True)
class Answer:
    """`warnings`: what Prometheus, or a proxy of several, could not take into account."""

    samples: tuple[Sample, ...]
    warnings: tuple[str, ...]


def read_answer(body: bytes) -> Answer:
    """Raises QueryError."""
    try:
        answer = json.loads(body, parse_float=Decimal)
        if answer["status"] != "success":
            raise QueryError(one_line(f"{answer['errorType']}: {answer['error']}"))
        samples = _samples(answer["data"])
        warnings = tuple(one_line(str(text)) for text in answer.get("warnings") or ())
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation, RecursionError) as exc:
        raise QueryError("what it answers is not Prometheus' HTTP API", Failure.BAD_ANSWER) from exc
    return Answer(samples, warnings[:_MOST_WARNINGS])


def _samples(data: Mapping[str, Any]) -> tuple[Sample, ...]:
    match data["resultType"]:
        case "scalar":
            return (_sample({}, data["result"]),)
        case "vector":
            return tuple(_sample(series["metric"], series["value"]) for series in data["result"])
        case other:
            raise QueryError(f"the query gives a {one_line(str(other))}: it must give an instant vector")


def _sample(metric: Mapping[str, str], pair: Sequence[Any]) -> Sample:
    at_s, text = pair
    Decimal(text)  # is it one?
    name = metric.get("__name__", "")
    labels = ", ".join(f'{key}="{value}"' for key, value in sorted(metric.items()) if key != "__name__")
    shown = f"{name}{{{labels}}}" if labels else name
    return Sample(one_line(shown, _MOST_LABEL_CHARACTERS), Decimal(at_s), str(text))


def age_ms(timestamps: Sequence[Sample]) -> int | None:
    """Of the oldest, of the samples of `timestamp(…)`, by Prometheus' clock alone. None for none; negative if
    it is from the future."""
    ages_s = [sample.at_s - sample.value for sample in timestamps if sample.value.is_finite()]
    if not ages_s or len(ages_s) < len(timestamps):
        return None
    return int(max(ages_s, key=abs) * 1000)


def first_wrong(samples: Sequence[Sample], op: Comparison, value: Decimal) -> Sample | None:
    """The first for which `sample op value` does not hold. No sample may be NaN."""
    return next((sample for sample in samples if not _COMPARED[op](sample.value, value)), None)
