"""Can everything be reached that a failover or a way back needs?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from config.schema import Member, Node, PostgresqlMember, PostgresqlService
from controller.early_warnings.spoken import apart, size
from controller.inspection.concurrently import as_they_end
from controller.inspection.ground import Ground
from controller.inspection.words import Line, Result
from model.errors import BcmError, NodeAccessError
from model.ports import SqlError
from probes.known_hosts import name_in_file, read_known_keys

COMMAND_TIMEOUT_S = 10.0
SQL_TIMEOUT_S = 5.0
# What a rewound server needs beside the log that it fetches: it starts, and archives.
ROOM_BESIDE = 256 * 1024 * 1024
_DF = ("df", "-B1", "--output=avail,size", "--")
_NEEDS = """
SELECT (SELECT setting::bigint * 1024 * 1024 FROM pg_settings WHERE name = 'max_wal_size'),
       (SELECT sum(pg_database_size(oid))::bigint FROM pg_database)"""


def _account(member: Member) -> str:
    """The account that runs its server, where the product has to become it; else ''."""
    return member.os_user if isinstance(member, PostgresqlMember) else ""


async def access(ground: Ground) -> AsyncIterator[Line]:
    """`true`, as each account that the product has to become there."""
    accounts = list(dict.fromkeys((m.node, _account(m)) for _service, m in ground.members()))
    used = {node for node, _user in accounts}
    others = [(name, "") for name in ground.node_names() if name not in used]

    async def one(node: str, user: str) -> Line:
        entry, about = ground.estate.nodes[node], f"node/{node}"
        if entry.access == "none":
            if not user:
                return Line(about, Result.SKIPPED, "no access is declared, and no member is on it")
            text = "no access is declared: an old primary there can't be stopped or brought back"
            return Line(about, Result.WARNING, text, "set `access: ssh` or `access: local` for the node")
        try:
            done = await ground.bounded(
                lambda: ground.nodes[node].run(["true"], timeout_s=COMMAND_TIMEOUT_S, user=user or None)
            )
        except NodeAccessError as error:
            return Line(about, Result.FAILED, error.what, error.hint)
        who = f"as {user}" if user else "as the login account"
        if done.exit_code is None:
            return Line(about, Result.FAILED, f"no answer within {COMMAND_TIMEOUT_S:g} s")
        if not done.ok:
            said = done.stderr.strip().splitlines()
            return Line(
                about, Result.FAILED, f"commands {who} are refused: {said[-1] if said else 'no word'}"
            )
        return Line(about, Result.OK, f"commands run {who} ({entry.access})")

    async for line in as_they_end(one(*account) for account in (*accounts, *others)):
        yield line


async def known_hosts(ground: Ground) -> AsyncIterator[Line]:
    found = False
    for name in ground.node_names():
        node = ground.estate.nodes[name]
        if node.access == "ssh":
            found = True
            yield await asyncio.to_thread(_host_key, node)
    if not found:
        yield Line("estate", Result.SKIPPED, "no node is reached by ssh")


def _host_key(node: Node) -> Line:
    about, file = f"node/{node.name}", node.ssh.known_hosts
    scan = f"ssh-keyscan -p {node.ssh.port} {node.address} >> {file}, and compare the fingerprint"
    try:
        keys = read_known_keys(file, node.address, node.ssh.port)
    except OSError as error:
        return Line(about, Result.FAILED, f"{file} can't be read: {error.strerror}", scan)
    if not keys.trusted:
        return Line(
            about, Result.FAILED, f"{name_in_file(node.address, node.ssh.port)} is not in {file}", scan
        )
    return Line(about, Result.OK, f"{file} has {len(keys.trusted)} of its keys ({', '.join(keys.types)})")


async def room(ground: Ground) -> AsyncIterator[Line]:
    """Free space against what pg_rewind fetches and what a base backup beside the old copy needs."""
    for service in ground.postgresql():
        needs = await _needs(ground, service)

        looks = [_room_of(ground, service, member, needs) for member in service.members.values()]
        async for line in as_they_end(looks):
            yield line


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes: the most that a rewind fetches and leaves room for; a whole copy."""

    rewind: int
    copy: int


