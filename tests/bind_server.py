"""A real BIND with a zone of its own, on a free port of loopback, for tests."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.pg_pair import free_port, wait_for

NAMED = Path("/usr/sbin/named")
LOOPBACK = "127.0.0.1"

_CONFIG = """
options {{
  directory "{root}";
  pid-file none;
  session-keyfile none;
  listen-on port {port} {{ {host}; }};
  listen-on-v6 port {port} {{ ::1; }};
  recursion no;
  dnssec-validation no;
  notify no;
}};
controls {{ }};
zone "shop.example" {{ type primary; file "shop"; }};
zone "2.0.192.in-addr.arpa" {{ type primary; file "reverse"; }};
zone "broken.example" {{ type primary; file "no-such-file"; }};
"""
SERIAL = 2026112501
_HEAD = f"""$TTL 300
@ IN SOA ns1.shop.example. ops.shop.example. {SERIAL} 3600 600 86400 60
@ IN NS ns1.shop.example.
"""
_SHOP = """ns1 A 192.0.2.53
www 120 A 192.0.2.10
www 120 A 192.0.2.11
www AAAA 2001:db8::10
alias 30 CNAME www
@ MX 10 Mail.shop.example.
@ TXT "v=spf1 -all" "two parts"
_db._tcp SRV 0 5 5432 www
"""
_REVERSE = "10 PTR www.shop.example.\n"


@contextmanager
def running_bind(root: Path) -> Iterator[int]:
    """Its port."""
    if not NAMED.exists():
        pytest.skip("named is not installed (Debian: apt-get install bind9)")
    port = free_port()
    big = "".join(f'big TXT "{number:03} {"x" * 200}"\n' for number in range(20))
    (root / "shop").write_text(_HEAD + _SHOP + big)
    (root / "reverse").write_text(_HEAD + _REVERSE)
    (root / "named.conf").write_text(_CONFIG.format(root=root, port=port, host=LOOPBACK))
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            [NAMED, "-f", "-n", "1", "-c", root / "named.conf", "-L", root / "named.log"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: _listens(port) or process.poll() is not None, "named")
        assert process.poll() is None, (root / "log").read_text() + (root / "named.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    """It listens before its zones are loaded, and answers after."""
    with suppress(OSError), socket.create_connection((LOOPBACK, port), 1):
        return True
    return False
