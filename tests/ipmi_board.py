"""A management board as OpenIPMI simulates it: IPMI 2.0 over the network, and the power of one process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pg_pair import free_port, wait_for

IPMI_SIM = shutil.which("ipmi_sim")
LOOPBACK = "127.0.0.1"
USER, PASSWORD = "ops", "s3cret-of-the-board"

_LAN = """
name "board"
set_working_mc 0x20
  startlan 1
    addr {host} {port}
    priv_limit admin
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "{chassis} 0x20"
  user 1 true "" "test" user 10 none md2 md5 straight
  user 2 true "{user}" "{password}" admin 10 none md2 md5 straight
"""
_EMULATION = """
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
"""
# Asked as `MC get power` and `MC set power 0`. Off kills the process whose number is in `pid`.
_CHASSIS = """#!/bin/sh
cd {root} || exit 1
case "$2 $3" in
  "get power") echo "power:$(cat power)" ;;
  "set power") printf %s "$4" >power; [ "$4" = 1 ] || kill -9 "$(cat pid)" 2>/dev/null ;;
esac
exit 0
"""


class Board:
    """`host` is a process that lives while the power is on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self.host = subprocess.Popen(["sleep", "600"])
        (root / "power").write_text("1")
        (root / "pid").write_text(str(self.host.pid))
        chassis = root / "chassis"
        chassis.write_text(_CHASSIS.format(root=root))
        chassis.chmod(0o755)
        lan = _LAN.format(host=LOOPBACK, port=self.port, chassis=chassis, user=USER, password=PASSWORD)
        (root / "lan.conf").write_text(lan)
        (root / "board.emu").write_text(_EMULATION)
        (root / "state").mkdir()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def parameters(self) -> dict[str, object]:
        return {
            "ip": LOOPBACK, "ipport": self.port, "username": USER, "lanplus": True, "cipher": 3,
            "power_wait": 0, "login_timeout": 2,
        }  # fmt: skip

    @property
    def power(self) -> str:
        return (self.root / "power").read_text()

    def start(self) -> None:
        command = ["ipmi_sim", "-c", "lan.conf", "-f", "board.emu", "-s", "state", "-n"]
        with (self.root / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self.root, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_for(self._listens, "the simulator of a management board")

    def stop(self) -> None:
        """As it loses its power with its host."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.stop()
        self.host.send_signal(signal.SIGKILL)
        self.host.wait()

    def _listens(self) -> bool:
        """Its port is taken."""
        assert self._process is not None
        assert self._process.poll() is None, (self.root / "log").read_text()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.bind((LOOPBACK, self.port))
            except OSError:
                return True
        return False


@contextmanager
def running_board(root: Path) -> Iterator[Board]:
    if IPMI_SIM is None or not Path("/usr/sbin/fence_ipmilan").exists() or shutil.which("ipmitool") is None:
        pytest.skip(
            "needs ipmi_sim, ipmitool, fence_ipmilan (Debian: apt-get install openipmi ipmitool fence-agents)"
        )
    if os.geteuid() != 0:
        pytest.skip("ipmi_sim wants to be root")
    board = Board(root)
    try:
        board.start()
        yield board
    finally:
        board.close()
