"""Probe type `promql`: does what Prometheus knows fulfil a condition?

Prometheus is a witness here, not the target: whatever is wrong with it (it refuses, it hangs, it knows
nothing fresh) is `unknown`, and never says that the target is down. Samples that are too old count for
nothing.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from decimal import Decimal
from typing import Any, ClassVar, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, field_validator, model_validator

from config.durations import PositiveSeconds, format_duration
from config.secrets import SecretRef
from model.errors import SecretError
from model.observation import Failure, Layer
from probes.addresses import Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.http_options import PORTS, Url
from probes.http_request import authorization, get
from probes.http_response import BadAnswerError
from probes.promql_result import Answer, Comparison, QueryError, age_ms, first_wrong, read_answer
from probes.streams import reading_of_stream_error
from probes.texts import one_line
from probes.tls_settings import TlsOptions, tls_context
from probes.trace import note

Verdict = Literal["ok", "failed", "unknown"]
_MOST_QUERY_CHARACTERS = 4000
# A metric's name, or none; then matchers in braces, or none. Strings may hold anything.
_SELECTOR = re.compile(
    r"""\s*(?=[\w:{])(?:[a-zA-Z_:][\w:]*)?\s*(?:\{(?:[^"'`{}]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)*\})?\s*""",
    re.ASCII,
)


class PromqlOptions(TlsOptions):
    """Whom to ask, what, and which answer is good."""

    url: Url = Field(description="Prometheus' address, with the prefix of its paths if it has one.")
    query: str = Field(
        min_length=1,
        max_length=_MOST_QUERY_CHARACTERS,
        description="In PromQL; it gives an instant vector or a scalar.",
    )
    user: str = Field("", description="User to log in as (basic authentication), with `password`.")
    password: SecretRef | None = Field(None, repr=False, description="Where the user's password is.")
    bearer: SecretRef | None = Field(None, repr=False, description="Where the bearer token is.")
    op: Comparison | None = Field(
        None,
        description="With `value`: what every series of the answer must fulfil for the target to be good.",
    )
    value: Decimal | None = Field(None, description="What each series is compared with.")
    empty: Verdict = Field(
        "unknown",
        description="What an answer without series means. Without `op` any series means the opposite: bad "
        "where empty is ok, as with the expression of an alert, and else good.",
    )
    max_age: PositiveSeconds | None = Field(
        300.0,
        description="Samples older than this make it unknown; null takes whatever Prometheus still has.",
    )
    fresh_series: str = Field(
        "",
        max_length=_MOST_QUERY_CHARACTERS,
        description="A selector of the series whose samples must not be older than `max_age`; the query "
        "itself, if it is a selector and nothing more. To be given for every other query, since its samples "
        "bear the time of the evaluation, and an empty answer bears none.",
    )
    within: PositiveSeconds = Field(
        1.5,
        description="Prometheus' answers must come within it, or it is unknown. Below the probe's time-out.",
    )

    @field_validator("url")
    @classmethod
    def _a_base(cls, url: str) -> str:
        if "?" in url or "#" in url:
            raise ValueError("the address of Prometheus has no query: http://HOST[:PORT][/PREFIX]")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if (self.op is None) != (self.value is None):
            raise ValueError("`op` and `value` go together")
        if self.value is not None and not self.value.is_finite():
            raise ValueError("`value` is a finite number")
        if self.bearer is not None and (self.user or self.password is not None):
            raise ValueError("give `bearer`, or `user` and `password`, and not both")
        if bool(self.user) != (self.password is not None):
            raise ValueError("`user` and `password` go together")
        if self.fresh_series and not is_selector(self.fresh_series):
            raise ValueError(f'`fresh_series` is a selector, as up{{job="shop"}}, not {self.fresh_series!r}')
        if self.max_age is not None and not self.fresh_series and not is_selector(self.query):
            raise ValueError(
                "the samples of an expression bear the time of its evaluation, however old what it is made "
                'from: name that in `fresh_series`, as up{job="shop"}, or write `max_age: null`'
            )
        return self


def is_selector(query: str) -> bool:
    """A series' name and matchers, without functions, operators, ranges or offsets."""
    return _SELECTOR.fullmatch(query) is not None


class PromqlProbe(Probe):
    """A query to Prometheus, whose answer must fulfil a condition and be fresh.

    Facts: `series`, their count; `value`, decimal text, of the first that does not fulfil it, else of the
    first; `labels` of that one; `age_ms` of the oldest sample by Prometheus' clock, where `max_age` is given;
    `warnings` of Prometheus, where there are any. A bad answer that came with warnings is unknown.
    """

    type: ClassVar[str] = "promql"
    layer: ClassVar[Layer] = Layer.APPLICATION
    Options = PromqlOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, PromqlOptions)  # noqa: S101  # narrows the type
        self._options = options
        parts = urlsplit(options.url)
        self._addresses = Addresses(parts.hostname or "", parts.port or PORTS[parts.scheme], ports.clock)
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = tls_context(options, target)

    async def check(self) -> Reading:
        try:
            async with asyncio.timeout(self._options.within):
                return await self._check()
        except TimeoutError:
            text = f"Prometheus has not answered within {format_duration(self._options.within)}"
            return Reading.unknown(Failure.SILENT, text)

    async def _check(self) -> Reading:
        facts: dict[str, Any] = {}
        try:
            answer = await self._ask(self._options.query)
            facts["series"] = len(answer.samples)
            if answer.warnings:
                facts["warnings"] = list(answer.warnings)
            stale = await self._stale(answer, facts)
        except SecretError as exc:
            return Reading.unknown(Failure.LOCAL, f"{exc.where}: {exc.what}", **facts)
        except QueryError as exc:
            return Reading.unknown(exc.failure, f"Prometheus: {exc}", **facts)
        except BadAnswerError as exc:
            return Reading.unknown(Failure.BAD_ANSWER, f"Prometheus: {exc}", **facts)
        except OSError as exc:
            reading = reading_of_stream_error(exc)
            told = Reading.unknown(reading.failure, f"Prometheus: {reading.detail}", **reading.facts)
            return told.adding(facts)
        if stale:
            note("judged: %s", stale)
            return Reading.unknown(None, stale, **facts)
        return self._judged(answer, facts)

    async def _stale(self, answer: Answer, facts: dict[str, Any]) -> str:
        """Why the answer counts for nothing, "" if it does. Raises as `_ask`."""
        most_s, series = self._options.max_age, self._options.fresh_series
        if most_s is None or not (series or answer.samples):
            return ""
        series = series or self._options.query
        times = await self._ask(f"timestamp({series})")
        age = age_ms(times.samples)
        if age is None:
            return f"how old its samples are is not known: there are none of {one_line(series)}"
        facts["age_ms"] = age
        note("the oldest sample is %d ms old", age)
        if abs(age) <= most_s * 1000:
            return ""
        allowed = format_duration(most_s)
        if age < 0:
            return f"a sample is {-age // 1000} s ahead of Prometheus' clock; {allowed} are allowed"
        return f"the oldest sample is {age // 1000} s old; {allowed} are allowed"

    async def _ask(self, query: str) -> Answer:
        """Raises QueryError, BadAnswerError, SecretError, OSError."""
        options = self._options
        header = authorization(
            self.ports.secrets, user=options.user, password=options.password, bearer=options.bearer
        )
        response = await get(
            f"{options.url}/api/v1/query?query={quote(query, safe='')}",
            await self._addresses.get(),
            authorization=header,
            tls=self._tls,
            server_name=options.server_name,
        )
        note("%s: status %d, %d bytes", one_line(query), response.status, len(response.body))
        if response.status in (401, 403):
            raise QueryError(f"it does not let us in: status {response.status}", Failure.CREDENTIALS)
        if not response.complete:
            raise QueryError(f"an answer of more than {len(response.body)} bytes: aggregate in the query")
        if response.status != 200 and not response.body.lstrip().startswith(b"{"):
            raise QueryError(f"status {response.status}", Failure.BAD_ANSWER)
        return read_answer(response.body)

    def _judged(self, answer: Answer, facts: dict[str, Any]) -> Reading:
        options, samples = self._options, answer.samples
        if not samples:
            note("judged: no series, which is %s", options.empty)
            return _verdict(options.empty, "the answer has no series", facts)
        shown = samples[0]
        nan = next((sample for sample in samples if sample.value.is_nan()), None)
        if options.op is None or options.value is None:
            verdict: Verdict = "failed" if options.empty == "ok" else "ok"
            detail = f"{len(samples)} series, the first {shown.labels or 'without labels'}: {shown.text}"
        elif nan is not None:
            shown, verdict, detail = nan, "unknown", f"{nan.labels or 'the value'} is NaN"
        else:
            wrong = first_wrong(samples, options.op, options.value)
            shown = wrong or shown
            verdict = "ok" if wrong is None else "failed"
            condition = f"{options.op} {options.value}"
            detail = f"{shown.labels or 'the value'} is {shown.text}, " + (
                f"which is {condition}" if wrong is None else f"expected {condition}"
            )
        note("judged: %s", detail)
        return _verdict(verdict, detail, facts | {"value": shown.text, "labels": shown.labels})


def _verdict(verdict: Verdict, detail: str, facts: dict[str, Any]) -> Reading:
    warnings = facts.get("warnings")
    if warnings:
        detail = f"{detail} (warning: {warnings[0]})"
    if verdict == "ok":
        return Reading.ok(detail, **facts)
    # What was left out of the answer might have made it a good one.
    if verdict == "unknown" or warnings:
        return Reading.unknown(None, detail, **facts)
    return Reading.failed(Failure.BAD_ANSWER, detail, **facts)
