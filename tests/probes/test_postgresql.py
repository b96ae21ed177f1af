from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Any

import psycopg
import pytest

from model.errors import SecretError
from model.observation import Failure, Outcome
from model.ports import Secrets
from probes.base import Reading
from probes.postgresql import SLOW_FACTS_EVERY, PostgresqlProbe
from probes.postgresql_canary import PostgresqlCanaryProbe
from tests.bad_servers import open_sockets
from tests.network_namespace import in_namespace
from tests.pg_pair import PgPair, PgServer, wait_for
from tests.pg_probes import SOON_S, ThisHost, held, options, ports, until, watching

pytestmark = pytest.mark.postgres


def sessions_of_probe(server: PgServer) -> int:
    return int(server.sql("select count(*) from pg_stat_activity where usename = 'monitor'"))


async def until_held(server: PgServer) -> None:
    await asyncio.to_thread(wait_for, lambda: sessions_of_probe(server) == 1, "held session")


async def test_a_primary_says_what_it_is_and_how_far(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    pg_pair.synchronous("ANY 1 (s1)")
    async with watching(PostgresqlProbe, server) as probe:
        reading = await probe.check()
    assert (reading.outcome, reading.detail) == (Outcome.SUCCEEDED, "")
    facts = reading.facts
    assert facts["in_recovery"] is False
    assert facts["system_identifier"] == str(server.sql("select system_identifier from pg_control_system()"))
    assert facts["timeline"] == 1
    assert facts["position"] == facts["flush_lsn"] <= facts["current_lsn"]
    assert facts["sync_names"] == "ANY 1 (s1)"
    assert facts["default_read_only"] is False
    assert facts["canary_n"] == server.sql("select n from canary", database="bcm_canary")
    assert [s["application_name"] for s in facts["standbys"]] == ["s1"]
    assert facts["server_version_num"] // 10000 == pg_pair.version
    assert facts["data_checksums"] is True
    assert facts["other_manager"] is None


async def test_a_standby_says_what_it_has_and_from_whom(pg_pair: PgPair) -> None:
    async with watching(PostgresqlProbe, pg_pair.standby) as probe:
        facts = (await probe.check()).facts
        primary = pg_pair.primary
        assert facts["in_recovery"] is True
        assert facts["position"] == max(facts["receive_lsn"], facts["replay_lsn"])
        assert facts["walreceiver"] is True
        assert (facts["walreceiver_status"], facts["sender_port"]) == ("streaming", primary.port)
        assert (facts["current_lsn"], facts["flush_lsn"]) == (None, None)
        assert (facts["replay_paused"], facts["apply_delay_ms"]) == (False, 0)
        primary.sql("update canary set n = n + 1 where id = 1", database="bcm_canary")
        n = primary.sql("select n from canary", database="bcm_canary")
        await asyncio.to_thread(
            wait_for,
            lambda: pg_pair.standby.sql("select n from canary", database="bcm_canary") == n,
            "replayed",
        )
        assert (await probe.check()).facts["canary_n"] == n


async def test_replay_that_is_paused_or_delayed_is_told(pg_pair: PgPair) -> None:
    standby = pg_pair.standby
    standby.sql("select pg_wal_replay_pause()")
    standby.sql("alter system set recovery_min_apply_delay = '1500ms'", "select pg_reload_conf()")
    try:
        wait_for(lambda: standby.sql("show recovery_min_apply_delay") == "1500ms", "reload")
        async with watching(PostgresqlProbe, standby) as probe:
            facts = (await probe.check()).facts
        assert (facts["replay_paused"], facts["apply_delay_ms"]) == (True, 1500)
    finally:
        standby.sql("alter system reset recovery_min_apply_delay", "select pg_reload_conf()")
        standby.sql("select pg_wal_replay_resume()")


async def test_a_timeline_that_was_seen_is_not_forgotten_with_its_receiver(pg_pair: PgPair) -> None:
    """The control file follows a switch of timelines with the next restart point only."""
    async with watching(PostgresqlProbe, pg_pair.standby) as probe:
        facts = dict((await probe.check()).facts)
        assert probe._latest_timeline({**facts, "timeline": 3}) == 3
        assert (await probe.check()).facts["timeline"] == 3
        probe._incarnation = ("another server", 0)
        assert (await probe.check()).facts["timeline"] == 1


async def test_a_member_without_the_canary_is_read_all_the_same(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    for database in ("postgres", "not_there"):
        async with watching(PostgresqlProbe, server, database=database) as probe:
            for _ in range(2):
                reading = await probe.check()
                assert reading.outcome is Outcome.SUCCEEDED
                assert reading.facts["canary_n"] is None
                assert reading.facts["max_wal_senders"] > 0
                assert "init --grants" in reading.detail


def copied(server: PgServer) -> bool:
    """Sessions of the tests before this one may be there still, waiting for what nobody tells them."""
    server.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'bcm_canary'")
    with contextlib.suppress(psycopg.errors.ObjectInUse):
        server.sql("create database later template bcm_canary")
        return True
    return False


async def test_a_canary_that_comes_later_is_found(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    async with watching(PostgresqlProbe, server, database="later") as probe:
        assert (await probe.check()).facts["canary_n"] is None
        wait_for(lambda: copied(server), "nobody uses the canary's database, so that it can be copied")
        try:
            readings = [await probe.check() for _ in range(SLOW_FACTS_EVERY)]
            assert readings[-1].facts["canary_n"] is not None
        finally:
            server.sql("drop database later with (force)")


async def test_signs_of_another_manager_are_told(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    server.sql("create role pgautofailover_replicator")
    try:
        async with watching(PostgresqlProbe, server) as probe:
            assert (await probe.check()).facts["other_manager"] == "pg_auto_failover"
    finally:
        server.sql("drop role pgautofailover_replicator")


@pytest.mark.parametrize(
    ("user", "outcome", "failure"),
    [
        ("crowded", Outcome.FAILED, Failure.SATURATED),
        ("refused", Outcome.UNKNOWN, Failure.CREDENTIALS),
        ("nobody_of_this_name", Outcome.UNKNOWN, Failure.CREDENTIALS),
        ("writer", Outcome.UNKNOWN, Failure.CREDENTIALS),  # may log in, may not read the facts
    ],
)
async def test_an_answer_is_not_death(pg_pair: PgPair, user: str, outcome: Outcome, failure: Failure) -> None:
    if user == "writer":
        pg_pair.primary.sql("revoke execute on function pg_control_system() from public")
    try:
        async with watching(PostgresqlProbe, pg_pair.primary, user=user) as probe:
            reading = await probe.check()
    finally:
        pg_pair.primary.sql("grant execute on function pg_control_system() to public")
    assert (reading.outcome, reading.failure) == (outcome, failure)
    assert reading.shows_life


async def test_a_server_that_starts_is_alive(pg_pair: PgPair) -> None:
    """57P03, which a standby without hot_standby answers for ever."""
    standby = pg_pair.standby
    standby.stop()
    standby.launch("hot_standby=off")
    try:
        async with watching(PostgresqlProbe, standby) as probe, asyncio.timeout(SOON_S):
            while (reading := await probe.check()).failure is Failure.REFUSED:
                await asyncio.sleep(0.01)
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.STARTING)
        assert "57P03" in reading.detail
    finally:
        standby.kill()


async def test_nobody_there_is_refused(pg_pair: PgPair) -> None:
    pg_pair.standby.stop()
    async with watching(PostgresqlProbe, pg_pair.standby) as probe:
        reading = await probe.check()
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.REFUSED)
        assert await probe.hold() is None


async def end_of(server: PgServer, fault: Any) -> Reading | None:
    """What the held connection says of `fault`."""
    async with watching(PostgresqlProbe, server) as probe, held(probe) as task:
        await until_held(server)
        await asyncio.to_thread(fault)
        return await asyncio.wait_for(task, SOON_S)


async def test_a_crash_ends_the_held_connection_without_a_word(pg_pair: PgPair) -> None:
    reading = await end_of(pg_pair.primary, pg_pair.primary.kill)
    assert reading is not None
    assert reading.failure is Failure.CLOSED


async def test_the_death_of_the_postmaster_alone_is_no_administrators_stop(pg_pair: PgPair) -> None:
    """Its backends then say 57P01, as they do for an administrator."""
    server = pg_pair.primary
    children = server.tree()[1:]

    def kill_postmaster() -> None:
        os.kill(server.postmaster_pid, signal.SIGKILL)
        assert server.process is not None
        server.process.wait()

    reading = await end_of(server, kill_postmaster)
    await until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), "children gone")
    assert reading is not None
    assert reading.failure is Failure.CLOSED


