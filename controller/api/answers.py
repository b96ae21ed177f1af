"""The shape of every answer: one JSON object with `apiVersion` and `kind`, or with `error`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from aiohttp import web

from controller.api.people import NotAllowedError
from model.errors import (
    BcmError,
    EstateError,
    HeldError,
    JournalError,
    LeadershipLostError,
    NodeAccessError,
    UsageError,
)

API_VERSION: Final = "bcm-failover/v1"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger(__name__)


class UnknownNameError(UsageError):
    """A service, member, incident or execution that does not exist."""


def answer(kind: str, body: Mapping[str, Any], *, status: int = 200) -> web.Response:
    return _response({"apiVersion": API_VERSION, "kind": kind, **body}, status)


def answer_list(kind: str, items: Sequence[Any], **more: Any) -> web.Response:
    """A list is an object too, so that fields can be added without breaking a reader."""
    return answer(kind, {**more, "items": list(items)})


def error_answer(error: BcmError) -> web.Response:
    status, kind = _status_of(error)
    body: dict[str, Any] = {
        "what": error.what,
        "where": error.where,
        "hint": error.hint,
        "gate": error.gate if isinstance(error, HeldError) else None,
        "kind": kind,
    }
    if isinstance(error, LeadershipLostError):
        body["gate"] = "leadership"
    if isinstance(error, EstateError):
        body["problems"] = list(error.problems)
    return _response({"apiVersion": API_VERSION, "error": body}, status)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong, the caller gets what, where and what to do; never HTML or a traceback."""
    try:
        return await handler(request)
    except BcmError as error:
        return error_answer(error)
    except web.HTTPException as error:
        return _http_error(request, error)
    except Exception:  # noqa: BLE001 the boundary: logged, and answered in words
        _log.exception("a request failed", path=request.path)
        return _plain_error(
            500, "internal", "the daemon met an error of its own", "its log has the details; please report it"
        )


def _status_of(error: BcmError) -> tuple[int, str]:
    match error:
        case NotAllowedError():
            return 403, "forbidden"
        case UnknownNameError():
            return 404, "not_found"
        case UsageError():
            return 400, "usage"
        case HeldError() | LeadershipLostError():
            return 409, "held"
        case EstateError():
            return 422, "estate"
        case JournalError():
            return 503, "journal"
        case NodeAccessError():
            return 502, "node"
        case _:
            return 500, "failed"


def _http_error(request: web.Request, error: web.HTTPException) -> web.Response:
    if error.status == 404:
        return _plain_error(
            404,
            "not_found",
            f"no such path: {request.path}",
            "is the daemon older than this client? compare `bcm-failover --version` and `status`",
        )
    if error.status == 413:
        return _plain_error(413, "usage", "the request is too large", "a request has at most 64 KiB")
    return _plain_error(error.status, "usage", f"{request.method} {request.path}: {error.reason}", "")


def _plain_error(status: int, kind: str, what: str, hint: str) -> web.Response:
    error = {"what": what, "where": "", "hint": hint, "gate": None, "kind": kind}
    return _response({"apiVersion": API_VERSION, "error": error}, status)


def _response(body: Mapping[str, Any], status: int) -> web.Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return web.Response(text=text, status=status, content_type="application/json")
