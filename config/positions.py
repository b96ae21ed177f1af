"""YAML with positions: the small API for every file that people write (estate, runbooks).

`load_yaml` gives data that knows `file:line:col` of each of its values; `findings_of` turns pydantic's errors
into findings at those places.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from config.document import Document, Mark, Marks
from config.findings import Finding, Severity
from config.validation import findings_of
from config.yaml_reader import MAX_BYTES, read_yaml

__all__ = ["Document", "Mark", "Marks", "findings_of", "load_yaml"]


def load_yaml(source: Path | str, *, file: str = "") -> Document:
    """Read a file (Path) or a text (str). Never raises: `document.findings` says what is wrong.

    file: the name in messages; a path's own, if empty. The digest is SHA-256 (hex) of the bytes as they lie
    on disk, so that `sha256sum` gives the same.
    """
    if isinstance(source, str):
        raw = source.encode("utf-8", errors="surrogatepass")
        return read_yaml(source, file or "<text>", hashlib.sha256(raw).hexdigest())
    name = file or str(source)
    try:
        with source.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return _unreadable(name, "there is no such file", "create one with: bcm-failover init")
    except IsADirectoryError:
        return _unreadable(name, "this is a directory", "name the file")
    except PermissionError:
        return _unreadable(name, "the file may not be read by this user", "check its owner and mode")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        return _unreadable(name, f"the file can't be read: {reason}", "")
    digest = hashlib.sha256(raw).hexdigest()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, col = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        what = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        return Document(
            name,
            None,
            {},
            (Finding(Severity.ERROR, name, line, col, what, "save the file as UTF-8"),),
            digest,
        )
    return read_yaml(text, name, digest)


def _unreadable(name: str, what: str, why: str) -> Document:
    return Document(name, None, {}, (Finding(Severity.ERROR, name, 1, 1, what, why),))
