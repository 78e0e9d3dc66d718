"""Trained models for the pages: loaded once per process, used under a semaphore, chosen by ability.

Thirty visitors share one process: a model is loaded once for all of them, and only a few computations run at a time, so that each
is quick and memory stays bounded.
"""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st
import torch

from genlib.codec.stream import set_threads
from genlib.data import datasets
from genlib.errors import GenlibError
from genlib.models import abilities, catalogue
from genlib.models.contract import Model
from genlib.training import checkpoint
from genlib.training.run import all_runs
from genlib.training.variants import without_variants

BUSY_AFTER = 30.0  # seconds a visitor waits for a turn
_turns = threading.BoundedSemaphore(max(1, (os.cpu_count() or 2) // 2))
_last_visit = 0.0  # `time.monotonic` when a visitor's computation last ended


@contextmanager
def computing() -> Iterator[None]:
    """Run a computation of a model: one of few at a time, without gradients. A server that stays busy is a `GenlibError`."""
    if not _turns.acquire(timeout=BUSY_AFTER):
        raise GenlibError(f"The server has been busy for {BUSY_AFTER:.0f} seconds: try again in a moment.")
    try:
        with torch.inference_mode():
            yield
    finally:
        visited()
        _turns.release()


def visited() -> None:
    """Note that a visitor is being served just now."""
    global _last_visit
    _last_visit = time.monotonic()


def idle() -> float:
    """Seconds since a visitor was served."""
    return time.monotonic() - _last_visit


@contextmanager
def computing_if_free() -> Iterator[bool]:
    """The same as `computing` for work that nobody waits for: without a turn to be had at once it gives False."""
    free = _turns.acquire(blocking=False)
    try:
        with torch.inference_mode():
            yield free
    finally:
        if free:
            _turns.release()


@st.cache_resource(max_entries=128, show_spinner=False)
def _loaded(path: Path, version: float) -> Model:
    set_threads(max(1, (os.cpu_count() or 2) // 2))  # visitors and a training job share the cores
    model = checkpoint.load_file(path)
    gc.collect()
    gc.freeze()  # models live as long as the process: later collections need not look at them
    return model


def version(name: str) -> float:
    """What tells two files of the same name apart: the time of the checkpoint's file."""
    return checkpoint.find_named(name).stat().st_mtime


def get(name: str) -> Model:
    """The model of a shipped checkpoint or a run (never a path), loaded once per process and version of the file."""
    path = checkpoint.find_named(name)
    return _loaded(path, path.stat().st_mtime)


@st.cache_data(ttl=5, show_spinner=False)
def _available() -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    paths = [(name, checkpoint.find_named(name)) for name in checkpoint.shipped()]
    paths += [(run.name, run.checkpoint) for run in all_runs() if run.checkpoint.is_file()]
    for name, path in paths:
        try:
            header = checkpoint.read_header(path)
        except GenlibError:
            continue  # a broken file is not offered; asking for it by name says what is wrong with it
        if header.model in catalogue.names():
            found.setdefault(name, (header.model, header.origin.data))
    return found


def available(*wanted: str) -> dict[str, tuple[str, str]]:
    """Checkpoints that can be used now, shipped ones first: name -> (model, data). With abilities, those that have one of them."""
    return {
        name: (model, data)
        for name, (model, data) in _available().items()
        if not wanted or set(wanted) & set(abilities(catalogue.get(model)))
    }


@lru_cache(maxsize=512)  # Streamlit's own caches take a millisecond a look, and a page looks at every name
def _shape(path: Path, version: float) -> tuple[int, int, int]:
    header = checkpoint.read_header(path)
    return catalogue.get(header.model).validate_config(header.config).shape


def shape(name: str) -> tuple[int, int, int]:
    """(C, H, W) of the images of a shipped checkpoint or a run, without loading its weights."""
    path = checkpoint.find_named(name)
    return _shape(path, path.stat().st_mtime)


def card(name: str) -> dict[str, Any]:
    """A shipped checkpoint's card; empty for a run, which has none."""
    path = checkpoint.card_path(name)
    return _card(name, path, path.stat().st_mtime) if name in checkpoint.shipped() and path.is_file() else {}


@lru_cache(maxsize=512)
def _card(name: str, path: Path, version: float) -> dict[str, Any]:
    return checkpoint.read_card(name)


def offered(*wanted: str, later: Callable[[str], bool] = lambda name: False) -> list[str]:
    """The checkpoints with one of the abilities, in the order of `choose`: a page begins with the first.

    ``later`` says which names stand behind the others, and variants stand behind all; those of data sets that ship whole stand before
    them all, so that what a page begins with works on every machine.
    """
    found = available(*wanted)
    plain = without_variants(found)
    return sorted(found, key=lambda name: (found[name][1] not in datasets.EMBEDDED, later(name), name not in plain))


def choose(
    *wanted: str, label: str = "Model", key: str = "model", later: Callable[[str], bool] = lambda name: False
) -> str:
    """A selectbox of the checkpoints that are `offered`; the choice lives in the URL under ``key``. Returns the checkpoint's name."""
    names, ability = offered(*wanted, later=later), " or ".join(wanted)
    if not names:
        raise GenlibError(
            f"No checkpoint here has the ability {ability!r} yet: train such a model on the Train page first."
        )
    asked = st.query_params.get(key)
    if asked is not None and asked not in names:
        checkpoint.find_named(asked)  # says what is wrong with an unknown name
        raise GenlibError(f"{asked!r} has no {ability}: choose one of {', '.join(names)}.")
    return st.selectbox(label, names, key=key, bind="query-params")
