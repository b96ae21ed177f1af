"""Is a response the one that an `http` probe expects?"""

from __future__ import annotations

import json
from typing import Any

from model.observation import Failure
from probes.base import Reading
from probes.http_options import HttpOptions
from probes.http_response import MOST_BODY_BYTES, Response
from probes.json_path import NotThereError, find, parse_path
from probes.patterns import Pattern
from probes.texts import one_line
from probes.trace import note

_SHOWN = 80  # characters of what was found instead


class Expectations:
    """Patterns and paths are made ready once, and used at each attempt."""

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._has_credentials = bool(options.user or options.bearer)
        self._header_patterns = {name: Pattern(text) for name, text in options.expect_headers_match.items()}
        self._matches = Pattern(options.body_matches) if options.body_matches else None
        self._lacks = Pattern(options.body_lacks) if options.body_lacks else None
        self._paths = [(path, parse_path(path), value) for path, value in options.expect_json.items()]

    def is_right(self, status: int) -> bool:
        wanted = self._options.status
        return status in wanted if wanted else 200 <= status < 300

    def judge(self, response: Response, facts: dict[str, Any]) -> Reading:
        if not self.is_right(response.status):
            if response.status == 401 and self._has_credentials:
                return Reading.unknown(
                    Failure.CREDENTIALS, "status 401: our credentials are refused", **facts
                )
            expected = ", ".join(map(str, self._options.status)) or "2xx"
            text = f"status {response.status}, expected {expected}"
            return Reading.failed(Failure.BAD_ANSWER, text, **facts)
        problem = self._in_headers(response) or self._in_body(response)
        if problem:
            note("judged: %s", problem)
            return Reading.failed(Failure.BAD_ANSWER, problem, **facts)
        return Reading.ok(f"status {response.status}", **facts)

    def _in_headers(self, response: Response) -> str:
        """What is wrong there; "" if nothing is."""
        if not self._options.expect_headers and not self._header_patterns:
            return ""
        headers = response.headers
        for name, text in self._options.expect_headers.items():
            value = headers.get(name.lower())
            if value is None:
                return f"no header {name}"
            if text not in value:
                return f"header {name} is {one_line(value, _SHOWN)!r}, and {text!r} is not in it"
        for name, pattern in self._header_patterns.items():
            value = headers.get(name.lower())
            if value is None:
                return f"no header {name}"
            if not pattern.found(value):
                return f"header {name} is {one_line(value, _SHOWN)!r}, and does not match {pattern.text!r}"
        return ""

    def _in_body(self, response: Response) -> str:
        if not self._options.wants_body:
            return ""
        encoding = response.headers.get("content-encoding", "identity").lower()
        if encoding not in ("identity", ""):
            return f"the body is encoded as {one_line(encoding, _SHOWN)!r}, and none was asked for"
        if self._options.body.encode() not in response.body:
            return f"{self._options.body!r} is not in the body"
        if self._matches or self._lacks:
            text = response.body.decode(errors="replace")
            if self._matches and not self._matches.found(text):
                return f"the body does not match {self._matches.text!r}"
            if self._lacks and self._lacks.found(text):
                return f"the body matches {self._lacks.text!r}, and must not"
        return self._in_json(response) if self._paths else ""

    def _in_json(self, response: Response) -> str:
        if not response.complete:
            return f"the body is longer than {MOST_BODY_BYTES} bytes, too long to read as JSON"
        try:
            document = json.loads(response.body)
        except (ValueError, RecursionError):
            return f"the body is no JSON: it begins with {response.body[:40]!r}"
        for text, path, expected in self._paths:
            try:
                value = find(document, path)
            except NotThereError as exc:
                return f"in the body, {exc}"
            # In Python true is 1, and in JSON it is not.
            if value != expected or isinstance(value, bool) != isinstance(expected, bool):
                return f"in the body, {text} is {_shown(value)}, expected {_shown(expected)}"
        return ""


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return one_line(json.dumps(value, ensure_ascii=False), _SHOWN)
