"""Speaks to the daemon: HTTP over its unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from controller.cli.exits import ApiError, OutcomeUnknownError, UnreachableError
from controller.cli.settings import Settings

API_VERSION: Final = "bcm-failover/v1"
_PERSON_HEADER: Final = "BCM-Person"
_LARGEST_ANSWER: Final = 64 * 1024 * 1024


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise


class Client:
    """Raises UnreachableError if nobody answers, OutcomeUnknownError if the answer to a change was lost, and
    ApiError for whatever the daemon refuses."""

    def __init__(self, path: Path, *, person: str | None = None, timeout_s: float = 30.0) -> None:
        self._path = path
        self._person = person
        self._timeout_s = timeout_s

    @classmethod
    def of(cls, settings: Settings, *, timeout_s: float = 30.0) -> Client:
        return cls(settings.socket_path, person=settings.person, timeout_s=timeout_s)

    def get(self, *path: str, wait_s: float = 0.0, **query: Any) -> dict[str, Any]:
        """wait_s: how long the daemon may hold the answer back until there is news."""
        if wait_s:
            query["wait_s"] = wait_s
        return self._ask("GET", path, query, None, self._timeout_s + wait_s)

    def post(self, *path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._ask("POST", path, {}, dict(body or {}), self._timeout_s)

    def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None,
        timeout_s: float,
    ) -> dict[str, Any]:
        connection = _UnixConnection(self._path, timeout_s)
        try:
            try:
                connection.connect()
            except OSError as error:
                raise self._unreachable(error) from error
            target = "/v1/" + "/".join(quote(part, safe="") for part in path)
            if query:
                target += "?" + urlencode(query)
            headers = {"Content-Type": "application/json"}
            if self._person:
                headers[_PERSON_HEADER] = self._person
            try:
                connection.request(method, target, None if body is None else json.dumps(body), headers)
                response = connection.getresponse()
                status, raw = response.status, response.read(_LARGEST_ANSWER)
            except (OSError, http.client.HTTPException) as error:
                raise self._lost(method, error) from error
        finally:
            connection.close()
        return _decode(status, raw, str(self._path))

    def _unreachable(self, error: OSError) -> UnreachableError:
        if isinstance(error, PermissionError):
            return UnreachableError(
                "this account may not connect to the daemon",
                where=str(self._path),
                hint="join the group of the socket (daemon.socket_group, by default bcm-operators)",
            )
        return UnreachableError(
            f"no daemon answers ({getattr(error, 'strerror', None) or error})",
            where=str(self._path),
            hint="is it running (systemctl status bcm-failover)? another socket: --socket PATH. `incident`, "
            "`execution` and `journal` work without it; so do `failover SERVICE --no-daemon` and "
            "`inspect --no-daemon`",
        )

    def _lost(self, method: str, error: Exception) -> UnreachableError | OutcomeUnknownError:
        said = "did not answer in time" if isinstance(error, TimeoutError) else "hung up before it answered"
        if method == "GET":
            return UnreachableError(
                f"the daemon {said}",
                where=str(self._path),
                hint="look at its log: journalctl -u bcm-failover",
            )
        return OutcomeUnknownError(
            f"the daemon {said}: whether it did what it was asked is not known",
            where=str(self._path),
            hint="look before you ask again: `bcm-failover status`, `bcm-failover execution list`",
        )


def _decode(status: int, raw: bytes, where: str) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict) or body.get("apiVersion") != API_VERSION:
        raise UnreachableError(
            f"what answers here is no daemon that speaks {API_VERSION}",
            where=where,
            hint="compare `bcm-failover --version` with the daemon's, and the socket's path",
        )
    if status < 400:
        return body
    error = body.get("error")
    said: Mapping[str, Any] = error if isinstance(error, dict) else {}
    refused = ApiError(
        str(said.get("what", f"the daemon answered {status}")),
        where=str(said.get("where", "")),
        hint=str(said.get("hint", "")),
        kind=str(said.get("kind", "failed")),
        gate=said.get("gate"),
    )
    refused.problems = tuple(str(p) for p in said.get("problems", ()))
    raise refused
