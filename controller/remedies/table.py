"""The table of remedies, by engine. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.engines import ENGINES
from controller.remedies.mariadb import MARIADB
from controller.remedies.pool import POOL
from controller.remedies.postgresql import POSTGRESQL
from controller.remedies.redis import REDIS
from controller.remedies.remedy import Remedy
from controller.remedies.unmoved import UNMOVED

_OWN: Final[Mapping[str, Remedy]] = {
    "postgresql": POSTGRESQL,
    "mariadb": MARIADB,
    "redis": REDIS,
    "http": POOL,
}
REMEDIES: Final[Mapping[str, Remedy]] = {name: _OWN.get(name, UNMOVED) for name in ENGINES}
