"""Writing files so that a reader, or a kill at any moment, sees the old file or the new one and never a half."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genlib.errors import GenlibError


def replace(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk, then move it into place in one step.

    A full disk or a folder that cannot be written to is a `GenlibError`; the old file is then still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def unwritable(path: Path, error: OSError) -> GenlibError:
    """The sentence for a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GenlibError(f"The disk is full, so {path} could not be written: free some space and go on; what was saved before is still there.")
    return GenlibError(f"{path} cannot be written ({error.strerror or error}): choose a folder you may write to.")


def write_text(path: Path, text: str) -> None:
    """Replace a text file."""
    replace(path, lambda temporary: _write(temporary, text.encode()))


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a binary file."""
    replace(path, lambda temporary: _write(temporary, data))


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """A JSON file's value. A missing or broken file is a `GenlibError`."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise GenlibError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:
        raise GenlibError(f"{path} cannot be read ({error}).") from None


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
