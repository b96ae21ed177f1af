"""`docs/noise-model.md`: the noise model, printed from its table; what was measured is kept as it stands.

`python -m controller.report.noise_page` writes the page anew after a change of the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from controller.simulate.noise import (
    AGAIN_MEAN_S,
    AGAIN_SHARE,
    EVENTS_A_DAY,
    MODEL,
    RIDES_OUT_S,
    Noise,
)

PAGE: Final = Path(__file__).parents[2] / "docs" / "noise-model.md"
MEASURED: Final = "## Measured\n"
_INTRODUCTION: Final = """\
# The noise model

What a service goes through without anything being lost. No failover is right for it: each one is false.
`bcm-failover simulate --noise` plays it, in virtual time, against the same detection, diagnosis, decision and
runbooks as in the real world. The table is printed from `controller/simulate/noise.py` by
`python -m controller.report.noise_page`.

Each kind comes by itself, at random, at a constant rate (a Poisson process), on any of three members, their
hosts or the one controller, the primary as likely as any other. With {again:.0%} it comes again at once, on
the same target, after {mean:g} s on average, and again with the same share: links flap. In all {a_day:.0f} a
day. Lengths and values are log-normal: half lie below the median, a sixth above the median times e^σ, none
above the most.

No collection of measurements gives the rates of one's own hosts. These are meant for a place that is run with
ordinary care, and are rather too high than too low: what is named as a source says what comes and how long it
lasts, and not how often it comes. Whoever knows better changes the table and plays it again.
"""
_PROMISES: Final = """\
A profile promises to ride out so much silence of the primary: {promises}. What
silences a whole primary for longer (`long-stall` mostly) is an outage to that profile, though it would have
ended by itself; a failover for it is counted apart, as `stall_failovers`. All others are `false_failovers`.
Whoever has hosts that stand still for longer takes `careful`.
"""


def noise_page() -> str:
    """All of the page but what was measured."""
    introduction = _INTRODUCTION.format(again=AGAIN_SHARE, mean=AGAIN_MEAN_S, a_day=EVENTS_A_DAY)
    promises = ", ".join(f"{profile} {seconds:g} s" for profile, seconds in RIDES_OUT_S.items())
    rows = [
        "| kind | a day | lasts, s | what it does | value | what is meant |",
        "|---|---|---|---|---|---|",
        *(_row(noise) for noise in MODEL),
    ]
    return "\n".join([introduction, *rows, "", _PROMISES.format(promises=promises)])


def _row(noise: Noise) -> str:
    value = f"{noise.value} {noise.unit}" if noise.unit else ""
    lasts = str(noise.lasts_s) if noise.lasts_s.most else "a moment"
    return f"| `{noise.name}` | {noise.a_day:.2g} | {lasts} | {noise.what} | {value} | {noise.source} |"


def write() -> None:
    known = PAGE.read_text(encoding="utf-8") if PAGE.exists() else MEASURED
    measured = known[known.index(MEASURED) :]
    PAGE.write_text(f"{noise_page()}\n{measured}", encoding="utf-8")


if __name__ == "__main__":
    write()
