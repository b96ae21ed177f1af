"""`docs/probes.md`: every probe type with its options and facts, printed from the types themselves.

`python -m controller.report.probes_page > docs/probes.md` after a change of a type.
"""

from __future__ import annotations

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
    head = f"### `{described['type']}`\n\n{described['about']}\n"
    facts = f"\n{described['facts']}\n" if described["facts"] else ""
    return head + facts + "\n" + _rows(described["options"])


def _table(title: str, options: list[Mapping[str, Any]]) -> str:
    return f"## {title}\n\n" + _rows(options)


def _rows(options: list[Mapping[str, Any]]) -> str:
    lines = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for item in options:
        default = "required" if item["required"] else item["default"]
        meaning = item["meaning"].replace("|", "\\|")
        lines.append(f"| `{item['name']}` | {item['type']} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(probes_page())
