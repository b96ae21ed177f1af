"""A real nginx on free ports of loopback, for tests."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certificates import LOOPBACK, Certificate, certificate
from tests.pg_pair import free_port, wait_for

NGINX = Path("/usr/sbin/nginx")

_CONFIG = """
daemon off;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log warn;
{user}
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {root}/body;
  proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi;
  scgi_temp_path {root}/scgi;
  gzip on;
  gzip_types application/json;
  gzip_min_length 1;
  map $http_authorization $shown {{ default $http_authorization; "" "none"; }}
  map $http_x_probe $probe {{ default $http_x_probe; "" "none"; }}
  server {{
    listen {host}:{port};
    listen [::1]:{port};
    location = /json {{ default_type application/json; return 200 '{json}'; }}
    location = /text {{ add_header X-Pool "blue 7"; return 200 "all is well"; }}
    location = /seen {{ return 200 "authorization=$shown x-probe=$probe method=$request_method"; }}
    location = /moved {{ return 302 /text; }}
    location = /moved-post {{ return 307 /seen; }}
    location = /loop {{ return 301 /loop; }}
    location = /elsewhere {{ return 302 http://{host}:{other}/seen; }}
    location = /elsewhere-post {{ return 308 http://{host}:{other}/seen; }}
    location = /wander {{ return 302 http://{host}:{other}/again; }}
    location = /secure {{ return 302 https://{host}:{tls}/text; }}
    location = /closed {{ return 403; }}
    location = /basic {{ auth_basic "shop"; auth_basic_user_file {root}/users; try_files /no @in; }}
    location @in {{ return 200 "welcome"; }}
  }}
  server {{
    listen {host}:{other};
    location = /seen {{ return 200 "authorization=$shown x-probe=$probe"; }}
    location = /again {{ return 302 /seen; }}
    location = /back {{ return 302 http://{host}:{port}/seen; }}
  }}
  server {{
    listen {host}:{tls} ssl;
    ssl_certificate {pem};
    ssl_certificate_key {pem};
    location = /text {{ return 200 "all is well"; }}
    location = /downgrade {{ return 302 http://{host}:{port}/text; }}
  }}
  server {{
    listen {host}:{mutual} ssl;
    ssl_certificate {pem};
    ssl_certificate_key {pem};
    ssl_client_certificate {pem};
    ssl_verify_client on;
    location = /text {{ return 200 "all is well"; }}
  }}
}}
"""
_JSON = '{"data":{"items":[{"state":"up","n":1,"ok":true,"none":null}],"a.b":"dot"}}'


@dataclass(frozen=True)
class Nginx:
    """`port` is plain, on both families; `other` another place; `mutual` wants a client certificate."""

    port: int
    other: int
    tls: int
    mutual: int
    made: Certificate

    def url(self, path: str, port: int | None = None, scheme: str = "http") -> str:
        return f"{scheme}://{LOOPBACK}:{port or self.port}{path}"


@contextmanager
def running_nginx(root: Path) -> Iterator[Nginx]:
    if not NGINX.exists():
        pytest.skip("nginx is not installed (Debian: apt-get install nginx-light)")
    server = Nginx(free_port(), free_port(), free_port(), free_port(), certificate(root, days=30))
    root.chmod(0o755)
    # The password is "open sesame".
    (root / "users").write_text("ops:{PLAIN}open sesame\n")
    text = _CONFIG.format(
        root=root,
        user="user root;" if os.geteuid() == 0 else "",
        host=LOOPBACK,
        port=server.port,
        other=server.other,
        tls=server.tls,
        mutual=server.mutual,
        pem=server.made.file,
        json=_JSON,
    )
    (root / "nginx.conf").write_text(text)
    process = subprocess.Popen(
        [NGINX, "-c", root / "nginx.conf", "-e", root / "error.log"], stdin=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: _answers(server.mutual) or process.poll() is not None, "nginx")
        assert process.poll() is None, (root / "error.log").read_text()
        yield server
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((LOOPBACK, port), 1):
        return True
    return False
