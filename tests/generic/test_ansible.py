"""ansible.playbook with a real Ansible, on this host."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.errors import RunbookError
from model.execution import ExecutionState
from runbooks.actions.ansible.process import yaml_of
from tests.generic_bench import GenericBench, at_once, step, succeeded

INSTALLED = importlib.util.find_spec("ansible_runner") is not None
_skip = pytest.mark.skipif(not INSTALLED, reason="pip install 'bcm-failover[ansible]'")


def needs_ansible(test: Any) -> Any:
    """Ansible takes a second or more to begin."""
    return pytest.mark.slow(_skip(test))


# What Ansible would run if it were read as a template.
HOSTILE = "{{ lookup('pipe', 'touch PLACE/owned') }}"
FAILS = step("exec.run", "fails", with_={"command": ["/bin/false"], "changes": False}, on_failure="undo")


def playbook(root: Path, *tasks: dict[str, Any], name: str = "site.yml") -> str:
    file = root / name
    file.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": list(tasks)}]))
    return str(file)


def writes(root: Path, text: str = "{{ word }}") -> dict[str, Any]:
    return {"name": "write", "ansible.builtin.copy": {"dest": f"{root}/made", "content": text}}


@pytest.fixture
def write(tmp_path: Path) -> dict[str, Any]:
    """A playbook that writes `word` into the file `made`, and one that removes it."""
    remove = {"ansible.builtin.file": {"path": f"{tmp_path}/made", "state": "absent"}}
    return {
        "playbook": playbook(tmp_path, writes(tmp_path)),
        "undo": playbook(tmp_path, remove, name="undo.yml"),
        "variables": {"word": "{{ word }}"},
        "effect": "check_mode",
    }


def play(**options: Any) -> list[dict[str, Any]]:
    return [step("ansible.playbook", timeout="60s", with_=options, point_of_no_return=True)]


@needs_ansible
async def test_a_playbook_is_run_and_counted_and_a_value_is_never_a_template(
    bench: GenericBench, tmp_path: Path, write: dict[str, Any]
) -> None:
    word = HOSTILE.replace("PLACE", str(tmp_path)) + " é \x85 \u2028 😀 \" ' \\"
    found = succeeded(await bench.run(play(**write), word=word))["act"]
    assert (tmp_path / "made").read_text() == word
    assert not (tmp_path / "owned").exists()
    assert (found["ok"], found["changed_tasks"], found["failures"], found["unreachable"]) == (1, 1, 0, 0)
    assert found["hosts"] == {"localhost": {"ok": 1, "changed_tasks": 1, "failures": 0, "unreachable": 0}}
    assert "TASK [write]" in Path(found["output_file"]).read_text()


@needs_ansible
async def test_an_effect_whose_record_was_lost_is_seen_in_check_mode(
    bench: GenericBench, tmp_path: Path, write: dict[str, Any]
) -> None:
    await bench.dies_before_the_result(play(**write), word="a")
    made = tmp_path / "made"
    inode = made.stat().st_ino
    succeeded(await bench.resume())
    assert bench.last_result("act")["reason"] == "reconciled"
    assert made.stat().st_ino == inode


@needs_ansible
async def test_an_effect_that_is_not_there_is_brought_about(
    bench: GenericBench, tmp_path: Path, write: dict[str, Any]
) -> None:
    await bench.dies_after_the_intent(play(**write), word="a")
    assert not (tmp_path / "made").exists()
    succeeded(await bench.resume())
    assert (tmp_path / "made").read_text() == "a"


@needs_ansible
async def test_without_check_mode_an_interrupted_one_stays_unknown(
    bench: GenericBench, tmp_path: Path, write: dict[str, Any]
) -> None:
    await bench.dies_after_the_intent(play(**write | {"effect": ""}), word="a")
    assert (await bench.resume()).state is ExecutionState.UNKNOWN
    assert not (tmp_path / "made").exists()


@needs_ansible
async def test_it_is_taken_back_by_a_playbook(
    bench: GenericBench, tmp_path: Path, write: dict[str, Any]
) -> None:
    steps = [step("ansible.playbook", timeout="60s", with_=write, undo=True, on_failure="undo"), FAILS]
    result = await bench.run(steps, word="a")
    assert result.state is ExecutionState.UNDONE, result.reason
    assert not (tmp_path / "made").exists()


@needs_ansible
async def test_what_only_looks_changes_nothing(bench: GenericBench, tmp_path: Path) -> None:
    options = {"playbook": playbook(tmp_path, writes(tmp_path, "x")), "check": True}
    found = succeeded(await bench.run([step("ansible.playbook", timeout="60s", with_=options)]))["act"]
    assert found["changed_tasks"] == 1
    assert not (tmp_path / "made").exists()


@needs_ansible
async def test_a_task_that_fails_is_named(bench: GenericBench, tmp_path: Path) -> None:
    options = {"playbook": playbook(tmp_path, {"ansible.builtin.fail": {"msg": "no room"}})}
    result = await bench.run(play(**options))
    assert result.state is ExecutionState.FAILED
    assert "1 failed" in result.reason
    assert "no room" in result.reason


@needs_ansible
async def test_a_playbook_that_does_not_end_is_ended_and_unknown(bench: GenericBench, tmp_path: Path) -> None:
    options = {"playbook": playbook(tmp_path, {"ansible.builtin.command": "sleep 61.75"})}
    steps = [step("ansible.playbook", timeout="5s", with_=options, point_of_no_return=True)]
    result = await bench.run(steps)
    assert result.state is ExecutionState.UNKNOWN
    found = await bench.here.run(["pgrep", "-f", "sleep 61.7[5]"], timeout_s=5)
    assert found.exit_code == 1, "it was left running"


@needs_ansible
async def test_the_vaults_password_is_never_seen(bench: GenericBench, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    options = {
        "playbook": playbook(tmp_path, {"ansible.builtin.debug": {"msg": "hunter2"}}),
        "vault_password": {"file": str(secret)},
    }
    found = succeeded(await bench.run(play(**options)))["act"]
    assert "hunter2" not in Path(found["output_file"]).read_text()
    assert "hunter2" not in bench.text()


@pytest.mark.parametrize("option", ["limit", "tags", "skip_tags"])
@pytest.mark.parametrize("value", ["all:!db1", "a b", "--check", "@/etc/passwd", "a,b", "*", ""])
async def test_names_are_names(bench: GenericBench, tmp_path: Path, option: str, value: str) -> None:
    options = {"playbook": playbook(tmp_path), option: ["{{ value }}"]}
    result = await bench.run(play(**options), value=value)
    assert "not begun" in result.reason


@pytest.mark.parametrize("option", ["playbook", "inventory", "undo", "vault_password", "effect", "check"])
async def test_no_value_chooses_what_is_played(bench: GenericBench, option: str) -> None:
    options: dict[str, Any] = {"playbook": "/p.yml"}
    options[option] = {"file": "{{ value }}"} if option == "vault_password" else "{{ value }}"
    with pytest.raises(RunbookError, match="no template may stand in"):
        await bench.run(play(**options), value="/tmp/evil.yml")


async def test_without_ansible_the_error_says_how_to_install_it(
    bench: GenericBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    result = await bench.run(at_once("ansible.playbook", playbook="/p.yml"))
    assert result.state is ExecutionState.FAILED
    assert "ansible-runner is not installed" in result.reason
    assert "pip install 'bcm-failover[ansible]'" in result.reason


def test_every_text_is_marked_at_any_depth() -> None:
    value = {"a": ["x", {"b": "y"}], "c": 1, "d": True, "e": None}
    assert yaml_of(value) == '{"a": [!unsafe "x", {"b": !unsafe "y"}], "c": 1, "d": true, "e": null}'
