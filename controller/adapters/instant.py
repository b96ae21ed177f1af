"""Now, as the journal's records tell a moment."""

from __future__ import annotations

import time

from controller.phases import Instant
from controller.store.hostclock import boot_id


def host_now() -> Instant:
    return Instant(boot_id(), time.monotonic_ns(), time.time_ns())
