"""Completions are shown while they are drawn, and end as `complete` gives them."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import genlib
from genlib.data import load
from genlib.data.occlusions import occlusion
from genlib.figures import completion as figures
from genlib.models.contract import Model
from genlib.ui import completion_draw, completion_inside, completion_view
from genlib.ui.completion import TEST, Chosen, Settings
from genlib.ui.recent import Recent


@pytest.fixture(autouse=True)
def memories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered from other tests."""
    for name in ("_drawn", "_predicted", "_classes"):
        monkeypatch.setattr(completion_draw, name, Recent(16))


def chosen(name: str, model: Model, **values) -> Chosen:
    return Chosen(name, 1.0, "mnist", model.eval(), **values)


@pytest.fixture
def settings() -> Settings:
    model = genlib.create("pixelcnn", hidden=8, blocks=1, head=8, head_layers=1)
    return Settings((chosen("mine", model),), TEST, 0, 3, 0.9, 5, True)


@pytest.fixture
def conditional() -> Chosen:
    """A class-conditional model whose classes differ clearly."""
    model = genlib.create("gated-pixelcnn", hidden=4, layers=2, head=8, classes=3)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.5)
    return chosen("told", model, classes=("a", "b", "c"))


def ignore(drawn: Tensor, finished: np.ndarray | None) -> None:
    """Look at nothing."""


@pytest.mark.parametrize("name", ["lower-half", "centre-square", "everything", "nothing"])
def test_rows_appear_in_order_and_the_end_is_the_models_own(settings, monkeypatch, name: str) -> None:
    monkeypatch.setattr(completion_draw, "BLINK", 0.0)
    picture = load("mnist").images("test")[4, 0].numpy()
    known = occlusion(name, 28, 28).numpy()
    seen: list[tuple[np.ndarray, Tensor]] = []
    (done,) = completion_draw.complete(
        settings, picture, known, [lambda drawn, finished: seen.append((finished, drawn.clone()))]
    )
    images = load("mnist").batch("test", slice(4, 5))
    model = settings.chosen[0].model
    judge = model.complete(images, torch.from_numpy(known), 3, seed=5, temperature=0.9)[0]
    assert torch.equal(done.pictures, judge)
    hidden_rows = np.flatnonzero((~known).any(1)).tolist()
    assert not seen[0][0].any(), "a look before anything is drawn"
    assert len(seen) == 1 + len(hidden_rows)
    for row, (finished, drawn) in zip(hidden_rows, seen[1:], strict=True):
        assert np.array_equal(drawn.numpy()[..., finished], judge.numpy()[..., finished]), "what is shown stays"
        assert finished[: row + 1][~known[: row + 1]].all()
        assert not finished[row + 1 :].any()
    again: list[np.ndarray] = []
    assert completion_draw.complete(settings, picture, known, [lambda drawn, finished: again.append(finished)]) == [
        done
    ]
    assert not again, "remembered: nothing is drawn twice"


def test_two_models_draw_side_by_side_what_each_draws_alone(settings, conditional, monkeypatch) -> None:
    monkeypatch.setattr(completion_draw, "BLINK", 0.0)
    picture = load("mnist").images("test")[4, 0].numpy()
    known = occlusion("lower-half", 28, 28).numpy()
    both = replace(settings, chosen=(*settings.chosen, replace(conditional, label=2)))
    looks: list[int] = []
    shows = [lambda drawn, finished, i=i: looks.append(i) for i in range(2)]
    done = completion_draw.complete(both, picture, known, shows)
    images = load("mnist").batch("test", slice(4, 5))
    for one, completions in zip(both.chosen, done, strict=True):
        judge = one.model.complete(images, torch.from_numpy(known), 3, seed=5, temperature=0.9, label=one.label)[0]
        assert torch.equal(completions.pictures, judge)
        assert completions.seconds > 0
        assert torch.equal(completions.coded, one.model.code(images)[0])
    assert looks[:2] == [0, 1], "both are shown before either draws"
    assert looks.count(0) == looks.count(1) == 15
    assert looks[2:] != sorted(looks[2:]), "neither waits for the other to end"
    alone = completion_draw.complete(replace(both, chosen=both.chosen[1:]), picture, known, [ignore])
    assert alone == done[1:], "and what one has drawn beside another is remembered"


