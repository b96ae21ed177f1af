"""What Redis says of itself: its errors as readings, and its INFO as facts."""

from __future__ import annotations

from typing import Any

from model.observation import Failure
from probes.base import Reading
from probes.resp import RedisError

# By the first word of the error. Not here: an answer that is not expected, `bad_answer`.
_CODES: dict[str, Failure] = {
    "LOADING": Failure.STARTING,
    "READONLY": Failure.READ_ONLY,
    "NOREPLICAS": Failure.SYNC_BLOCKED,  # min-replicas-to-write is not met
    "OOM": Failure.SATURATED,  # used memory > maxmemory, and nothing may be evicted
    "NOAUTH": Failure.CREDENTIALS,
    "WRONGPASS": Failure.CREDENTIALS,
    "NOPERM": Failure.CREDENTIALS,
    "DENIED": Failure.CREDENTIALS,  # protected mode: no password is set, and we come from another host
}


def reading_of(error: RedisError, *, at_login: bool = False) -> Reading:
    """`at_login`: it is the answer to AUTH, which servers before 6 refuse with a mere ERR."""
    text = str(error)
    failure = _CODES.get(error.code, Failure.BAD_ANSWER)
    if "max number of clients" in text:
        failure = Failure.SATURATED
    elif error.code == "MISCONF" and "No space left" in text:
        failure = Failure.DISK_FULL
    elif at_login and error.code == "ERR":
        failure = Failure.CREDENTIALS
    if failure is Failure.CREDENTIALS:
        return Reading.unknown(failure, text)
    return Reading.failed(failure, text)


def parse_info(*texts: str) -> dict[str, str]:
    """`key:value` lines of the sections of INFO."""
    found: dict[str, str] = {}
    for text in texts:
        for line in text.splitlines():
            key, colon, value = line.partition(":")
            if colon and not line.startswith("#"):
                found[key] = value
    return found


def facts_of(info: dict[str, str]) -> dict[str, Any]:
    """What INFO said; a fact that it did not tell is left out."""
    facts: dict[str, Any] = {}
    role = {"master": "master", "slave": "replica"}.get(info.get("role", ""))
    if role is not None:
        facts["role"] = role
    offset = "slave_repl_offset" if role == "replica" else "master_repl_offset"
    numbers = {
        "replication_offset": offset,
        "connected_replicas": "connected_slaves",
        "used_memory_bytes": "used_memory",
        "max_memory_bytes": "maxmemory",
        "connected_clients": "connected_clients",
        "max_clients": "maxclients",
    }
    for fact, key in numbers.items():
        number = _number(info.get(key))
        if number is not None:
            facts[fact] = number
    if "loading" in info:
        facts["loading"] = info["loading"] != "0"
    if "rdb_last_bgsave_status" in info:
        facts["last_save_ok"] = info["rdb_last_bgsave_status"] == "ok"
    if info.get("cluster_enabled") == "1":
        facts["other_manager"] = "redis-cluster"
    if _is_replid(info.get("master_replid", "")):
        facts["replid"] = info["master_replid"]
    return facts | (_replica_facts(info) if role == "replica" else _master_facts(info))


def _replica_facts(info: dict[str, str]) -> dict[str, Any]:
    """Lag: seconds since the master was last heard; -1 where it never was."""
    facts: dict[str, Any] = {
        "link_up": info.get("master_link_status") == "up",
        "syncing": info.get("master_sync_in_progress") == "1",
    }
    lag_s = _number(info.get("master_last_io_seconds_ago"))
    if lag_s is not None and lag_s >= 0:
        facts["lag_s"] = lag_s
    return facts


def _master_facts(info: dict[str, str]) -> dict[str, Any]:
    """Lag of the replica that is furthest behind: seconds since its last acknowledgement."""
    lags = []
    for key, value in info.items():
        if key.startswith("slave") and key[5:].isdigit():
            fields = dict(part.partition("=")[::2] for part in value.split(","))
            lag_s = _number(fields.get("lag"))
            if lag_s is not None and lag_s >= 0:
                lags.append(lag_s)
    facts: dict[str, Any] = {"lag_s": max(lags)} if lags else {}
    in_touch = _number(info.get("min_slaves_good_slaves"))  # only where min-replicas-to-write is in force
    return facts if in_touch is None else {**facts, "replicas_in_touch": in_touch}


def _is_replid(text: str) -> bool:
    """Forty hexadecimal digits; all zeros where there is none yet."""
    return len(text) == 40 and text.strip("0") != ""


def managed_by(channels: object) -> dict[str, Any]:
    """Of the reply to PUBSUB CHANNELS: each Sentinel listens for the others on servers that it watches."""
    return {"other_manager": "sentinel"} if isinstance(channels, list) and channels else {}


def _number(text: str | None) -> int | None:
    digits = (text or "").strip().removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        return None
    return int(text or "")
