from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from model.health import PROFILES
from model.observation import Failure, Observation, Outcome
from probes.base import Reading
from probes.pg_judge import _verdict
from probes.postgresql import PostgresqlProbe
from probes.postgresql_canary import PostgresqlCanaryProbe
from probes.scheduler import Scheduler
from tests.bad_servers import open_sockets
from tests.pg_pair import PgPair, PgServer, wait_for
from tests.pg_probes import SOON_S, held, options, ports, until, watching
from tests.virtual_clock import RealClock

pytestmark = pytest.mark.postgres

PATIENT_S = 60.0


def row(server: PgServer) -> int:
    return int(server.sql("select n from canary", database="bcm_canary"))


def sessions(server: PgServer) -> int:
    return int(server.sql("select count(*) from pg_stat_activity where usename = 'monitor'"))


async def waiting(server: PgServer, event: str) -> int:
    """The pid of the monitor's backend that waits for `event`."""
    statement = f"select pid from pg_stat_activity where usename = 'monitor' and wait_event = '{event}'"
    return int(await asyncio.to_thread(wait_for, lambda: server.sql(statement), f"a wait for {event}"))


async def soon(probe: PostgresqlCanaryProbe) -> Reading:
    return await asyncio.wait_for(probe.check(), SOON_S)


async def test_an_acknowledged_write_carries_its_number_and_the_setting_in_force(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    pg_pair.synchronous("ANY 1 (s1)")
    async with watching(PostgresqlCanaryProbe, server, answer_within_s=PATIENT_S) as probe:
        before = row(server)
        first, second = await soon(probe), await soon(probe)
        assert first.outcome is second.outcome is Outcome.SUCCEEDED
        assert (first.facts["canary_n"], second.facts["canary_n"]) == (before + 1, before + 2)
        assert row(server) == before + 2
        facts = second.facts
        assert (facts["sync_names"], facts["synchronous_commit"], facts["fsync"]) == (
            "ANY 1 (s1)",
            "on",
            False,
        )
        assert (facts["in_recovery"], facts["timeline"]) == (False, 1)
        assert facts["current_lsn"] > first.facts["current_lsn"]
        assert sessions(server) == 1
        pg_pair.synchronous("FIRST 1 (s1)")
        assert (await soon(probe)).facts["sync_names"] == "FIRST 1 (s1)"


async def test_numbers_go_on_after_another_writer_and_after_a_row_that_fell_back(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    async with watching(PostgresqlCanaryProbe, server) as one, watching(PostgresqlCanaryProbe, server) as two:
        numbers = [(await soon(probe)).facts["canary_n"] for probe in (one, two, one)]
        assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
        server.sql("update canary set n = 0", database="bcm_canary")
        assert (await soon(one)).facts["canary_n"] == numbers[-1] + 1


async def test_a_standby_and_a_fenced_primary_are_read_only(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    async with watching(PostgresqlCanaryProbe, pg_pair.standby) as probe:
        assert (await soon(probe)).failure is Failure.READ_ONLY
    async with watching(PostgresqlCanaryProbe, server) as probe:
        await soon(probe)
        server.sql("alter system set default_transaction_read_only = on", "select pg_reload_conf()")
        try:
            async with asyncio.timeout(SOON_S):
                while (reading := await probe.check()).outcome is Outcome.SUCCEEDED:
                    pass
            assert reading.failure is Failure.READ_ONLY
        finally:
            server.sql("alter system reset default_transaction_read_only", "select pg_reload_conf()")


async def test_a_write_that_waits_for_a_standby_is_judged_and_goes_on(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    mark = server.log_size()
    async with watching(PostgresqlCanaryProbe, server) as probe:
        acknowledged = (await soon(probe)).facts["canary_n"]
        pg_pair.synchronous("nobody")
        for _ in range(3):
            reading = await soon(probe)
            assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.SYNC_BLOCKED)
        await asyncio.to_thread(wait_for, lambda: sessions(server) == 1, "one session, one write")
        pg_pair.synchronous("")
        reading = await soon(probe)
        assert reading.outcome is Outcome.SUCCEEDED
        # One write was blocked in all, and went on to its end.
        assert reading.facts["canary_n"] in (acknowledged + 1, acknowledged + 2)
    assert "canceling" not in server.log_since(mark)


async def test_the_canary_of_a_process_that_is_gone_is_seen_behind_the_lock(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    pg_pair.synchronous("nobody")
    async with watching(PostgresqlCanaryProbe, server) as gone:
        await soon(gone)
    await waiting(server, "SyncRep")
    async with watching(PostgresqlCanaryProbe, server) as probe:
        assert (await soon(probe)).failure is Failure.SYNC_BLOCKED
        await waiting(server, "transactionid")


async def test_a_lock_says_nothing_of_the_server(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    async with watching(PostgresqlCanaryProbe, server) as probe:
        with server.connection("bcm_canary") as conn, conn.transaction():
            conn.execute("lock table canary")
            reading = await soon(probe)
            assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCK_BLOCKED)
        assert (await soon(probe)).outcome is Outcome.SUCCEEDED


async def test_a_write_that_is_only_slow_succeeds(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    async with watching(PostgresqlCanaryProbe, server, answer_within_s=PATIENT_S) as probe:
        with server.connection("bcm_canary") as conn, conn.transaction():
            conn.execute("lock table canary")
            check = asyncio.create_task(soon(probe))
            await waiting(server, "relation")
        assert (await check).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("waits", "failure"),
    [
        ([("IO", "WALSync")], Failure.IO_BLOCKED),
        ([("LWLock", "WALWrite")], Failure.IO_BLOCKED),
        ([("Lock", "transactionid"), ("IO", "DataFileRead")], Failure.IO_BLOCKED),
        ([("Lock", "tuple"), ("Lock", "transactionid"), ("IPC", "SyncRep")], Failure.SYNC_BLOCKED),
        ([("Lock", "tuple"), ("Client", "ClientRead")], Failure.LOCK_BLOCKED),
        ([("Client", "ClientRead")], None),
        ([("", "")], None),
        ([], None),
    ],
)
def test_a_wait_is_judged_by_what_is_at_its_end(
    waits: list[tuple[str, str]], failure: Failure | None
) -> None:
    verdict = _verdict(waits)
    assert (verdict and verdict.failure) == failure


async def test_a_full_server_is_told_where_the_write_can_not_be_judged(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    async with watching(PostgresqlCanaryProbe, server) as probe:
        await soon(probe)
        pg_pair.synchronous("nobody")
        server.sql("alter role monitor connection limit 1")
        try:
            assert (await soon(probe)).failure is Failure.SATURATED
        finally:
            server.sql("alter role monitor connection limit -1")


async def test_a_wait_that_somebody_cancelled_is_no_acknowledgement(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    async with watching(PostgresqlCanaryProbe, server, answer_within_s=PATIENT_S) as probe:
        acknowledged = (await soon(probe)).facts["canary_n"]
        pg_pair.synchronous("nobody")
        check = asyncio.create_task(soon(probe))
        server.sql(f"select pg_cancel_backend({await waiting(server, 'SyncRep')})")
        reading = await check
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.SYNC_BLOCKED)
        assert row(server) == acknowledged + 1  # committed there, and nowhere else


async def test_a_default_that_does_not_wait_is_told_with_the_number(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    pg_pair.synchronous("nobody")
    server.sql("alter role monitor set synchronous_commit = local")
    try:
        async with watching(PostgresqlCanaryProbe, server) as probe:
            facts = (await soon(probe)).facts
        assert (facts["synchronous_commit"], facts["sync_names"]) == ("local", "nobody")
    finally:
        server.sql("alter role monitor reset synchronous_commit")


async def test_a_canary_that_was_never_made_is_unknown_and_says_what_to_do(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    for database in ("postgres", "not_there"):
        async with watching(PostgresqlCanaryProbe, server, database=database) as probe:
            reading = await soon(probe)
            assert reading.outcome is Outcome.UNKNOWN
            assert "init --grants" in reading.detail
    server.sql("update canary set id = 2", database="bcm_canary")
    try:
        async with watching(PostgresqlCanaryProbe, server) as probe:
            reading = await soon(probe)
            assert reading.outcome is Outcome.UNKNOWN
            assert "row is missing" in reading.detail
    finally:
        server.sql("update canary set id = 1", database="bcm_canary")


async def test_a_hung_server_is_let_go_of_at_once_and_found_again(pg_pair: PgPair) -> None:
    server, before = pg_pair.primary, open_sockets()
    async with watching(PostgresqlCanaryProbe, server) as probe:
        await soon(probe)
        server.signal_tree(signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(probe.check(), 0.5)
            assert open_sockets() <= before
        finally:
            server.signal_tree(signal.SIGCONT)
        assert (await soon(probe)).outcome is Outcome.SUCCEEDED
    assert open_sockets() <= before


async def test_open_sessions_write_on_while_the_postmaster_hangs(pg_pair: PgPair) -> None:
    """A fresh connection gets no answer then: the two probes together tell this from a hung server."""
    server = pg_pair.primary
    async with (
        watching(PostgresqlCanaryProbe, server, answer_within_s=PATIENT_S) as canary,
        watching(PostgresqlProbe, server) as probe,
    ):
        await soon(canary)
        os.kill(server.postmaster_pid, signal.SIGSTOP)
        try:
            assert (await soon(canary)).outcome is Outcome.SUCCEEDED
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(probe.check(), 0.5)
        finally:
            os.kill(server.postmaster_pid, signal.SIGCONT)


async def test_a_crash_under_a_write_ends_it_without_a_word(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    async with watching(PostgresqlCanaryProbe, server, answer_within_s=PATIENT_S) as probe:
        pg_pair.synchronous("nobody")
        check = asyncio.create_task(soon(probe))
        await waiting(server, "SyncRep")
        await asyncio.to_thread(server.kill)
        assert (await check).failure is Failure.CLOSED
        assert (await soon(probe)).failure is Failure.REFUSED


async def test_a_crash_that_resets_the_connection_ends_it_without_a_word_too(pg_pair: PgPair) -> None:
    """What the server had not read yet makes the kernel reset the connection of a dead process."""
    server = pg_pair.primary
    async with watching(PostgresqlCanaryProbe, server, answer_within_s=PATIENT_S) as probe:
        await soon(probe)
        server.signal_tree(signal.SIGSTOP)
        check = asyncio.create_task(soon(probe))
        await until(lambda: probe._session is not None and probe._session._watch is not None, "sent")
        await asyncio.to_thread(server.kill)
        reading = await check
        assert (reading.failure, reading.detail) == (Failure.CLOSED, "Connection reset by peer")


async def test_an_administrators_stop_under_a_write_says_so(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    async with watching(PostgresqlCanaryProbe, server, answer_within_s=PATIENT_S) as probe:
        pg_pair.synchronous("nobody")
        check = asyncio.create_task(soon(probe))
        await waiting(server, "SyncRep")
        await asyncio.to_thread(server.stop)
        assert (await check).failure is Failure.STOPPING


@pytest.mark.parametrize(("fault", "failure"), [("kill", Failure.CLOSED), ("stop", Failure.STOPPING)])
async def test_the_end_between_two_writes_is_told_at_once(
    pg_pair: PgPair, fault: str, failure: Failure
) -> None:
    server = pg_pair.primary
    async with watching(PostgresqlCanaryProbe, server) as probe:
        await soon(probe)
        async with held(probe) as task:
            for _ in range(3):
                await until(lambda: probe._watcher is not None and not probe._watcher.done(), "watched")
                assert (await soon(probe)).outcome is Outcome.SUCCEEDED
            await asyncio.to_thread(getattr(server, fault))
            reading = await asyncio.wait_for(task, SOON_S)
        assert reading is not None
        assert reading.failure is failure
        assert (await soon(probe)).failure is Failure.REFUSED


async def test_a_session_that_ended_unseen_is_replaced_and_says_nothing(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    async with watching(PostgresqlCanaryProbe, server) as probe:
        await soon(probe)
        server.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'monitor'")
        await asyncio.to_thread(wait_for, lambda: sessions(server) == 0, "ended")
        assert (await soon(probe)).outcome is Outcome.SUCCEEDED


async def test_holding_has_nothing_to_watch_before_the_first_write(pg_pair: PgPair) -> None:
    async with watching(PostgresqlCanaryProbe, pg_pair.primary) as probe:
        assert await probe.hold() is None


async def test_the_verdict_is_there_before_the_schedulers_deadline(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    pg_pair.synchronous("nobody")
    seen: list[Observation] = []
    enough = asyncio.Event()

    def told(observation: Observation) -> None:
        seen.append(observation)
        if sum(o.failure is Failure.SYNC_BLOCKED for o in seen) >= 5:
            enough.set()

    scheduler = Scheduler(RealClock(), "ops1", told)
    given: Any = PostgresqlCanaryProbe.Options(**options(server))
    profile = PROFILES["balanced"]
    scheduler.add(
        "shop/m1", PostgresqlCanaryProbe("shop/m1", given, ports()), profile, profile.canary_interval_s
    )
    try:
        await asyncio.wait_for(enough.wait(), SOON_S)
    finally:
        await scheduler.aclose()
    # A busy machine may make an attempt of its own late; none may take the target for silent.
    assert {o.failure for o in seen} <= {Failure.SYNC_BLOCKED, Failure.LOCAL}
