"""Sleeps of 2 ms, and by how much they were late: what the machine adds, whatever a measured process does.

Runs until its standard input ends, and prints percentiles in milliseconds as JSON.
"""

from __future__ import annotations

import json
import select
import sys
import time

SLEEP_S = 0.002

late_s = []
while not select.select([sys.stdin], [], [], 0)[0]:
    due_s = time.monotonic() + SLEEP_S
    time.sleep(SLEEP_S)
    late_s.append(time.monotonic() - due_s)
late_s.sort()
print(json.dumps({f"p{p}": round(1000 * late_s[len(late_s) * p // 100], 3) for p in (50, 99)}))
