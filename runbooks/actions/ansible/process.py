"""A process of its own that runs one playbook: `python -m runbooks.actions.ansible.process`, a request as
JSON on standard input, the result as JSON on the last line of standard output.

Of its own, because ansible-runner blocks, starts processes and changes its environment: so it can be ended
at a deadline, and nothing of it stays in the daemon.

Variables go into a file in which every text is marked `!unsafe`. Without that Ansible would read a value
such as `{{ lookup('pipe', 'id') }}` as a template and run the command.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NOT_INSTALLED = 3
_PR_SET_CHILD_SUBREAPER = 36  # of Linux: whoever loses its parent becomes a child of this process
_MOST_GENERATIONS = 100
_MOST_OUTPUT = 60_000  # characters of what Ansible printed: its end


def main() -> int:
    began_s = time.monotonic()
    request = json.load(sys.stdin)
    ends_s = began_s + request["timeout_s"]
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        import ansible_runner  # noqa: PLC0415 - an optional extra
    except ImportError:
        return _NOT_INSTALLED
    # ansible-playbook stands beside the interpreter of the environment that it is installed in.
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    with tempfile.TemporaryDirectory(prefix="bcm-ansible-") as directory:
        root = Path(directory)
        run = ansible_runner.run(
            private_data_dir=directory,
            playbook=request["playbook"],
            inventory=_inventory(root, request["inventory"]),
            cmdline=" ".join(_command_line(root, request)),
            envvars={
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_RETRY_FILES_ENABLED": "0",
                "ANSIBLE_LOCALHOST_WARNING": "0",
            },
            settings={"pexpect_timeout": 0.2},  # so often it is looked whether the time is up
            cancel_callback=lambda: time.monotonic() >= ends_s,
            quiet=True,
        )
        if run.status != "successful":
            _end_descendants()
        stats = run.stats or {}
        printed = run.stdout.read()
    result = {
        "status": run.status,
        "rc": run.rc,
        "stats": {name: stats.get(name, {}) for name in ("ok", "changed", "failures", "dark")},
        "printed": printed[-_MOST_OUTPUT:],
    }
    sys.stdout.write("\n" + json.dumps(result) + "\n")
    return 0


def _inventory(root: Path, given: str) -> str:
    if given:
        return given
    file = root / "hosts"
    file.write_text(f"localhost ansible_connection=local ansible_python_interpreter={sys.executable}\n")
    return str(file)


def _command_line(root: Path, request: Mapping[str, Any]) -> list[str]:
    """Names have been checked to be names: none holds a blank or begins with a dash."""
    variables = root / "variables.yml"
    variables.write_text(yaml_of(request["variables"]))
    words = ["-e", f"@{variables}"]
    for option in ("limit", "tags", "skip_tags"):
        if request[option]:
            words += [f"--{option.replace('_', '-')}", ",".join(request[option])]
    if request["check"]:
        words.append("--check")
    if request["vault_password"]:
        file = root / "vault"
        file.touch(mode=0o600)
        file.write_text(request["vault_password"])
        words += ["--vault-password-file", str(file)]
    return words


def yaml_of(value: Any) -> str:
    """JSON, which is YAML, with every text marked."""
    match value:
        case str():
            return f"!unsafe {_quoted(value)}"
        case dict():
            return "{" + ", ".join(f"{_quoted(key)}: {yaml_of(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(yaml_of(item) for item in value) + "]"
        case _:
            return json.dumps(value)


def _end_descendants() -> None:
    """Ansible's workers are sessions of their own, and what they have started outlives them when Ansible is
    ended at its time-out."""
    for _ in range(_MOST_GENERATIONS):
        text = "".join(file.read_text() for file in Path("/proc/self/task").glob("*/children"))
        children = [int(pid) for pid in text.split()]
        if not children:
            return
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _quoted(text: str) -> str:
    """As YAML quotes it: its escapes are those of JSON, but it takes no surrogates and fewer characters
    bare."""
    bare = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == " " else f"\\U{ord(c):08x}" for c in bare)


if __name__ == "__main__":
    sys.exit(main())
