"""The real data sets: from $GENLIB_DATA, or prepared from the folder $GENLIB_SHARED_DATA (default: ../shared/data)."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from genlib.data import datasets

ROOT = Path(__file__).resolve().parents[2]
# What is read once need not be compressed first: four times as quick.
UNCOMPRESSED = """
import runpy, sys, numpy
numpy.savez_compressed = numpy.savez
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``prepared(name) -> path`` of the real NAME.npz, unpacked once a session. Where the originals are missing the test is
    skipped on somebody's laptop, and fails on CI."""
    given = Path(os.environ.get("GENLIB_DATA", "/nonexistent"))
    shared = Path(os.environ.get("GENLIB_SHARED_DATA", ROOT.parent / "shared" / "data"))
    unpacked = tmp_path_factory.mktemp("data")

    def path(name: str) -> Path:
        if (given / f"{name}.npz").is_file():
            return given / f"{name}.npz"
        target = unpacked / f"{name}.npz"
        if not target.exists():
            if not (shared / "prepare.py").is_file():
                reason = f"no {name}.npz in $GENLIB_DATA and no prepare.py in {shared} (set GENLIB_SHARED_DATA)"
                if os.environ.get("CI", "").lower() in ("1", "true"):
                    pytest.fail(reason)
                pytest.skip(reason)
            subprocess.run(
                [sys.executable, "-c", UNCOMPRESSED, shared / "prepare.py", unpacked, name], check=True, timeout=240
            )
        return target

    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, in use for the test."""
    monkeypatch.setenv("GENLIB_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def real(prepared: Callable[[str], Path]) -> Callable[[str], datasets.Dataset]:
    """``real(name) -> Dataset``, read once a session."""
    known: dict[str, datasets.Dataset] = {}

    def get(name: str) -> datasets.Dataset:
        if name not in known:
            info = datasets.describe(name)
            path = datasets.EMBEDDED.get(name) or prepared(name)
            known[name] = datasets.Dataset(info, datasets.read_arrays(path, info))
        return known[name]

    return get
