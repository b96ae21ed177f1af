"""The tour through Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from controller.demo.primary_tour import CRASH, HANG, Kit
from controller.demo.redis.client import MODULE, missing
from controller.demo.redis.cluster import RedisCluster
from controller.demo.redis.estate import SERVICE, ready, redis_estate
from controller.demo.writer import WriterProcess


def writer(cluster: RedisCluster, log: Path) -> WriterProcess:
    return WriterProcess(MODULE, [n.port for n in cluster.nodes], log)


# Redis acknowledges before any replica has a write.
REDIS: Final = Kit(
    "Redis", SERVICE, RedisCluster, redis_estate, ready, writer, missing, allows_loss=frozenset({CRASH, HANG})
)
