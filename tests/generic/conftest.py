"""A bench of its own for each test, and one sshd for all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.generic_bench import GenericBench
from tests.ssh_server import SshServer, running_sshd


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[GenericBench]:
    made = GenericBench(tmp_path)
    yield made
    await made.close()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server