async def _room_of(
    ground: Ground, service: PostgresqlService, member: PostgresqlMember, needs: Needs | str
) -> Line:
    about = f"service/{service.name}/{member.name}"
    if isinstance(needs, str):
        return Line(about, Result.UNKNOWN, needs)
    space = await _space(ground, member)
    if isinstance(space, str):
        skipped = ground.estate.nodes[member.node].access == "none"
        return Line(about, Result.SKIPPED if skipped else Result.UNKNOWN, space)
    free, whole = space
    text = f"{size(free)} free; a rewind needs up to {size(needs.rewind)}, a base backup {size(needs.copy)}"
    if free < needs.rewind:
        return Line(about, Result.FAILED, text)
    if free < needs.copy:
        return Line(about, Result.WARNING, text, "make room, or it can only come back by a rewind")
    if free * 100 < whole * ground.estate.warnings.disk_free_percent:
        return Line(about, Result.WARNING, f"{text}; {free * 100 // whole} % of the volume are free")
    return Line(about, Result.OK, text)


async def _needs(ground: Ground, service: PostgresqlService) -> Needs | str:
    """Or why it is not known."""
    primary = (await ground.fresh(service)).primary
    if primary is None or primary not in service.members:
        return "there is no primary that says how much is needed"
    try:
        session = await ground.bounded(
            lambda: ground.sql.connect(
                service.name,
                primary,
                role="monitor",
                database=service.postgresql.database,
                timeout_s=SQL_TIMEOUT_S,
                application_name="bcm-failover:inspection",
            )
        )
        try:
            [(log_bytes, data_bytes)] = await session.query(_NEEDS, timeout_s=SQL_TIMEOUT_S)
        finally:
            await session.close()
    except SqlError as error:
        return f"how much is needed can't be read: {error}"
    return Needs(int(log_bytes) + ROOM_BESIDE, int(data_bytes))


async def _space(ground: Ground, member: PostgresqlMember) -> tuple[int, int] | str:
    """(free, whole size) in bytes of the volume of the data directory, or why they are not known."""
    node = ground.nodes.get(member.node)
    if node is None:
        return f"there is no access to {member.node}"
    try:
        done = await ground.bounded(
            lambda: node.run([*_DF, str(member.data_dir)], timeout_s=COMMAND_TIMEOUT_S, user=member.os_user)
        )
        if not done.ok:
            return f"df: {done.stderr.strip() or 'no answer'}"
        free, whole = done.stdout.split()[-2:]
        return int(free), int(whole)
    except BcmError as error:
        return error.what
    except ValueError:
        return "df says nothing that can be read"


async def clocks(ground: Ground) -> AsyncIterator[Line]:
    """Each node's clock, read between two looks at this host's own."""
    limit_s = ground.estate.warnings.clock_skew

    async def one(name: str) -> Line | None:
        node = ground.nodes.get(name)
        if node is None:
            return None
        about = f"node/{name}"
        try:
            async with ground.gate:
                before_s, began_s = ground.clock.wall_s(), ground.clock.monotonic_s()
                done = await node.run(["date", "+%s.%N"], timeout_s=COMMAND_TIMEOUT_S)
                took_s = ground.clock.monotonic_s() - began_s
            theirs_s = float(done.stdout) if done.ok else None
        except (BcmError, ValueError) as error:
            return Line(about, Result.UNKNOWN, getattr(error, "what", "`date` says nothing that can be read"))
        if theirs_s is None:
            return Line(about, Result.UNKNOWN, "`date` could not be run")
        # It was read somewhere within the call.
        offset_s, unsure_s = theirs_s - (before_s + took_s / 2), took_s / 2
        text = f"{apart(abs(offset_s))} {'ahead of' if offset_s > 0 else 'behind'} this host's"
        text += f" (± {apart(unsure_s)})"
        if abs(offset_s) - unsure_s > limit_s:
            return Line(about, Result.WARNING, text)
        if abs(offset_s) + unsure_s > limit_s:
            return Line(about, Result.UNKNOWN, f"{text}: the answer took too long to tell")
        return Line(about, Result.OK, text)

    async for line in as_they_end(one(name) for name in ground.node_names()):
        if line is not None:
            yield line
