"""``genlib app``: open the app."""

import subprocess
import sys
from typing import Annotated

import typer


def app(
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- STREAMLIT OPTIONS]", help="Passed on, e.g. `genlib app -- --server.port 8600`."),
    ] = None,
) -> None:
    """Open the app in the browser, with the shipped models loaded before the first visitor comes."""
    # A process of its own: the command line knows nothing of Streamlit, which takes over the process that it runs in.
    raise typer.Exit(subprocess.call([sys.executable, "-m", "genlib.ui.serve", *(options or [])]))
