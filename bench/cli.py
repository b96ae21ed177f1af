"""How long client commands take, interpreter and all: `python bench/cli.py [RUNS]`.

Against the real admin API with a daemon behind it that answers at once: what is measured is the command line.
The bar is 0.3 s.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.fake_daemon import running_daemon  # noqa: E402

BAR_S = 0.3
COMMANDS = (
    ("status",),
    ("status", "-o", "json"),
    ("explain", "orders"),
    ("execution", "list"),
    ("incident", "list"),
    ("switchover", "orders", "--no-wait"),
    ("--help",),
)


def measure(socket: Path, arguments: tuple[str, ...], runs: int) -> list[float]:
    command = [str(Path(sys.executable).parent / "bcm-failover"), "--socket", str(socket), *arguments]
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(
            command, stdout=subprocess.DEVNULL, check=True, env={**os.environ, "BCM_PERSON": "li.wei"}
        )
        taken.append(time.perf_counter() - began)
    return taken


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    worst = 0.0
    with tempfile.TemporaryDirectory() as directory, running_daemon(Path(directory) / "s") as daemon:
        for number in range(100):
            daemon.journal.open_execution(f"EXE-{number}", ["lock", "promote"])
        for arguments in COMMANDS:
            taken = measure(daemon.socket, arguments, runs)
            median = statistics.median(taken)
            worst = max(worst, median)
            print(f"{' '.join(arguments):32} median {median:.3f} s, worst {max(taken):.3f} s")
    print(json.dumps({"worst_median_s": round(worst, 3), "bar_s": BAR_S, "runs": runs}))
    return 0 if worst <= BAR_S else 1


if __name__ == "__main__":
    sys.exit(main())