async def test_an_administrators_stop_is_told_from_a_crash(pg_pair: PgPair) -> None:
    reading = await end_of(pg_pair.primary, pg_pair.primary.stop)
    assert reading is not None
    assert reading.failure is Failure.STOPPING


async def test_a_backend_that_is_killed_makes_the_server_restart_itself(pg_pair: PgPair) -> None:
    server = pg_pair.primary

    async with watching(PostgresqlProbe, server) as probe, held(probe) as task:
        await until_held(server)
        pid = server.sql("select pid from pg_stat_activity where backend_type = 'background writer'")
        os.kill(pid, signal.SIGKILL)
        reading = await asyncio.wait_for(task, SOON_S)
        assert reading is not None
        assert reading.failure in (Failure.STARTING, Failure.CLOSED)
        async with asyncio.timeout(SOON_S):
            while (reading := await probe.check()).outcome is not Outcome.SUCCEEDED:
                assert reading.failure in (Failure.STARTING, Failure.RESET, Failure.REFUSED)
                await asyncio.sleep(0.01)


async def test_an_idle_session_that_somebody_ends_says_so(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    terminate = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'monitor'"
    reading = await end_of(server, lambda: server.sql(terminate))
    assert reading is not None
    assert reading.failure is Failure.STOPPING


async def test_a_session_that_ends_for_being_idle_says_nothing(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    server.sql("alter role monitor set idle_session_timeout = 100")
    try:
        assert await end_of(server, lambda: None) is None
    finally:
        server.sql("alter role monitor reset idle_session_timeout")


async def test_a_hung_server_lets_go_of_a_cancelled_attempt_at_once(pg_pair: PgPair) -> None:
    server, before = pg_pair.primary, open_sockets()
    async with watching(PostgresqlProbe, server) as probe:
        server.signal_tree(signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(probe.check(), 0.2)
        finally:
            server.signal_tree(signal.SIGCONT)
        assert open_sockets() <= before


async def test_attempts_that_overlap_do_not_disturb_each_other(pg_pair: PgPair) -> None:
    async with watching(PostgresqlProbe, pg_pair.primary) as probe:
        readings = await asyncio.gather(*(probe.check() for _ in range(probe.concurrent)))
    assert {reading.outcome for reading in readings} == {Outcome.SUCCEEDED}


async def test_an_attempt_that_is_abandoned_says_nothing_of_the_target(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    async with watching(PostgresqlProbe, server) as probe:
        server.signal_tree(signal.SIGSTOP)
        try:
            check = asyncio.create_task(probe.check())
            await until(lambda: probe._sessions and all(s._watch for s in probe._sessions), "attempt")
            probe.abandon()
            reading = await asyncio.wait_for(check, SOON_S)
        finally:
            server.signal_tree(signal.SIGCONT)
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)


async def test_the_facts_come_in_one_round_trip_and_leave_no_session(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    server.sql("alter role monitor set log_statement = 'all'")
    try:
        async with watching(PostgresqlProbe, server) as probe:
            await probe.check()
            before = server.log().count("json_build_object")
            await probe.check()
            after = server.log()
    finally:
        server.sql("alter role monitor reset log_statement")
    statements = after.count("execute <unnamed>")
    assert statements == 3  # the first attempt reads the slow facts too
    assert before < after.count("json_build_object")
    await asyncio.to_thread(wait_for, lambda: sessions_of_probe(server) == 0, "no session is left")


def test_a_host_without_a_route_is_our_own_fault() -> None:
    """No route from here: the server was never asked."""

    async def main() -> None:
        for kind in (PostgresqlProbe, PostgresqlCanaryProbe):
            given = kind.Options(host="192.0.2.1", user="monitor")
            reading = await kind("shop/m1", given, ports()).check()
            assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)

    in_namespace(main, {})


class NoSecret(Secrets):
    def get(self, reference: Any) -> str:
        raise SecretError("the secret can't be read: No such file or directory", where=str(reference))


async def test_a_secret_that_can_not_be_read_is_our_own_fault(pg_pair: PgPair) -> None:
    given = PostgresqlProbe.Options(**options(pg_pair.primary))
    probe = PostgresqlProbe("shop/m1", given, ports(secrets=NoSecret()))
    reading = await probe.check()
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)
    assert await probe.hold() is None
    assert "reference" not in repr(given)


async def test_free_space_is_read_behind_the_probes_back(pg_pair: PgPair) -> None:
    server, node = pg_pair.primary, ThisHost()
    given = PostgresqlProbe.Options(**options(server, data_dir=str(server.data_dir)))
    probe = PostgresqlProbe("shop/m1", given, ports(node))
    try:
        assert "data_free_bytes" not in (await probe.check()).facts
        await until(lambda: probe._disk and probe._disk.facts, "free space")
        facts = (await probe.check()).facts
        volume = os.statvfs(server.data_dir)
        for name in ("data", "wal"):
            assert facts[f"{name}_size_bytes"] == volume.f_blocks * volume.f_frsize
            assert 0 < facts[f"{name}_free_bytes"] < facts[f"{name}_size_bytes"]
        await probe.check()
        assert node.ran == [
            ["df", "-B1", "--output=avail,size", "--", str(server.data_dir), f"{server.data_dir}/pg_wal"]
        ]
    finally:
        await probe.aclose()


async def test_free_space_is_told_when_the_server_is_gone(pg_pair: PgPair) -> None:
    server, node = pg_pair.standby, ThisHost()
    given = PostgresqlProbe.Options(**options(server, data_dir=str(server.data_dir)))
    probe = PostgresqlProbe("shop/m1", given, ports(node))
    server.stop()
    try:
        await probe.check()
        await until(lambda: probe._disk and probe._disk.facts, "free space")
        reading = await probe.check()
        assert reading.failure is Failure.REFUSED
        assert reading.facts["wal_free_bytes"] > 0
    finally:
        await probe.aclose()


async def test_what_a_standby_has_is_told_though_it_was_restarted_without_its_primary(
    pg_pair: PgPair,
) -> None:
    primary, standby = pg_pair.primary, pg_pair.standby
    primary.sql("select pg_logical_emit_message(false, 'test', 'x')", "select pg_switch_wal()")
    wait_for(lambda: standby.sql("select pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()"), "replayed")
    primary.sql("select pg_logical_emit_message(true, 'test', 'y')")
    before = standby.sql("select pg_last_wal_receive_lsn() - '0/0'")
    primary.stop()
    try:
        standby.stop()
        standby.start()
        async with watching(PostgresqlProbe, standby) as probe:
            while (facts := (await probe.check()).facts)["replay_idle"] is not True:
                await asyncio.sleep(0.01)
        assert facts["receive_lsn"] is None or facts["receive_lsn"] != facts["position"]
        assert before <= facts["position"] == facts["replay_lsn"]
    finally:
        primary.start()
        wait_for(lambda: standby.sql("select status from pg_stat_wal_receiver") == "streaming", "streaming")
