"""Open the app with everything loaded: ``genlib app`` runs this module.

``streamlit run app.py`` works as well; then PyTorch and the models are loaded when the first visitor comes, two to three seconds that
this module spends before it opens the port.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before PyTorch loads: a training job shares these cores

from streamlit.web import cli as streamlit_cli

from genlib.training import checkpoint
from genlib.ui import models

APP = Path(__file__).resolve().parents[2] / "app.py"


def main() -> None:
    """Load the shipped models, then serve; arguments go to Streamlit, e.g. ``--server.port 8600``."""
    for name in checkpoint.shipped():
        models.get(name)
    os.chdir(APP.parent)  # Streamlit reads .streamlit/config.toml from here
    sys.argv = ["streamlit", "run", str(APP), *sys.argv[1:]]
    streamlit_cli.main()


if __name__ == "__main__":
    main()
