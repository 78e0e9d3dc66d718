"""``python -m genlib.cli`` is ``genlib``."""

from genlib.cli import main

main()
