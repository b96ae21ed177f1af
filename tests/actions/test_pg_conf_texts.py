"""The texts that actions write: conninfo, auto.conf, names. No servers needed."""

from __future__ import annotations

import pytest

from config.schema import PostgresqlMember, PostgresqlService
from model.errors import BcmError
from runbooks.actions.postgresql.configure_standby import rewritten
from runbooks.actions.postgresql.conninfo import conninfo_for
from runbooks.actions.postgresql.server import ControlData
from runbooks.actions.postgresql.settings import alter_text
from runbooks.actions.postgresql.widen import widened


def member(name: str, role: str = "standby") -> PostgresqlMember:
    return PostgresqlMember.model_validate(
        {
            "name": name, "node": "n", "role": role, "host": f"{name}.example", "application_name": name,
            "data_dir": "/d", "bin_dir": "/b", "control": "pg_ctl", "passfile": "/etc/pass file",
        }
    )  # fmt: skip


def service(names: str = "ANY 1 (pg2, pg3)") -> PostgresqlService:
    role = {"user": "r", "password": {"env": "X"}}
    return PostgresqlService.model_validate(
        {
            "name": "s", "engine": "postgresql",
            "postgresql": {
                "roles": {"monitor": role, "control": role, "replication": {"user": "repl"}},
                "synchronous_standby_names": names, "sslmode": "require",
            },
            "members": {m.name: m for m in (member("pg1", "primary"), member("pg2"), member("pg3", "dr"))},
        }
    )  # fmt: skip


def test_a_conninfo_is_made_of_the_estate_without_a_password() -> None:
    text = conninfo_for(member("pg3"), member("pg2"), service())
    for part in ("host=pg2.example", "user=repl", "application_name=pg3", "sslmode=require"):
        assert part in text
    assert "passfile='/etc/pass file'" in text
    assert "password" not in text


def test_what_an_administrator_set_is_kept_and_only_the_address_changes() -> None:
    before = "host=pg1.example,pg9 hostaddr=10.0.0.1 port=5432,5433 user=other keepalives_idle=7"
    text = conninfo_for(member("pg3"), member("pg2"), service(), before)
    assert "host=pg2.example" in text
    assert "hostaddr" not in text
    assert "user=other" in text
    assert "keepalives_idle=7" in text


@pytest.mark.parametrize("text", ["host=a password=hunter2", "postgresql://u:hunter2@h/d", "host='hunter2"])
def test_a_password_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BcmError) as refused:
        conninfo_for(member("pg3"), member("pg2"), service(), text)
    assert "hunter2" not in str(refused.value)


def test_auto_conf_loses_what_the_source_had_and_keeps_the_rest() -> None:
    text = (
        "# Do not edit\nsynchronous_standby_names = 'ANY 1 (pg3)'\nwork_mem = '8MB'\n"
        "default_transaction_read_only = 'on'\nprimary_conninfo = 'host=old'\n"
    )
    new = rewritten(text, {"primary_conninfo": "host=h passfile='/a b'"})
    assert new == "# Do not edit\nwork_mem = '8MB'\nprimary_conninfo = 'host=h passfile=''/a b'''\n"


@pytest.mark.parametrize(
    ("now", "back", "primary", "wanted"),
    [
        ('ANY 1 ("pg3")', "pg1", "pg2", 'ANY 1 ("pg3", "pg1")'),
        ('ANY 1 ("pg3", "pg1")', "pg1", "pg2", 'ANY 1 ("pg3", "pg1")'),
        ("", "pg1", "pg2", 'ANY 1 ("pg1")'),
        ('ANY 1 ("pg3", "elsewhere")', "pg1", "pg2", 'ANY 1 ("pg3", "pg1", "elsewhere")'),
    ],
)
def test_the_member_that_is_back_is_named_again(now: str, back: str, primary: str, wanted: str) -> None:
    estate = service()
    assert widened(now, estate.members[back], estate.members[primary], estate) == wanted


def test_an_asynchronous_service_stays_so() -> None:
    estate = service("")
    assert widened("", estate.members["pg1"], estate.members["pg2"], estate) == ""


def test_k_returns_with_the_copies_and_no_further() -> None:
    estate = service("ANY 2 (pg2, pg3)")
    assert widened('ANY 1 ("pg3")', estate.members["pg1"], estate.members["pg2"], estate) == (
        'ANY 2 ("pg3", "pg1")'
    )


def test_only_owned_settings_are_set_and_their_values_are_quoted() -> None:
    assert alter_text("primary_conninfo", "passfile='a\\b'") == (
        "ALTER SYSTEM SET primary_conninfo = E'passfile=''a\\\\b'''"
    )
    assert alter_text("default_transaction_read_only", None) == (
        "ALTER SYSTEM RESET default_transaction_read_only"
    )
    with pytest.raises(ValueError, match="not ours"):
        alter_text("shared_preload_libraries", "x")


def test_an_interrupted_crash_recovery_is_told_from_a_stopped_standby() -> None:
    assert ControlData("1", "shut down in recovery", 5, 1, 0).recovery_interrupted
    assert not ControlData("1", "shut down in recovery", 5, 1, 9).recovery_interrupted
    assert not ControlData("1", "shut down", 5, 1, 0).recovery_interrupted
