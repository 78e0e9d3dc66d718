"""C that is compiled where it is used: from the cache, by several processes at once, or not at all."""

import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genlib import native

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("gcc", "clang", "cc"))), reason="no C compiler on this machine"
)


@pytest.fixture
def source(tmp_path, monkeypatch) -> Path:
    """A small C file, an empty cache and a fresh memory of what was loaded."""
    monkeypatch.setattr(native.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("GENLIB_NATIVE", raising=False)
    native.library.cache_clear()
    path = tmp_path / "half.c"
    path.write_text("int half(int n) { return n / 2; }\n")
    yield path
    native.library.cache_clear()


@needs_compiler
def test_it_is_compiled_once_and_anew_when_the_source_changes(source, tmp_path):
    library = native.library(source)
    assert library is not None
    assert library.half(42) == 21
    (first,) = (tmp_path / "cache" / "native").iterdir()  # and nothing half made beside it
    made = first.stat().st_mtime_ns
    native.library.cache_clear()
    assert native.library(source).half(8) == 4
    assert first.stat().st_mtime_ns == made
    source.write_text("int half(int n) { return n / 2 + 1; }\n")
    native.library.cache_clear()
    assert native.library(source).half(8) == 5


@needs_compiler
def test_several_processes_may_compile_at_once(source, tmp_path):
    code = (
        "import sys, pathlib, platformdirs; platformdirs.user_cache_dir = lambda name: sys.argv[2]\n"
        "from genlib.native import library; print(library(pathlib.Path(sys.argv[1])).half(10))"
    )
    command = [sys.executable, "-c", code, str(source), str(tmp_path / "cache")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in processes] == ["5"] * 3
    assert len(list((tmp_path / "cache" / "native").iterdir())) == 1


def one_warning(caplog, source: Path) -> str:
    with caplog.at_level(logging.WARNING, native.__name__):
        assert native.library(source) is None
        assert native.library(source) is None
    (record,) = caplog.records
    assert "eager" in record.getMessage()
    return record.getMessage()


@needs_compiler
def test_what_does_not_compile_is_said_once(source, caplog):
    source.write_text("int half(int n) { return nonsense; }\n")
    assert "nonsense" in one_warning(caplog, source)


def test_no_compiler_is_said_once(source, caplog, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "install gcc or clang" in one_warning(caplog, source)


def test_a_cache_that_cannot_be_written_is_said_once(source, caplog, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    one_warning(caplog, source)


def test_it_can_be_switched_off(source, caplog, monkeypatch):
    monkeypatch.setenv("GENLIB_NATIVE", "0")
    assert native.library(source) is None
    assert not caplog.records
