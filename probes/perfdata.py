"""What a Nagios plugin prints: text, long text, and measured values (`perfdata`).

Formats: the plug-in development guidelines of the Monitoring Plugins project, sections "Plugin Output" and
"Performance Data". The values stay decimal text: facts hold no floats.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MOST_VALUES = 200  # a plugin with one value for each of very many things must not fill the journal
MOST_LABEL = 100
_NUMBER = r"[-+]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,3})?"
# Either 'quoted', with '' for a quote, or bare; no label holds an equals sign unless it is quoted.
_ITEM = re.compile(r"(?:'((?:[^']|'')+)'|([^\s='][^\s=]*))=(\S*)")
_VALUE = re.compile(rf"({_NUMBER}|U)([^\d;,.\s]{{0,16}})")
_RANGE = re.compile(rf"@?(?:~|{_NUMBER})?(?::(?:{_NUMBER})?)?")
_LIMIT = re.compile(_NUMBER)


@dataclass(frozen=True, slots=True)
class PluginOutput:
    """`text`: the first line; `long_text`: what follows it; `perfdata`: see `parse_perfdata`."""

    text: str
    long_text: str = ""
    perfdata: dict[str, dict[str, str]] = field(default_factory=dict)


def parse_output(output: str) -> PluginOutput:
    """The first line is text and values. Of what follows, all that comes after the next `|` is values too."""
    first, _, rest = output.strip().partition("\n")
    text, _, values = first.partition("|")
    long_text, _, more_values = rest.partition("|")
    return PluginOutput(text.strip(), long_text.strip(), parse_perfdata(f"{values} {more_values}"))


def parse_perfdata(text: str) -> dict[str, dict[str, str]]:
    """Label → {value, unit, warn, crit, min, max}; those that are not given are left out, and so is a value
    that is no number. `U` is a value that the plugin could not find out."""
    found: dict[str, dict[str, str]] = {}
    for match in _ITEM.finditer(text):
        label = (match[1] or match[2]).replace("''", "'").strip()[:MOST_LABEL]
        item = _parse_item(match[3])
        if item is not None and len(found) < MOST_VALUES:
            found[label] = item
    return found


def _parse_item(text: str) -> dict[str, str] | None:
    value, *limits = text.split(";")
    match = _VALUE.fullmatch(value)
    if match is None:
        return None
    item = {"value": match[1]}
    if match[2]:
        item["unit"] = match[2]
    patterns = (("warn", _RANGE), ("crit", _RANGE), ("min", _LIMIT), ("max", _LIMIT))
    for (name, pattern), limit in zip(patterns, limits, strict=False):
        if limit and pattern.fullmatch(limit):
            item[name] = limit
    return item
