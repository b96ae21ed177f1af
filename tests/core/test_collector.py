"""What lasts as long as the process is not looked at by the garbage collector again and again."""

from __future__ import annotations

import subprocess
import sys

LOOK = """
import gc
import controller.daemon
from controller.collector import calm_collector
before = len(gc.get_objects())
calm_collector()
print(before, len(gc.get_objects()))
class Knot: pass
knot = Knot(); knot.itself = knot
del knot
print(gc.collect())
"""


def test_the_collector_passes_over_the_modules_and_still_unties_new_knots() -> None:
    told = subprocess.run([sys.executable, "-c", LOOK], stdout=subprocess.PIPE, text=True, check=True)
    before, after, untied = map(int, told.stdout.split())
    assert after < before / 20
    assert untied >= 1
