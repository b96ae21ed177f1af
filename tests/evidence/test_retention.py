"""Files beside the journal go when their policy says so, and not before the journal says that they do."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from config.daemon import DaemonSettings, Retention
from controller.retention import MOST_FILES, Keeper
from model import events as ev
from model.errors import JournalFullError
from tests.memory_journal import MemoryStore
from tests.virtual_clock import VirtualClock

DAY = 86400.0


class Wall(VirtualClock):
    """The journal's records are of 2026-01-01; it is so many days later."""

    days = 0.0

    def wall_s(self) -> float:
        return 1767225600.0 + self.days * DAY


class Kept:
    def __init__(self, directory: Path, policy: Retention) -> None:
        self.directory, self.store, self.clock = directory, MemoryStore(), Wall()
        self.journal = self.store.open()
        self.leads = True
        self.keeper = Keeper(
            self.journal,
            self.clock,
            state_dir=lambda: directory,
            policy=lambda: policy,
            leads=lambda: self.leads,
        )

    def write(self, name: str, text: str = "x") -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
async def kept(tmp_path: Path) -> Kept:
    """EXE-1 and INC-1 are closed, EXE-2 is open."""
    made = Kept(tmp_path, Retention.model_validate({"outputs": "30d", "facts": "365d"}))
    await made.journal.append(ev.EXECUTION_CLOSED, {}, execution="EXE-1")
    await made.journal.append(ev.INCIDENT_CLOSED, {}, incident="INC-1")
    return made


async def test_what_is_old_goes_with_a_record_that_has_its_digest(kept: Kept) -> None:
    old, young = kept.write("outputs/EXE-1/call.txt", "said"), kept.write("facts/INC-1.jsonl.gz")
    kept.clock.days = 31
    await kept.keeper.apply()
    assert (old.exists(), old.parent.exists(), young.exists()) == (False, False, True)
    [record] = kept.store.of(ev.FILES_DELETED)
    digest = hashlib.sha256(b"said").hexdigest()
    wanted = [{"path": "outputs/EXE-1/call.txt", "bytes": 4, "sha256": f"sha256:{digest}"}]
    assert (record.data["kind"], record.data["files"]) == ("outputs", wanted)
    kept.clock.days = 366
    await kept.keeper.apply()
    assert not young.exists()


async def test_what_is_open_unknown_or_young_stays(kept: Kept) -> None:
    paths = [kept.write(f"outputs/{owner}/call.txt") for owner in ("EXE-2", "EXE-99", "notes")]
    kept.clock.days = 29
    paths.append(kept.write("outputs/EXE-1/call.txt"))
    await kept.keeper.apply()
    kept.clock.days = 400
    paths.pop()
    await kept.keeper.apply()
    assert all(path.exists() for path in paths)


async def test_nothing_goes_that_the_journal_can_not_tell(kept: Kept) -> None:
    old = kept.write("outputs/EXE-1/call.txt")
    kept.clock.days, kept.journal.full = 31, True
    with pytest.raises(JournalFullError):
        await kept.keeper.apply()
    assert old.exists()


async def test_without_a_policy_or_the_lead_everything_stays(tmp_path: Path) -> None:
    kept = Kept(tmp_path, DaemonSettings().retention)
    await kept.journal.append(ev.EXECUTION_CLOSED, {}, execution="EXE-1")
    old = kept.write("outputs/EXE-1/call.txt")
    kept.clock.days = 4000
    assert await kept.keeper.apply() == []
    led = Kept(tmp_path, Retention.model_validate({"outputs": "1d"}))
    await led.journal.append(ev.EXECUTION_CLOSED, {}, execution="EXE-1")
    led.clock.days, led.leads = 4000, False
    assert await led.keeper.apply() == []
    assert old.exists()


async def test_many_go_in_several_records(kept: Kept) -> None:
    for number in range(MOST_FILES + 1):
        kept.write(f"outputs/EXE-1/{number}.txt")
    kept.clock.days = 31
    assert [len(await kept.keeper.apply()) for _ in range(3)] == [MOST_FILES, 1, 0]


async def test_a_link_is_not_followed(kept: Kept, tmp_path: Path) -> None:
    elsewhere = kept.write("elsewhere.txt")
    (tmp_path / "outputs" / "EXE-1").mkdir(parents=True)
    (tmp_path / "outputs" / "EXE-1" / "link.txt").symlink_to(elsewhere)
    kept.clock.days = 31
    assert await kept.keeper.apply() == []
    assert elsewhere.exists()
