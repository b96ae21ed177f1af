"""The tour through MariaDB."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from controller.demo.mariadb.client import MODULE, PASSWORD_VARIABLE, missing
from controller.demo.mariadb.cluster import MariadbCluster
from controller.demo.mariadb.estate import SERVICE, mariadb_estate, ready
from controller.demo.primary_tour import Kit
from controller.demo.writer import WriterProcess


def writer(cluster: MariadbCluster, log: Path) -> WriterProcess:
    ports = [n.port for n in cluster.nodes]
    return WriterProcess(MODULE, ports, log, {PASSWORD_VARIABLE: cluster.password})


MARIADB: Final = Kit("MariaDB", SERVICE, MariadbCluster, mariadb_estate, ready, writer, missing)
