"""The command line, ``genlib``: every command has ``--help``; those with ``--json`` then print one JSON document on
stdout.

Bad input ends in one sentence on stderr and exit code 2. The commands are in the modules beside this one.
"""

import os
from typing import Annotated

# Before PyTorch loads: two OpenMP programs on the same cores collapse when one spins while it waits.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer

import genlib
from genlib.cli import coding, distortion, judging, listing, runs, scoring, serving, using
from genlib.cli.frame import Guarded

app = typer.Typer(
    name="genlib",
    cls=Guarded,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """See how image generators work: train them, draw with them, measure them."""
    if version:
        typer.echo(f"genlib {genlib.__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command("app", context_settings={"ignore_unknown_options": True})(serving.app)
app.command()(listing.models)
app.add_typer(listing.data, name="data")
app.command()(runs.train)
app.command()(runs.stop)
app.command("runs")(runs.runs)
app.command()(using.sample)
app.command()(using.complete)
app.command()(coding.compress)
app.command()(coding.decompress)
app.command()(coding.sizes)
app.command()(distortion.calibrate)
app.command()(distortion.distortion)
app.command()(scoring.evaluate)
app.command()(scoring.compare)
app.command("one-shot")(judging.one_shot)
app.command()(using.bench)
app.add_typer(judging.judge, name="judge")
app.command()(judging.gam)
app.command()(runs.publish)


def main() -> None:
    """The entry point of the installed ``genlib`` command."""
    app()
