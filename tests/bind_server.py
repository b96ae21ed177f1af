"""A real BIND on a free port of loopback, for tests: with a zone of its own, or two of them with one that
takes updates."""

from __future__ import annotations

import base64
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
    with _named(root, port):
        yield port


@contextmanager
def _named(root: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """With the configuration of `root`; killed at the end."""
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
        yield process
    finally:
        process.kill()
        process.wait()


KEY = "ops-key"
SECRET = base64.b64encode(b"thirty-two bytes of a test's key").decode()
_KEY = f'key "{KEY}" {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n'
_ONE = """
options {{ directory "{root}"; pid-file none; session-keyfile none; listen-on port {port} {{ {host}; }};
  listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify-delay 0; }};
controls {{ }};
zone "dyn.example" {{ {zone} }};
"""
_DYNAMIC = f"""$TTL 300
@ IN SOA ns1.dyn.example. ops.dyn.example. {SERIAL} 3600 600 86400 60
@ IN NS ns1.dyn.example.
ns1 A 192.0.2.53
db 2 A 192.0.2.10
db 2 AAAA 2001:db8::10
alias CNAME db
"""


@dataclass
class Zone:
    """`dyn.example` on a server that takes signed updates, and on one that follows it. `secondary` can be
    stopped by `freeze`."""

    primary: str
    secondary: str
    processes: dict[str, subprocess.Popen[bytes]]

    def freeze(self, server: str) -> None:
        self.processes[server].send_signal(signal.SIGSTOP)

    def thaw(self, server: str) -> None:
        self.processes[server].send_signal(signal.SIGCONT)


@contextmanager
def running_zone(root: Path) -> Iterator[Zone]:
    if not NAMED.exists():
        pytest.skip("named is not installed (Debian: apt-get install bind9)")
    first, second = root / "first", root / "second"
    port, other = free_port(), free_port()
    notify = f"also-notify {{ {LOOPBACK} port {other}; }};"
    update = f'type primary; file "dyn"; allow-update {{ key "{KEY}"; }}; {notify}'
    follow = f'type secondary; file "dyn"; primaries {{ {LOOPBACK} port {port}; }};'
    for directory, number, zone in ((first, port, update), (second, other, follow)):
        directory.mkdir()
        text = _ONE.format(root=directory, port=number, host=LOOPBACK, zone=zone)
        (directory / "named.conf").write_text(_KEY + text)
    (first / "dyn").write_text(_DYNAMIC)
    with _named(first, port) as primary, _named(second, other) as secondary:
        wait_for((second / "dyn").exists, "the zone on the second server")
        yield Zone(f"{LOOPBACK}:{port}", f"{LOOPBACK}:{other}", {"primary": primary, "secondary": secondary})


def _listens(port: int) -> bool:
    """It listens before its zones are loaded, and answers after."""
    with suppress(OSError), socket.create_connection((LOOPBACK, port), 1):
        return True
    return False
