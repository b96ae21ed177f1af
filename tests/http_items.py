"""A real HTTP server on loopback that keeps items, and can misbehave on demand."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOOPBACK = "127.0.0.1"


class ItemServer(ThreadingHTTPServer):
    """`/items/NAME` by GET, PUT, POST, DELETE; anything under `/say/STATUS` answers with that status.

    seen: (method, path as it came, headers, body). hold: seconds by which an answer is late, after the deed.
    answer: a status with which changes are answered, though they were made.
    """

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        scheme = "http" if context is None else "https"
        self.port = self.server_address[1]
        self.url = f"{scheme}://{LOOPBACK}:{self.port}"
        self.items: dict[str, Any] = {}
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.hold_s = 0.0
        self.answer = 0
        self.ready_s = 0.0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""

    def changes(self) -> list[str]:
        return [f"{method} {path}" for method, path, _, _ in self.seen if method != "GET"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ItemServer

    def _do(self) -> None:
        server = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server.seen.append((self.command, self.path, dict(self.headers), body))
        path = self.path.partition("?")[0]
        if path.startswith("/say/"):
            self._say(int(path.split("/")[2]), {"headers": dict(self.headers), "body": body.decode()})
            return
        name = path.removeprefix("/items/")
        status: int = 200
        answer: Any = {"name": name}
        match self.command:
            case "GET" if name in server.items and time.monotonic() >= server.ready_s:
                answer = {"name": name, "value": server.items[name]}
            case "GET":
                status, answer = 404, {"error": "no such item"}
            case "DELETE":
                status = 200 if server.items.pop(name, None) is not None else 404
            case _:
                server.items[name] = json.loads(body) if body else None
                status = 201
        if self.command != "GET":
            time.sleep(server.hold_s)
            status = server.answer or status
        self._say(status, answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _do  # noqa: N815 - the names that the library calls

    def _say(self, status: int, answer: Any) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing is written to standard error."""


@contextmanager
def running_items(context: ssl.SSLContext | None = None) -> Iterator[ItemServer]:
    server = ItemServer(context)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
