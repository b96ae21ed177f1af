"""Real web servers (nginx) behind a real HAProxy, for tests: members can be slow, be killed and come back."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from controller.demo.pool.web import NGINX, Web
from tests.haproxy_server import Haproxy, running_haproxy

__all__ = ["Pool", "running_pool"]


class Pool:
    """webs: by name, and the HAProxy that spreads requests over them."""

    def __init__(self, webs: dict[str, Web], haproxy: Haproxy) -> None:
        self.webs = webs
        self.haproxy = haproxy

    def get(self, path: str = "/") -> tuple[int, str]:
        """(status, name of the server that answered), over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.haproxy.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@contextmanager
def running_pool(root: Path, names: Sequence[str] = ("a", "b"), behind: str = "") -> Iterator[Pool]:
    if not Path(NGINX).exists():
        pytest.skip("nginx is not installed (Debian: apt-get install nginx-light)")
    webs = {name: Web(root, name) for name in names}
    try:
        for web in webs.values():
            web.start()
        ports = {name: web.port for name, web in webs.items()}
        with running_haproxy(root, ports, mode="http", behind=behind) as haproxy:
            yield Pool(webs, haproxy)
    finally:
        for web in webs.values():
            web.stop()
