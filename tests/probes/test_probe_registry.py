"""Probe types are found by name, and what is wrong with one is said in one clear error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from model.errors import UsageError
from probes.registry import load_probe_type, probe_types
from probes.tcp import TcpProbe


def plug_in(directory: Path, name: str, value: str, code: str = "") -> Path:
    """A distribution on `directory` that registers one type."""
    info = directory / f"{name.replace('-', '_')}_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[bcm_failover.probes]\n{name} = {value}\n")
    (directory / f"{value.partition(':')[0]}.py").write_text(code)
    return directory


def test_every_shipped_type_is_registered() -> None:
    assert {"postgresql", "postgresql-canary", "tcp", "http", "icmp"} <= set(probe_types())


def test_a_type_is_loaded_by_its_name() -> None:
    assert load_probe_type("tcp") is TcpProbe


def test_a_name_that_is_almost_right_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="unknown probe type `postgres`") as caught:
        load_probe_type("postgres")
    assert "did you mean `postgresql`?" in str(caught.value)


def test_a_name_that_is_nothing_like_one_gets_the_list() -> None:
    with pytest.raises(UsageError) as caught:
        load_probe_type("zzz")
    assert "tcp" in str(caught.value)


def test_listing_imports_no_type() -> None:
    code = (
        "import sys; from probes.registry import probe_types; probe_types(); "
        "print([m for m in sys.modules if m in ('probes.tcp', 'psycopg', 'ssl')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_a_type_of_ones_own_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from probes.tcp import TcpProbe\nclass Mine(TcpProbe):\n    type = 'mine-a'\n"
    monkeypatch.syspath_prepend(plug_in(tmp_path, "mine-a", "mine_a:Mine", code))
    assert load_probe_type("mine-a").type == "mine-a"


@pytest.mark.parametrize(
    ("value", "code", "problem"),
    [
        ("mine_b:Mine", "class Mine: pass", "must derive from probes.base.Probe"),
        ("mine_c:Mine", "Mine = 3", "must derive from probes.base.Probe"),
        ("mine_d:Mine", "", "can't be loaded"),
        ("mine_e:Mine", "import no_such_module_at_all", "can't be loaded: No module named 'no_such"),
        (
            "mine_f:Mine",
            "from probes.tcp import TcpProbe\nclass Mine(TcpProbe):\n    API_VERSION = 99\n",
            "made for version 99 of the probe interface; this is 1",
        ),
    ],
)
def test_a_type_that_cannot_be_used_says_why_and_where(
    value: str, code: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = value.partition(":")[0].replace("_", "-")
    monkeypatch.syspath_prepend(plug_in(tmp_path, name, value, code))
    with pytest.raises(UsageError, match=problem) as caught:
        load_probe_type(name)
    assert f"probe type `{name}` ({value})" in str(caught.value)


def test_two_distributions_with_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(plug_in(tmp_path, "tcp", "other_tcp:Mine"))
    with pytest.raises(UsageError, match="registered twice") as caught:
        load_probe_type("tcp")
    assert "other_tcp:Mine" in str(caught.value)
    assert "probes.tcp:TcpProbe" in str(caught.value)


def test_a_foreign_package_that_hides_ours_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another distribution brings a package of the same name: the entry point leads into it."""
    foreign = tmp_path / "foreign_probes"
    foreign.mkdir()
    (foreign / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(plug_in(tmp_path, "mine-g", "foreign_probes.tcp:Mine"))
    with pytest.raises(UsageError, match="can't be loaded") as caught:
        load_probe_type("mine-g")
    assert f"(`foreign_probes` is {foreign}/__init__.py)" in str(caught.value)
    assert "virtual environment of its own" in str(caught.value)
