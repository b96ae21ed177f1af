"""Who may touch the state directory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from controller.store.sqlite import SqliteStore
from model.errors import JournalError
from tests.store.conftest import OpenStore
from tests.virtual_clock import RealClock


async def test_everything_is_private_whatever_the_umask_is(open_store: OpenStore, state_dir: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store()
        await store.append("step.intent", {}, anchor=True)
        store.sign_head(1, "0" * 64)
    finally:
        os.umask(before)
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in state_dir.iterdir()}
    assert modes == dict.fromkeys(
        ["anchor", "host-key.pem", "journal.db", "journal.db-shm", "journal.db-wal", "lock"], 0o600
    )


@pytest.mark.parametrize("name", ["journal.db", "anchor", "lock"])
async def test_a_file_that_others_may_write_is_refused(
    open_store: OpenStore, state_dir: Path, name: str
) -> None:
    open_store().close()
    (state_dir / name).chmod(0o666)
    with pytest.raises(JournalError, match="others") as refused:
        open_store()
    assert refused.value.where.endswith(name)
    assert "chmod 600" in refused.value.hint


async def test_a_directory_that_others_may_write_is_refused(open_store: OpenStore, state_dir: Path) -> None:
    state_dir.mkdir()
    state_dir.chmod(0o777)
    with pytest.raises(JournalError, match="mode 0777"):
        open_store()


async def test_a_directory_that_others_may_only_read_is_fine(open_store: OpenStore, state_dir: Path) -> None:
    state_dir.mkdir(mode=0o755)
    assert open_store().held()


async def test_a_link_in_place_of_a_file_is_refused(
    open_store: OpenStore, state_dir: Path, tmp_path: Path
) -> None:
    open_store().close()
    (state_dir / "journal.db").rename(tmp_path / "elsewhere")
    (state_dir / "journal.db").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match="no regular file"):
        open_store()


def test_a_state_directory_that_can_not_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="can't be made") as error:
        SqliteStore.open(tmp_path / "file" / "state", owner="ops1", clock=RealClock())
    assert "state_dir" in error.value.hint
