"""What the import layers cannot say (`lint-imports` checks those): what stays unloaded, and what never appears in the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*(ROOT / "genlib").rglob("*.py"), *(ROOT / "pages").rglob("*.py"), ROOT / "app.py"])


def imported(path: Path) -> Iterator[str]:
    """Every module that a source file imports, wherever in the file it does so."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def calls(path: Path) -> Iterator[str]:
    """The dotted names of all calls in a source file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


# Imported one after another in a fresh process: each line's modules, and what must not have been loaded by then.
LIGHT = [
    (
        "genlib genlib.errors genlib.training.files genlib.training.run genlib.training.job genlib.cli",
        "torch streamlit",
    ),
]
MIDDLING = [
    ("genlib.data genlib.data.fetch", "torchvision lightning_fabric"),
    ("genlib.models genlib.training.checkpoint genlib.evaluation", "lightning_fabric"),
    ("genlib.training.loop genlib.figures", "streamlit tensorboard"),
]


@pytest.mark.parametrize("lines", [LIGHT, MIDDLING], ids=["without PyTorch", "with PyTorch"])
def test_importing_loads_no_more_than_it_needs(lines: list[tuple[str, str]]):
    """A job in the queue, the list of runs and ``genlib --help`` should not pay for what they do not use."""
    code = "import importlib, sys\n"
    for modules, unloaded in lines:
        for module in modules.split():
            code += f"importlib.import_module({module!r})\n"
            code += f"loaded = sorted(set({unloaded.split()}) & set(sys.modules))\n"
            code += f"assert not loaded, ({module!r}, loaded)\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-500:]


def test_only_the_app_knows_streamlit():
    ui = ROOT / "genlib" / "ui"
    knowing = [path for path in SOURCES if any(name.split(".")[0] == "streamlit" for name in imported(path))]
    assert knowing
    assert [path for path in knowing if (ROOT / "genlib") in path.parents and ui not in path.parents] == []


def test_nothing_is_unpickled():
    forbidden = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}
    assert [(path.name, name) for path in SOURCES for name in imported(path) if name.split(".")[0] in forbidden] == []
    found = [(path.name, call) for path in SOURCES for call in calls(path)]
    assert [(name, call) for name, call in found if call in ("torch.load", "torch.hub.load", "eval", "exec")] == []
    for path in SOURCES:
        assert "allow_pickle=True" not in path.read_text(), path


def test_nothing_is_left_to_do():
    marks = ("TO" + "DO", "FIX" + "ME", "X" + "XX")
    assert [(path.name, mark) for path in SOURCES for mark in marks if mark in path.read_text()] == []
