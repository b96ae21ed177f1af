"""What a step printed is kept in files of its own, and a disk that takes none fails no step."""

from __future__ import annotations

from pathlib import Path

from controller.adapters.output_files import OutputDirectory


async def test_each_has_a_file_of_its_own_for_the_daemon_alone(tmp_path: Path) -> None:
    outputs = OutputDirectory(tmp_path / "outputs")
    first = Path(await outputs.keep("EXE-1", "act", "one"))
    second = Path(await outputs.keep("EXE-1", "act", "two\udcff"))
    assert first == tmp_path / "outputs" / "EXE-1" / "act.txt"
    assert second == tmp_path / "outputs" / "EXE-1" / "act.2.txt"
    assert (first.read_text(), second.read_text()) == ("one", "two?")
    assert first.stat().st_mode & 0o777 == 0o600
    assert first.parent.stat().st_mode & 0o777 == 0o700


async def test_where_nothing_can_be_written_nothing_is_kept_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file is in the way")
    assert await OutputDirectory(tmp_path / "outputs").keep("EXE-1", "act", "one") == ""
