"""`docs/actions.md`: every action with its options and outputs, printed from the actions themselves.

`python -m controller.report.actions_page > docs/actions.md` after a change of an action.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from controller.action_types import describe, describe_all
from controller.report.probes_page import parted, rows

_INTRODUCTION: Final = """\
# Actions

What the steps of a runbook can do. Printed from the actions by `python -m controller.report.actions_page >
docs/actions.md`; `bcm-failover action list` and `bcm-failover action show NAME` say the same of what is
installed.

```yaml
steps:
  - id: announce
    action: ssh.run
    with:
      member: "{{ candidate }}"
      command: [/usr/local/bin/announce, "{{ candidate }}"]
      effect: [/usr/bin/test, -e, /run/announced]
      undo: [/usr/local/bin/announce, --withdraw]
    timeout: 10s
    undo: true
```

How an action behaves in a runbook:

- **Changes.** A step that changes something is on disk before it acts and after it. One that only looks may
  run again at any time.
- **Effect.** After a death, and after every outcome that is not known, the action looks at its own effect: it
  is there, it is not there, or that can't be seen. Where an option says how the effect is seen, it is worth
  giving: without it an interrupted step stays unknown, and a person must look. A step whose effect is there
  before it acts does nothing, and one that may have been done already is not done again while its effect
  can't be seen.
- **Again.** Where the effect is not there, a step that may be run again is. The others stay unknown.
- **Undo.** With `undo: true` of the step, what it did is taken back when the execution is undone.

Values that are filled in (`{{ … }}`) are arguments, parameters, segments of a path, texts. They never choose
the program, the statement, the server or the secret, and no text that is read as code (a shell's script, SQL,
a pattern) has a template in it: those stand in the runbook. This is checked by the linter, before a plan is
made, and once more when a step begins.

Durations are a number and a unit: `500ms`, `30s`, `5m`. Secrets are given by
[reference](configuration.md#where-a-secret-is), are masked in all that is kept, and are never an argument of
a program.

On this host the daemon runs in the sandbox of its unit: `exec.run` and `file.render` reach what that leaves
open. `ReadWritePaths=` in a drop-in opens a directory; commands as another account need what
`systemd/local-access.conf` says.

An action of your own: [adding an action](adding-an-action.md).
"""
_GENERIC: Final = "Any service"
# Families that are about one kind of thing; the others are of use for any service.
_TITLES: Final = {
    "postgresql": "PostgreSQL",
    "mariadb": "MariaDB",
    "redis": "Redis",
    "sentinel": "Sentinel",
    "patroni": "Patroni",
    "pool": "Pools of web servers",
    "haproxy": "HAProxy",
    "vip": "Virtual addresses",
    "dns": "DNS",
    "fence": "Fences",
}
_CHANGES: Final = {"yes": "yes", "no": "no, it only looks", "option": "as its options say"}
_EFFECT: Final = {"yes": "it looks itself", "no": "none", "option": "as an option says; else not known"}
_AGAIN: Final = {"yes": "yes", "no": "no", "option": "where the effect can be seen not to be there"}
_UNDO: Final = {"yes": "yes", "no": "no", "option": "as an option says"}
_FENCES: Final = {
    "yes": "It fences: its success proves that the old primary can acknowledge nothing any more.",
    "option": "It fences where its options say so: then its success proves that the old primary can "
    "acknowledge nothing any more.",
}
_MARKS: Final = {
    "promotes": "It makes a member the primary.",
    "needs_primary": "It needs the old primary, so it has no place in a failover.",
    "per_process": "Its effect lives in the controller's process: a resumed execution runs it again first.",
}


def actions_page() -> str:
    by_family: dict[str, list[str]] = {}
    for item in describe_all():
        if item["from"] == "bcm-failover":
            by_family.setdefault(item["action"].partition(".")[0], []).append(item["action"])
    parts = [_INTRODUCTION, f"## {_GENERIC}\n"]
    parts += [_action(name) for family, names in by_family.items() if family not in _TITLES for name in names]
    for family, title in _TITLES.items():
        if family in by_family:
            parts.append(f"## {title}\n")
            parts += [_action(name) for name in by_family[family]]
    return "\n".join(parts)


def _action(name: str) -> str:
    return "\n\n".join(_parts(describe(name))) + "\n"


def _parts(described: Mapping[str, Any]) -> Iterator[str]:
    yield f"### `{described['action']}`"
    yield described["summary"]
    if described["about"]:
        yield described["about"]
    marks = [text for mark, text in _MARKS.items() if described[mark] is True]
    marks += [_FENCES[described["fences"]]] if described["fences"] != "no" else []
    if marks:
        yield " ".join(marks)
    yield behaviour(described)
    items = parted(described["output"]) if described["output"] else []
    items += [f"`{n}`" for n in described["outputs"] or () if f"`{n}`" not in described["output"]]
    if items:
        yield "Outputs:\n\n" + "\n".join(f"- {item.rstrip('.')}" for item in items)
    if described["options"]:
        yield rows(described["options"]).rstrip("\n")
    else:
        yield "It takes no options."


def behaviour(described: Mapping[str, Any]) -> str:
    """What the engine may do with it, in a line."""
    changes = described["changes"]
    words = [f"Changes: {_CHANGES[changes]}."]
    if changes != "no":
        undo = _UNDO[described["undo"]] + (f": {described['undo_text']}" if described["undo_text"] else "")
        words.append(f"Effect: {_EFFECT[described['effect']]}. Again: {_AGAIN[described['repeatable']]}.")
        words.append(f"Undo: {undo.rstrip('.')}.")
    return " ".join(words)


if __name__ == "__main__":
    sys.stdout.write(actions_page())
