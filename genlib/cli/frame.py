"""What the commands have in common: one sentence for every error, JSON, tables, progress, checks of what was typed.

PyTorch is never imported when a module of this package is: ``genlib --help`` should answer at once.
"""

import errno
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from genlib.errors import GenlibError

if TYPE_CHECKING:
    from genlib.models.contract import Model

BAD_INPUT = 2
UNEXPECTED = 1
LARGEST_SEED = 2**31 - 1

# The base of every "you typed something wrong" of the option parser, which Typer does not export under a name of its
# own.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")]
Seed = Annotated[
    int, typer.Option(min=0, max=LARGEST_SEED, help="The same seed gives the same result on the same device.")
]
Label = Annotated[int | None, typer.Option(min=0, help="The class, for models trained with classes.")]
Device = Annotated[str, typer.Option(help="auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:1, mps.")]
Temperature = Annotated[
    float, typer.Option(min=0, max=100, help="Below 1: more typical pictures, above 1: wilder ones.")
]
Checkpoint = Annotated[
    str, typer.Argument(metavar="CHECKPOINT", help="A shipped checkpoint, a run, or the path of a .safetensors file.")
]


class Guarded(TyperGroup):
    """The outermost group. Every error becomes one line on stderr: no usage boxes, no traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command, then exit: 0 all right, 2 bad input, 1 anything else, 130 interrupted."""
        try:
            result = super().main(*args, **{**kwargs, "standalone_mode": False})
        except GenlibError as error:
            _fail(str(error), BAD_INPUT)
        except _UsageError as error:
            _fail(_usage(error), BAD_INPUT)
        except typer.Abort:
            _fail("Stopped.", 130)
        except OSError as error:
            _fail(_system_error(error), BAD_INPUT)
        except Exception as error:  # the program's outer boundary
            if os.environ.get("GENLIB_DEBUG"):
                raise
            reason = str(error).strip().split("\n")[0]
            _fail(
                f"genlib broke off ({type(error).__name__}: {reason}); with GENLIB_DEBUG=1 it shows where.", UNEXPECTED
            )
        sys.exit(result if isinstance(result, int) else 0)


def _fail(sentence: str, code: int) -> None:
    typer.echo(" ".join(sentence.split()), err=True)
    sys.exit(code)


def _usage(error: Any) -> str:
    """The parser's message as one sentence, and where to read more."""
    where = error.ctx.command_path if getattr(error, "ctx", None) is not None else "genlib"
    message = error.format_message().strip().rstrip(".")
    return f"{message}{'' if message.endswith('?') else '.'} See `{where} --help`."


def _system_error(error: OSError) -> str:
    name = error.filename or "A file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full, so {name} could not be written: free some space and try again."
    return f"{name} cannot be used ({error.strerror or error}): check the path and its permissions."


def emit(value: Any) -> None:
    """Print the one JSON document of a command. What is no number in JSON (NaN, infinity) becomes null."""
    typer.echo(json.dumps(_plain(value), indent=1, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print aligned columns, one line a row, however narrow the terminal is: they can be searched and cut."""
    lines = [list(map(str, header)), *(list(map(str, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@contextmanager
def bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, where that is a terminal; yields a function of (done, in all)."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def load(checkpoint: str, device: str = "auto", ability: str | None = None) -> "Model":
    """The model of a checkpoint; one that lacks ``ability`` is a `GenlibError` that says which have it."""
    from genlib.models import abilities
    from genlib.training import checkpoint as checkpoints

    model = checkpoints.load(checkpoint, device)
    if ability is not None and ability not in abilities(model):
        raise GenlibError(f"{checkpoint!r} is a {model.name}, which has no {ability}: {_having(ability)}.")
    return model


def _having(ability: str) -> str:
    from genlib.models import abilities, catalogue

    able = [name for name in catalogue.names() if ability in abilities(catalogue.get(name))]
    return f"give a checkpoint of {' or '.join(able)}" if able else "no model here has it"


def trained_on(checkpoint: str) -> str:
    """Name of the data set behind a checkpoint."""
    from genlib.training import checkpoint as checkpoints

    return checkpoints.read_header(checkpoints.find(checkpoint)).origin.data


def check_png(out: Path, what: str = "--out") -> Path:
    """Refuse a path that cannot become a PNG file before anything is computed for it; ``what`` as in `check_writable`."""
    if out.suffix.lower() != ".png":
        raise GenlibError(f"{what} {out} is not a .png file: pictures are written as PNG.")
    return check_writable(out, what)


def check_writable(out: Path, what: str) -> Path:
    """Refuse a path where no file can be written; ``what`` is how the command calls it."""
    if out.is_dir():
        raise GenlibError(f"{what} {out} is a folder: give a file's name.")
    if not out.parent.is_dir():
        raise GenlibError(f"{what} {out} cannot be written: the folder {out.parent} does not exist.")
    if not os.access(out.parent, os.W_OK):
        raise GenlibError(f"{what} {out} cannot be written: you may not write to the folder {out.parent}.")
    return out
