"""What the tests of this folder share: PostgreSQL pairs, and a real sshd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pg_pair import BIN_DIRS, PgPair, running_pair
from tests.ssh_server import SshServer, running_sshd


@pytest.fixture(scope="session", params=sorted(BIN_DIRS))
def shared_pg_pair(request: pytest.FixtureRequest) -> Iterator[PgPair]:
    if not BIN_DIRS[request.param].exists():
        pytest.skip(f"PostgreSQL {request.param} is not installed")
    with running_pair(request.param) as pair:
        yield pair


@pytest.fixture
def pg_pair(shared_pg_pair: PgPair) -> PgPair:
    """Each test finds both servers up and streaming."""
    shared_pg_pair.ready()
    return shared_pg_pair


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server
