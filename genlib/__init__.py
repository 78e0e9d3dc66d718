"""genlib: see how image generators work.

    import genlib
    model = genlib.create("pixelcnn", preset="tutorial", data="mnist")   # fresh weights
    model = genlib.load("pixelcnn-mnist")                                # a shipped checkpoint, a run or a path
    images = model.sample(64, seed=0)                                    # [64, 1, 28, 28] in [0, 1]
    genlib.fit(model, data="mnist", minutes=10)

The names below are imported when they are first used: PyTorch takes two seconds to load, and ``genlib --help`` or a job
that waits in the queue does not need it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genlib.models import create
    from genlib.training.checkpoint import load
    from genlib.training.loop import fit

__version__ = "0.1.0"
__all__ = ["create", "fit", "load"]

_WHERE = {"create": "genlib.models", "load": "genlib.training.checkpoint", "fit": "genlib.training.loop"}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'genlib' has no attribute {name!r}")
