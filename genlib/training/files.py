"""Writing files so that a reader, or a kill at any moment, sees the old file or the new one and never a half."""

import contextlib
import errno
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genlib.errors import GenlibError

if TYPE_CHECKING:
    from torch import Tensor


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file: fill a temporary one beside it, flush that to disk, then move it into place in one step.

    A full disk or a folder that cannot be written to is a `GenlibError`; the old file is then still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def sweep(folder: Path) -> None:
    """Remove temporary files that a killed process left behind. Only for the folder's one writer."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> GenlibError:
    """The sentence for a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GenlibError(
            f"The disk is full, so {path} could not be written: "
            "free some space and go on; what was saved before is still there."
        )
    return GenlibError(f"{path} cannot be written ({error.strerror or error}): choose a folder you may write to.")


def write_text(path: Path, text: str) -> None:
    """Replace a text file."""
    write_bytes(path, text.encode())


def write_tensors(path: Path, tensors: "dict[str, Tensor]", metadata: dict[str, str]) -> None:
    """Replace a safetensors file."""
    from safetensors.torch import save  # loads PyTorch, which a job in the queue and the list of runs do without

    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_bytes(path, save(plain, metadata))


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
