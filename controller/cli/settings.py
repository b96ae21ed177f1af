"""What the global options say: where the daemon is, who asks, how to print."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from model.errors import UsageError

DEFAULT_SOCKET: Final = Path("/run/bcm-failover/admin.sock")
DEFAULT_STATE_DIR: Final = Path("/var/lib/bcm-failover")
DEFAULT_CONFIG: Final = Path("/etc/bcm-failover/estate.yaml")


@dataclass(slots=True)
class Settings:
    """None: not given. An estate that is named with -c also says where its daemon's socket and state are."""

    socket: Path | None = None
    state_dir: Path | None = None
    config: Path | None = None
    output: str = "table"
    person: str | None = None
    no_color: bool = False

    @property
    def socket_path(self) -> Path:
        return self.socket or self._from_estate("socket") or DEFAULT_SOCKET

    @property
    def state_path(self) -> Path:
        return self.state_dir or self._from_estate("state_dir") or DEFAULT_STATE_DIR

    @property
    def config_path(self) -> Path:
        return self.config or DEFAULT_CONFIG

    @property
    def structured(self) -> bool:
        """For machines: json or yaml."""
        return self.output != "table"

    @property
    def runbook_dirs(self) -> tuple[Path, ...]:
        """A person's own runbooks: as the estate of -c says, or the usual one where it is there."""
        if self.config is None and not DEFAULT_CONFIG.is_file():
            return ()
        named = _daemon_value(self.config_path, "runbook_dirs")
        return tuple(Path(d) for d in named if isinstance(d, str)) if isinstance(named, list) else ()

    def _from_estate(self, key: str) -> Path | None:
        return _daemon_path(self.config, key) if self.config is not None else None


def settings_of(ctx: click.Context) -> Settings:
    return ctx.find_root().ensure_object(Settings)


def current_settings() -> Settings:
    return settings_of(click.get_current_context())


def _daemon_path(config: Path, key: str) -> Path | None:
    value = _daemon_value(config, key)
    return Path(value) if isinstance(value, str) else None


def _daemon_value(config: Path, key: str) -> Any:
    """Read without the estate's schema: a broken estate must not hide a running daemon. Raises UsageError."""
    import yaml

    try:
        document: Any = yaml.safe_load(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"can't read the estate: {error.strerror}", where=str(config), hint="name the file with -c FILE"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(
            "the estate is not valid YAML",
            where=str(config),
            hint=f"`bcm-failover check {config}` says where; or use --socket and --state-dir",
        ) from error
    daemon = document.get("daemon") if isinstance(document, dict) else None
    return daemon.get(key) if isinstance(daemon, dict) else None
