"""Which PostgreSQL servers there are on this machine.

Not in conftest.py: there are several of that name, and `import conftest` gives whichever was loaded last.
"""

from __future__ import annotations

import pytest

from controller.demo.servers import Server, find_servers


def server_or_skip(version: int) -> Server:
    for server in find_servers():
        if server.version == version:
            return server
    pytest.skip(f"PostgreSQL {version} is not installed")
