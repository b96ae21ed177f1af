"""file.render on a real file system, here and behind a real sshd."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from model.errors import RunbookError
from model.execution import ExecutionResult, ExecutionState
from tests.generic_bench import GenericBench, at_once, bench_estate, step, succeeded
from tests.ssh_server import LOOPBACK, SshServer

FAILS = step("exec.run", "fails", with_={"command": ["/bin/false"], "changes": False}, on_failure="undo")


@dataclass
class Place:
    """`conf` is allowed, `root` beside it is not. where: options that say on which host."""

    bench: GenericBench
    root: Path
    where: dict[str, Any]

    @property
    def conf(self) -> Path:
        return self.root / "conf"

    @property
    def file(self) -> Path:
        return self.conf / "app.conf"

    def options(self, content: str = "new\n", **more: Any) -> dict[str, Any]:
        return {"path": str(self.file), "content": content, **self.where, **more}

    async def write(
        self, content: str = "new\n", /, *, given: dict[str, Any] | None = None, **vars_: Any
    ) -> ExecutionResult:
        return await self.bench.run(at_once("file.render", **self.options(content, **(given or {}))), **vars_)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.conf.iterdir())


@pytest.fixture(params=["here", "node"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    root = tmp_path / "files"
    (root / "conf").mkdir(parents=True)
    node: dict[str, Any] = {"site": "one", "address": LOOPBACK}
    if request.param == "node":
        sshd: SshServer = request.getfixturevalue("sshd")
        node |= {"access": "ssh", "ssh": sshd.settings().model_dump(mode="json")}
    daemon = {"file_directories": [str(root / "conf")]}
    bench = GenericBench(tmp_path, bench_estate(nodes={"here": node}, daemon=daemon))
    yield Place(bench, root, {"member": "web1"} if request.param == "node" else {})
    await bench.close()


async def test_a_file_is_written_whole_with_its_rights_and_owner(place: Place) -> None:
    place.file.write_text("old\n")
    user = "nobody" if os.geteuid() == 0 else ""
    given = {"mode": "0640", "owner": user}
    found = succeeded(await place.write("port {{ port }}\nend", given=given, port=5432))["act"]
    assert place.file.read_text() == "port 5432\nend\n"
    assert place.file.stat().st_mode & 0o777 == 0o640
    assert not user or place.file.owner() == user
    assert (found["changed"], found["bytes"]) == (True, 14)


async def test_a_file_that_is_so_already_is_left_alone(place: Place) -> None:
    place.file.write_text("new\n")
    place.file.chmod(0o644)
    inode = place.file.stat().st_ino
    assert succeeded(await place.write())["act"]["changed"] is False
    assert place.file.stat().st_ino == inode
    assert place.left() == ["app.conf"]
    place.file.chmod(0o600)
    assert succeeded(await place.write())["act"]["changed"] is True


async def test_it_takes_the_place_at_once_and_never_writes_into_the_file_that_is_read(place: Place) -> None:
    place.file.write_text("old\n")
    with place.file.open() as reader:
        succeeded(await place.write("x" * 100_000))
        assert reader.read() == "old\n"


@pytest.mark.parametrize("before", ["old\n", None])
async def test_the_former_content_comes_back(place: Place, before: str | None) -> None:
    if before is not None:
        place.file.write_text(before)
        place.file.chmod(0o600)
    steps = [step("file.render", with_=place.options(), undo=True, on_failure="undo"), FAILS]
    result = await place.bench.run(steps)
    assert result.state is ExecutionState.UNDONE, result.reason
    if before is None:
        assert place.left() == []
        return
    assert place.file.read_text() == before
    assert place.file.stat().st_mode & 0o777 == 0o600
    assert place.left() == ["app.conf"]


async def test_two_steps_on_one_file_are_both_taken_back(place: Place) -> None:
    place.file.write_text("old\n")
    steps = [
        step("file.render", "one", with_=place.options("one\n"), undo=True, on_failure="undo"),
        step("file.render", "two", with_=place.options("two\n"), undo=True, on_failure="undo"),
        FAILS,
    ]
    result = await place.bench.run(steps)
    assert result.state is ExecutionState.UNDONE, result.reason
    assert place.file.read_text() == "old\n"


async def test_what_somebody_else_has_changed_since_is_not_overwritten(place: Place) -> None:
    place.file.write_text("old\n")
    await place.bench.dies_before_the_result(
        [step("file.render", with_=place.options(), undo=True, on_failure="undo")]
    )
    place.file.write_text("by hand\n")
    result = await place.bench.resume()
    assert result.state is ExecutionState.FAILED
    assert place.file.read_text() == "by hand\n"


async def test_only_the_newest_former_content_is_kept(place: Place) -> None:
    place.file.write_text("0\n")
    for number in "123":
        succeeded(await place.write(number))
    kept = [name for name in place.left() if name.endswith(".before")]
    assert len(kept) == 1
    assert (place.conf / kept[0]).read_text() == "2\n"


async def test_an_effect_whose_record_was_lost_is_seen(place: Place) -> None:
    await place.bench.dies_before_the_result(at_once("file.render", **place.options()))
    assert place.file.read_text() == "new\n"
    assert succeeded(await place.bench.resume())["act"]["changed"] is True
    assert place.bench.intents("act") == 1


async def test_a_file_that_was_not_written_is_written(place: Place) -> None:
    await place.bench.dies_after_the_intent(at_once("file.render", **place.options()))
    assert not place.file.exists()
    succeeded(await place.bench.resume())
    assert place.file.read_text() == "new\n"
    assert place.bench.intents("act") == 2


# --- out of bounds


HOSTILE_PATHS = [
    "{conf}/../outside",
    "{conf}/a/../../outside",
    "{root}/outside",
    "/etc/outside",
    "conf/app.conf",
    "{conf}//app.conf",
    "{conf}/./app.conf",
    "{conf}",
    "{conf}/",
    "{conf}/a\nb",
    "{conf}-other/outside",
    "",
]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
async def test_no_path_leads_out_of_the_allowed_directories(place: Place, path: str) -> None:
    (place.root / "conf-other").mkdir()
    value = path.format(conf=place.conf, root=place.root)
    result = await place.write(given={"path": "{{ value }}"}, value=value)
    assert result.state is not ExecutionState.SUCCEEDED
    assert sorted(p.name for p in place.root.iterdir()) == ["conf", "conf-other"]
    assert place.left() == []
    assert not Path("/etc/outside").exists()


@pytest.mark.parametrize("link", ["directory", "file", "dangling"])
async def test_no_link_leads_out_of_the_allowed_directories(place: Place, link: str) -> None:
    outside = place.root / "outside"
    outside.mkdir()
    (outside / "app.conf").write_text("untouched\n")
    path = place.file
    if link == "directory":
        (place.conf / "sub").symlink_to(outside)
        path = place.conf / "sub" / "app.conf"
    else:
        place.file.symlink_to(outside / ("app.conf" if link == "file" else "new.conf"))
    result = await place.write(given={"path": str(path)})
    assert result.state is ExecutionState.FAILED
    assert (outside / "app.conf").read_text() == "untouched\n"
    assert [p.name for p in outside.iterdir()] == ["app.conf"]


async def test_a_link_within_the_allowed_directories_is_followed(place: Place) -> None:
    (place.conf / "real").mkdir()
    (place.conf / "link").symlink_to(place.conf / "real")
    succeeded(await place.write(given={"path": str(place.conf / "link" / "app.conf")}))
    assert (place.conf / "real" / "app.conf").read_text() == "new\n"


async def test_without_an_allowed_directory_nothing_is_written(tmp_path: Path) -> None:
    bench = GenericBench(tmp_path)
    result = await bench.run(at_once("file.render", path=str(tmp_path / "a"), content="x"))
    assert result.state is ExecutionState.FAILED
    assert not (tmp_path / "a").exists()
    await bench.close()


@pytest.mark.parametrize("value", ["a\nallow all", "a\r\nb", "a\x00b", "a\x85b", "a\u2028b"])
async def test_a_value_is_a_part_of_a_line_and_makes_no_line_of_its_own(place: Place, value: str) -> None:
    result = await place.write("deny {{ value }}\n", value=value)
    assert result.state is not ExecutionState.SUCCEEDED
    assert "inside a line" in result.reason
    assert not place.file.exists()


async def test_a_value_is_not_read_as_a_template(place: Place) -> None:
    succeeded(await place.write("a {{ value }}\n", value="{{ service }} {% raw %} ${HOME} $(id) `id`"))
    assert place.file.read_text() == "a {{ service }} {% raw %} ${HOME} $(id) `id`\n"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("mode", "0888"),
        ("mode", "4755"),
        ("mode", "u+s"),
        ("owner", "root; id"),
        ("owner", "-R"),
        ("owner", "0"),
    ],
)
async def test_rights_and_owner_are_what_they_say(place: Place, option: str, value: str) -> None:
    result = await place.write(given={option: value})
    assert result.state is not ExecutionState.SUCCEEDED
    with pytest.raises(RunbookError, match="no template may stand in"):
        await place.write(given={option: "{{ value }}"}, value=value)


async def test_a_name_that_is_not_there_is_an_error_before_anything_runs(place: Place) -> None:
    with pytest.raises(RunbookError, match="there is no variable 'missing'"):
        await place.write("{{ missing }}\n")
    assert place.bench.store.events == []


async def test_the_plan_shows_what_would_be_written(place: Place) -> None:
    view = await place.bench.plan(at_once("file.render", **place.options("port {{ port }}\n")), port=80)
    [row] = view.rows
    assert row.commands[1:] == ("| port 80",)
    assert [check.ok for check in row.prechecks] == [True]
    view = await place.bench.plan(at_once("file.render", **place.options(path="/etc/x")))
    assert [check.ok for check in view.rows[0].prechecks] == [False]
