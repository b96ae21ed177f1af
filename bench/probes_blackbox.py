"""Debian's blackbox_exporter, asked by a plain scrape loop for the same targets at the same rate.

Connections are kept, as Prometheus keeps them, and no compression is asked for, which Prometheus would: that
is in the exporter's favour. Only the exporter's CPU is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from typing import Any

from bench.probes_cpu import TICK_S, cpu_s, loopback

PROGRAM = "prometheus-blackbox-exporter"
CONNECTIONS = 32
MODULES = """
modules:
  tcp: {prober: tcp, timeout: 1s}
  http: {prober: http, timeout: 1s, http: {preferred_ip_protocol: ip4}}
  icmp: {prober: icmp, timeout: 1s, icmp: {preferred_ip_protocol: ip4}}
"""


@contextmanager
def exporter() -> Iterator[tuple[int, int]]:
    """Its process id and port."""
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "blackbox.yml"
        config.write_text(MODULES, encoding="utf-8")
        command = [
            PROGRAM,
            f"--config.file={config}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
        process = subprocess.Popen(
            command,
            env=os.environ | {"GOMAXPROCS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process.pid, port
        finally:
            process.kill()
            process.wait()


async def measure(
    pid: int, port: int, type_: str, *, targets: int, rate: float, seconds: float, peers: tuple[int, int]
) -> dict[str, Any]:
    """`rate`: scrapes a second in all; 0 for as many as it can."""
    links = [await _connected(port) for _ in range(CONNECTIONS)]
    counts = {"succeeded": 0, "failed": 0}

    async def scrape(number: int, until_s: float, phase_s: float) -> None:
        reader, writer = links[number]
        target, due_s = number, time.monotonic() + phase_s
        while (now_s := time.monotonic()) < until_s:
            if rate:
                await asyncio.sleep(due_s - now_s)
                due_s += CONNECTIONS / rate
            host = loopback(target)
            where = {"tcp": f"{host}:{peers[0]}", "http": f"http://{host}:{peers[1]}/"}.get(type_, host)
            ok = await _probe(reader, writer, type_, where)
            counts["succeeded" if ok else "failed"] += 1
            target = (target + CONNECTIONS) % targets

    async def scrape_all(seconds: float) -> None:
        until_s = time.monotonic() + seconds
        phase_s = 1 / rate if rate else 0.0
        await asyncio.gather(*(scrape(number, until_s, number * phase_s) for number in range(CONNECTIONS)))

    await scrape_all(0.5)
    counts.update(succeeded=0, failed=0)
    began_s, began_cpu_s = time.monotonic(), cpu_s(pid)
    await scrape_all(seconds)
    wall_s, used_s = time.monotonic() - began_s, max(TICK_S, cpu_s(pid) - began_cpu_s)
    for _reader, writer in links:
        writer.transport.abort()
    checks = sum(counts.values())
    return {
        "checks": checks,
        "wall_s": wall_s,
        "cpu_s": used_s,
        "cpu_us_per_check": 1e6 * used_s / max(1, checks),
        "checks_per_core_s": counts["succeeded"] / used_s,
        "not_succeeded": {"probe_success 0": counts["failed"]} if counts["failed"] else {},
    }


async def _connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                return await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.05)


async def _probe(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, module: str, target: str
) -> bool:
    writer.write(f"GET /probe?module={module}&target={target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"content-length:" in head:
        body = await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
    else:
        body = await reader.readuntil(b"\r\n0\r\n\r\n")
    return b"\nprobe_success 1\n" in body
