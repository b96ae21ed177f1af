"""What the service manager hears, on a real datagram socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.sdnotify import Notifier


class Manager:
    """The service manager's end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(5)

    def heard(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify") if request.param == "file" else f"@bcm-test-{os.getpid()}")
    yield made
    made.close()


def test_each_message_is_what_systemd_expects(manager: Manager) -> None:
    notifier = Notifier(manager.address)
    for say, heard in (
        (notifier.ready, {"READY": "1"}),
        (notifier.stopping, {"STOPPING": "1"}),
        (notifier.watchdog, {"WATCHDOG": "1"}),
    ):
        say()
        assert manager.heard() == heard


def test_a_reload_says_when_it_began(manager: Manager) -> None:
    """Without it `systemctl reload` of a notify-reload unit waits for ever."""
    before = time.monotonic_ns() // 1000
    Notifier(manager.address).reloading()
    heard = manager.heard()
    assert heard["RELOADING"] == "1"
    assert before <= int(heard["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000


def test_a_status_of_many_lines_can_not_smuggle_a_message(manager: Manager) -> None:
    Notifier(manager.address).status("leading\nSTOPPING=1")
    assert manager.heard() == {"STATUS": "leading STOPPING=1"}


def test_children_do_not_inherit_the_managers_socket() -> None:
    environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "15000000", "WATCHDOG_PID": str(os.getpid()), "A": "b"}
    notifier = Notifier.from_environment(environ)
    assert environ == {"A": "b"}
    assert notifier.watchdog_s == 15.0


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}],
)
def test_a_watchdog_that_is_not_meant_for_us_is_none(environ: dict[str, str]) -> None:
    assert Notifier.from_environment(environ).watchdog_s is None


@pytest.mark.parametrize("address", [None, "/nonexistent/socket"])
def test_without_a_manager_nothing_is_said_and_nothing_breaks(address: str | None) -> None:
    notifier = Notifier(address)
    notifier.ready()
    notifier.watchdog()


def test_a_manager_that_does_not_read_never_blocks_us(manager: Manager) -> None:
    notifier = Notifier(manager.address)
    for _ in range(2000):
        notifier.watchdog()
    assert manager.heard() == {"WATCHDOG": "1"}