def test_a_model_with_an_order_of_its_own_is_shown_as_it_draws(settings, monkeypatch) -> None:
    """From coarse to fine: with the first row, all of the small image is there."""
    monkeypatch.setattr(completion_draw, "BLINK", 0.0)
    known = occlusion("lower-half", 28, 28).numpy()
    small = {"small_hidden": 8, "small_blocks": 1, "hidden": 8, "blocks": 1, "head": 8, "up_features": 4}
    one = chosen("coarse", genlib.create("multiscale", factor=4, **small))
    seen: list[tuple[np.ndarray, Tensor]] = []
    (done,) = completion_draw.complete(
        replace(settings, chosen=(one,)),
        load("mnist").images("test")[4, 0].numpy(),
        known,
        [lambda drawn, finished: seen.append((finished, drawn.clone()))],
    )
    assert len(seen) == 15
    for row, (finished, drawn) in enumerate(seen[1:], 14):
        assert finished[14 : row + 1].all()
        assert finished[::4, ::4].all()
        assert finished[row + 1 :].sum() == len(range(-(-(row + 1) // 4) * 4, 28, 4)) * 7, "and nothing else below"
        assert np.array_equal(drawn.numpy()[..., finished], done.pictures.numpy()[..., finished]), "it stays"


def test_a_coarse_picture_first_sees_more_of_what_lies_below() -> None:
    model = genlib.create("multiscale", factor=2)
    order = figures.pixel_ranks(model.order())
    known = occlusion("upper-half", 28, 28).numpy()
    said = completion_view.sight_sentence(known, order)
    assert said.startswith("**It cannot look ahead.** It draws from coarse to fine (first every second pixel")
    assert "98 of the 392 known pixels count only for what is hidden after them, 294 come last" in said
    said = completion_inside.past_sentence(known, (3, 3), order)
    assert (
        said
        == f"At most on the {order[3, 3]} pixels that are drawn before it, wherever they lie. 294 known pixels come later and play no part."
    )
    assert order[3, 3] == 196 + 14 + 28 + 14 + 3, (
        "the small image; the rest of row 0, row 1, of row 2, and three pixels"
    )


def test_chances_of_the_classes_are_those_that_completions_are_drawn_from(conditional) -> None:
    known = occlusion("lower-half", 28, 28).numpy()
    known[3, 5] = False  # so the first three rows and a bit are all that counts
    model, coded = conditional.model, conditional.model.code(load("mnist").batch("test", slice(4, 5)))
    chances = completion_draw.class_chances(conditional, coded[0], known)
    nll = torch.stack([model._pixel_nll(coded, torch.tensor([y])).flatten()[: 3 * 28 + 5].sum() for y in range(3)])
    assert torch.allclose(chances, nll.neg().softmax(0).double(), atol=1e-5)
    assert chances.max() > 0.4, "the classes differ"
    n = 600
    drawn = model._completion_labels(
        torch.where(torch.from_numpy(known), coded, 0).repeat(n, 1, 1, 1), torch.from_numpy(known), None, 1, n, 7
    )
    frequencies = drawn.bincount(minlength=3) / n
    assert torch.allclose(frequencies.double(), chances, atol=0.08)
    nothing = completion_draw.class_chances(conditional, coded[0], occlusion("everything", 28, 28).numpy())
    assert torch.allclose(nothing, torch.full((3,), 1 / 3, dtype=torch.float64)), "nothing known: all equally likely"


def test_predictions_are_kept_apart_by_the_class(conditional) -> None:
    coded = conditional.model.code(load("mnist").batch("test", slice(4, 5)))[0]
    seen = [completion_draw.predict(replace(conditional, label=label), coded) for label in (None, 0, 1)]
    for label, p in zip((None, 0, 1), seen, strict=True):
        assert torch.equal(p, conditional.model.pixel_distribution(coded[None], label=label)[0])
    assert not torch.equal(seen[1], seen[2])


def test_memory_is_kept_apart_by_every_input(settings, conditional) -> None:
    picture = load("mnist").images("test")[0, 0].numpy()
    known = occlusion("lower-half", 28, 28).numpy()
    newer = replace(settings.chosen[0], version=2.0)
    variants = [
        settings,
        *(
            replace(settings, **change)
            for change in ({"seed": 6}, {"n": 2}, {"temperature": 0.5}, {"chosen": (newer,)})
        ),
        *(replace(settings, chosen=(replace(conditional, label=label),)) for label in (None, 0, 1)),
    ]
    for variant in variants:
        completion_draw.complete(variant, picture, known, [ignore])
    completion_draw.complete(settings, 255 - picture, known, [ignore])
    completion_draw.complete(settings, picture, ~known, [ignore])
    assert len(completion_draw._drawn._items) == len(variants) + 2


def test_bars_of_a_pixel_are_as_high_as_its_chances() -> None:
    p, drawn_from = np.array([[0.25, 0.75]]), np.array([[0.1, 0.9]])
    found = completion_inside.value_bars(p, drawn_from)
    assert re.findall(r"height:([\d.]+)%", found) == ["25.0", "10.0", "75.0", "90.0"]
    assert found.index("no ink</span>") < found.index(">ink</span>")
    assert re.findall(r"height:([\d.]+)%", completion_inside.value_bars(p, None)) == ["25.0", "75.0"]
