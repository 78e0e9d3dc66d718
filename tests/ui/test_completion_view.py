"""Completions are shown while they are drawn, and end as `complete` gives them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import genlib
from genlib.data import load
from genlib.data.occlusions import occlusion
from genlib.ui import completion_view
from genlib.ui.completion import TEST, Settings


@pytest.fixture
def settings() -> Settings:
    model = genlib.create("pixelcnn", hidden=8, blocks=1, head=8, head_layers=1).eval()
    return Settings("mine", 1.0, "mnist", model, TEST, 0, 3, 0.9, 5, True)


@pytest.mark.parametrize("name", ["lower-half", "centre-square", "everything", "nothing"])
def test_rows_appear_in_order_and_the_end_is_the_models_own(settings, monkeypatch, name: str) -> None:
    monkeypatch.setattr(completion_view, "BLINK", 0.0)
    monkeypatch.setattr(completion_view._drawn, "_items", type(completion_view._drawn._items)())
    picture = load("mnist").images("test")[4, 0].numpy()
    known = occlusion(name, 28, 28).numpy()
    seen: list[tuple[int, Tensor]] = []
    done = completion_view.complete(settings, picture, known, lambda drawn, row: seen.append((row, drawn.clone())))
    images = load("mnist").batch("test", slice(4, 5))
    judge = settings.model.complete(images, torch.from_numpy(known), 3, seed=5, temperature=0.9)[0]
    assert torch.equal(done.pictures, judge)
    hidden_rows = np.flatnonzero((~known).any(1)).tolist()
    assert [row for row, _ in seen] == [-1, *hidden_rows]
    for row, drawn in seen[1:]:
        assert torch.equal(drawn[..., : row + 1, :], judge[..., : row + 1, :]), "what is shown stays"
    again: list[int] = []
    assert completion_view.complete(settings, picture, known, lambda drawn, row: again.append(row)) is done
    assert not again, "remembered: nothing is drawn twice"


def test_memory_is_kept_apart_by_every_input(settings, monkeypatch) -> None:
    monkeypatch.setattr(completion_view._drawn, "_items", type(completion_view._drawn._items)())
    picture = load("mnist").images("test")[0, 0].numpy()
    known = occlusion("lower-half", 28, 28).numpy()
    variants = [
        settings,
        *(replace(settings, **change) for change in ({"seed": 6}, {"n": 2}, {"temperature": 0.5}, {"version": 2.0})),
    ]
    for variant in variants:
        completion_view.complete(variant, picture, known, lambda drawn, row: None)
    completion_view.complete(settings, 255 - picture, known, lambda drawn, row: None)
    completion_view.complete(settings, picture, ~known, lambda drawn, row: None)
    assert len(completion_view._drawn._items) == len(variants) + 2
