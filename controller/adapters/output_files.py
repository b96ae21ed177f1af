"""What steps printed, where it is too long for the journal: files under the daemon's state directory."""

from __future__ import annotations

import asyncio
import os
from itertools import count
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_MOST_NAMES = 1000


class OutputDirectory:
    """model.ports.OutputFiles: `DIRECTORY/EXE-12/STEP.txt`, then `STEP.2.txt`, …; only for the daemon's
    account."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def keep(self, execution: str, name: str, text: str) -> str:
        """A disk that is full must not fail the step: then nothing is kept, and the log says so."""
        try:
            return str(await asyncio.to_thread(self._write, self._directory / execution, name, text))
        except OSError as error:
            log.warning(
                "output of a step could not be kept", execution=execution, step=name, error=str(error)
            )
            return ""

    def _write(self, directory: Path, name: str, text: str) -> Path:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in count(1):
            path = directory / (f"{name}.txt" if number == 1 else f"{name}.{number}.txt")
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                if number < _MOST_NAMES:
                    continue
                raise
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
            return path
        raise AssertionError  # count never ends
