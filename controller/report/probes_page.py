"""`docs/probes.md`: every probe type with its options and facts, printed from the types themselves.

`python -m controller.report.probes_page > docs/probes.md` after a change of a type.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any, Final

from config.probes import ProbeEntry
from config.validation import public_fields
from controller.probe_types import describe, describe_all, option

_INTRODUCTION: Final = """\
# Probe types

Printed from the types by `python -m controller.report.probes_page > docs/probes.md`; `bcm-failover probe
list` and `bcm-failover probe list TYPE` say the same of what is installed.

What a service's engine needs is probed by itself: its members, their nodes, the canary. Whatever else tells
about a service, a node or a site is declared in the estate:

```yaml
probes:
  orders-web:
    type: http
    service: orders          # or node: NAME, or site: NAME; with service also member: NAME
    interval: 5s
    options:
      url: https://shop.example/health
      body: ok
  uplink:
    type: dns
    reference: true          # it answers if this host's own network works
    options: {name: example.org, server: 10.0.0.53}
```

A declared probe is evidence: it is shown by `status` and `explain`, raises early warnings, and never alone
makes anything happen. `fall` failures in a row make it `down`, `rise` successes `up` again; what could not
be found out is `unknown`, and never `down`. `bcm-failover probe run NAME --debug` makes one attempt now and
shows every step of it.

A type of your own: [adding a probe](adding-a-probe.md).
"""
# In a type's text the facts are one paragraph, from the first to the last, parted by semicolons.
_FACTS: Final = "Facts: "
_LAYERS: Final = {"network": "Network", "server": "Server", "application": "Application"}


def probes_page() -> str:
    parts = [_INTRODUCTION, _table("Every declared probe", _entry_options())]
    types = [item for item in describe_all() if item["from"] == "bcm-failover"]
    for layer, title in _LAYERS.items():
        parts.append(f"## {title}\n")
        parts += [_type(describe(item["type"])) for item in types if item["layer"] == layer]
    return "\n".join(parts)


def _entry_options() -> list[Mapping[str, Any]]:
    return [option(key, field) for key, field in public_fields(ProbeEntry).items()]


def _type(described: Mapping[str, Any]) -> str:
    parts = [f"### `{described['type']}`", described["about"], *_of_class(described["facts"])]
    return "\n\n".join(parts) + "\n\n" + rows(described["options"])


def _of_class(text: str) -> list[str]:
    """The paragraphs of the class, without its summary (the module's is above), its facts as a list."""
    paragraphs = [p for p in text.split("\n\n") if p]
    return [_facts(p) if _FACTS in p else p for p in paragraphs if p is not paragraphs[0] or _FACTS in p]


def _facts(paragraph: str) -> str:
    facts = " ".join(paragraph.partition(_FACTS)[2].split())
    items = parted(facts)
    if len(items) < 2:
        return _FACTS + facts
    return _FACTS.strip() + "\n\n" + "\n".join(f"- {item.rstrip('.')}" for item in items)


def parted(text: str) -> list[str]:
    """At the semicolons that stand in no brackets."""
    items, depth, begin = [], 0, 0
    for found in re.finditer(r"[(\[{]|[)\]}]|; ", text):
        mark = found[0]
        depth += (mark in "([{") - (mark in ")]}")
        if mark == "; " and not depth:
            items.append(text[begin : found.start()])
            begin = found.end()
    return [*items, text[begin:]]


def _table(title: str, options: list[Mapping[str, Any]]) -> str:
    return f"## {title}\n\n" + rows(options)


def rows(options: list[Mapping[str, Any]]) -> str:
    """A table of options, as `controller.probe_types.option` describes them."""
    lines = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for item in options:
        default = "required" if item["required"] else item["default"]
        meaning = item["meaning"].replace("|", "\\|")
        kind = item["type"].replace("(#", "(configuration.md#").replace("mapping of value", "mapping")
        lines.append(f"| `{item['name']}` | {kind} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(probes_page())
