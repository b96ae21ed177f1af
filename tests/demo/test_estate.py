"""The demo's estate file describes the cluster and gives no secret away."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from controller.demo.cluster import Cluster
from controller.demo.estate import SERVICE, demo_estate

pytestmark = pytest.mark.postgres


def test_the_estate_describes_the_cluster_as_it_runs(shared_cluster: Cluster) -> None:
    base = shared_cluster.base
    text = demo_estate(shared_cluster, state_dir=base / "state", socket=base / "api.sock", profile="fast")
    estate = yaml.safe_load(text)
    service = estate["services"][SERVICE]
    assert (service["mode"], service["profile"]) == ("act", "fast")
    assert service["postgresql"]["synchronous_standby_names"] == "ANY 1 (pg2, pg3)"
    for name, member in service["members"].items():
        node = shared_cluster.node(name)
        assert (member["port"], member["data_dir"]) == (node.port, str(node.data_dir))
        assert (Path(member["bin_dir"]) / "pg_ctl").exists()
        assert estate["nodes"][member["node"]]["site"] == node.site
    for role in service["postgresql"]["roles"].values():
        secret = Path(role["password"]["file"]).read_text(encoding="utf-8").strip()
        assert secret
        assert secret not in text
