"""Open the app with everything loaded: ``genlib app`` runs this module.

``streamlit run app.py`` works as well; then PyTorch, the models and the pages' modules are loaded when the first visitor comes, seconds
that this module spends before it opens the port.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before PyTorch loads: a training job shares these cores

from streamlit.runtime.pages_manager import PagesManager
from streamlit.web import cli as streamlit_cli

import genlib.ui
from genlib.errors import GenlibError
from genlib.training import checkpoint
from genlib.ui import latent, models

APP = Path(__file__).resolve().parents[2] / "app.py"


def load() -> None:
    """Load the shipped models and the pages' modules, and compute what is dear for a first visitor; on two threads.

    What cannot be read is left out: the pages that want it say what is wrong with it.
    """
    with ThreadPoolExecutor(1) as beside:
        plane = beside.submit(latent.prepare)
        for name in checkpoint.shipped():
            with suppress(GenlibError):
                models.get(name)
        for module in iter_modules(genlib.ui.__path__, "genlib.ui."):
            if module.name != "genlib.ui.serve":
                import_module(module.name)
        with suppress(GenlibError):
            plane.result()


def main() -> None:
    """Load everything, then serve; arguments go to Streamlit, e.g. ``--server.port 8600``."""
    load()
    os.chdir(APP.parent)  # Streamlit reads .streamlit/config.toml from here
    PagesManager.uses_pages_directory = False  # app.py makes the navigation: the first visitor need not find that out
    sys.argv = ["streamlit", "run", str(APP), *sys.argv[1:]]
    streamlit_cli.main()


if __name__ == "__main__":
    main()
