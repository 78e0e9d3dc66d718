"""What every autoregressive model of the catalogue promises: no future, a likelihood that adds up, a cached sampler that
draws what the naive one draws. A model's own receptive field is tested in its own file.
"""

import math
from itertools import product
from typing import Any

import pytest
import torch
from naive import naive_complete, naive_sample
from small_models import small
from torch import Tensor

from genlib.errors import GenlibError
from genlib.models import get, names
from genlib.models.autoregressive import AutoregressiveModel, posterior_before

NAMES = [name for name in names() if issubclass(get(name), AutoregressiveModel)]
CONDITIONAL = [name for name in NAMES if "classes" in get(name).Config.model_fields]
BINARY, COLOUR = (1, 5, 6), (3, 4, 5)

# (model, config values): every model without classes, and with them where it can
VARIANTS: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in NAMES] + [
    (name, {"classes": 3}) for name in CONDITIONAL
]
IDS = [f"{name}{'-classes' if values else ''}" for name, values in VARIANTS]


def strong(name: str, shape: tuple[int, int, int], **values: Any) -> AutoregressiveModel:
    """A small model in float64 with weights large enough that pixels depend strongly on each other."""
    model = small(name, shape, seed=1, **values).double()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2.0)
    assert isinstance(model, AutoregressiveModel)
    return model


def labels_of(model: AutoregressiveModel, n: int) -> Tensor | None:
    return torch.arange(n) % model.classes if model.classes else None


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- what a sub-pixel sees --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [BINARY, COLOUR])
@pytest.mark.parametrize(("name", "values"), VARIANTS, ids=IDS)
def test_nothing_comes_from_the_future(name: str, values: dict[str, Any], shape: tuple[int, int, int]) -> None:
    """The outputs of a sub-pixel do not move by a bit when any sub-pixel at or after it changes."""
    model = strong(name, shape, **({} if shape == BINARY else {"levels": 3}), **values)
    channels, height, width = shape
    x = model.code(noise(1, *shape))
    with torch.no_grad():
        before = model.level_log_probs(model(x, labels_of(model, 1)), x)
        moved = 0
        order = model.order()
        assert sorted(order.flatten().tolist()) == list(range(order.numel()))
        for row, column in product(range(height), range(width)):
            for channel in range(channels):
                y = x.clone()
                y[0, channel, row, column] = 1 - y[0, channel, row, column] if y[0, channel, row, column] != 0.5 else 0
                after = model.level_log_probs(model(y, labels_of(model, 1)), y)
                changed = (after - before).abs().amax(2)[0] > 1e-12  # [C, H, W]
                moved += int(changed.sum())
                assert not changed[order <= order[channel, row, column]].any(), (channel, row, column)
    assert moved > channels * height * width  # and the past is looked at


# --- likelihood -------------------------------------------------------------------------------------------------------


def every_image(shape: tuple[int, int, int], levels: int) -> Tensor:
    values = torch.tensor(list(product(range(levels), repeat=math.prod(shape))), dtype=torch.float64)
    return values.view(-1, *shape) / (levels - 1)


@pytest.mark.parametrize(("shape", "levels"), [((1, 3, 3), 2), ((1, 2, 5), 2), ((3, 2, 1), 3), ((3, 1, 2), 3)])
@pytest.mark.parametrize(("name", "values"), VARIANTS, ids=IDS)
def test_the_probabilities_of_all_images_add_up_to_one(
    name: str, values: dict[str, Any], shape: tuple[int, int, int], levels: int
) -> None:
    model = strong(name, shape, levels=levels, **values)
    log_prob = model.log_prob(every_image(shape, levels))
    assert log_prob.std() > 0.2  # far from uniform, where a sum of one would prove nothing
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("shape", [BINARY, COLOUR])
@pytest.mark.parametrize(("name", "values"), VARIANTS, ids=IDS)
def test_the_pixel_distribution_is_the_likelihood_pixel_by_pixel(
    name: str, values: dict[str, Any], shape: tuple[int, int, int]
) -> None:
    levels = 2 if shape == BINARY else 4
    model = strong(name, shape, levels=levels, **values)
    images = noise(4, *shape)
    p = model.pixel_distribution(images)
    torch.testing.assert_close(p.sum(2), torch.ones(4, *shape, dtype=torch.float64))
    of_truth = p.gather(2, model.values(model.code(images))[:, :, None]).log().sum((1, 2, 3, 4))
    torch.testing.assert_close(of_truth, model.log_prob(images))


@pytest.mark.parametrize("name", CONDITIONAL)
def test_without_a_label_the_likelihood_is_the_marginal(name: str) -> None:
    model = strong(name, BINARY, classes=3)
    images = noise(5, *BINARY).round()
    given = torch.stack([model.log_prob(images, label=y) for y in range(3)])
    assert (given[0] - given[1]).abs().max() > 1e-3  # the class matters
    torch.testing.assert_close(model.log_prob(images), given.logsumexp(0) - math.log(3))
    mixed = torch.tensor([0, 2, 1, 1, 0])
    torch.testing.assert_close(model.log_prob(images, label=mixed), given[mixed, torch.arange(5)])


def test_the_posterior_before_a_pixel_knows_only_what_is_before_it() -> None:
    nll = noise(3, 2, 2, 3, 4)
    weights = posterior_before(nll)
    torch.testing.assert_close(weights.sum(0), torch.ones(2, 2, 3, 4, dtype=torch.float64))
    torch.testing.assert_close(weights[:, :, 0, 0, 0], torch.full((3, 2), 1 / 3, dtype=torch.float64))
    seen = nll[:, :, :, 0].sum((2, 3)) + nll[:, :, 0, 1, 0]  # the first row, and red of the second row's first pixel
    torch.testing.assert_close(weights[:, :, 1, 1, 0], seen.neg().softmax(0))


# --- drawing ----------------------------------------------------------------------------------------------------------

MASKS = {
    "nothing": ["......", "......", "......", "......", "......"],
    "lower half": ["######", "######", "......", "......", "......"],
    "odd": [".##..#", "######", "#.####", "######", "##.##."],
}


@pytest.mark.parametrize(("shape", "levels"), [(BINARY, 2), (COLOUR, 2), (COLOUR, 4)])
@pytest.mark.parametrize(("name", "values"), VARIANTS, ids=IDS)
def test_the_cached_sampler_draws_what_the_naive_one_draws(
    name: str, values: dict[str, Any], shape: tuple[int, int, int], levels: int
) -> None:
    model = strong(name, shape, levels=levels, **values)
    labels = labels_of(model, 5)
    cached = model.sample(5, seed=3, label=labels, temperature=0.8)
    assert torch.equal(cached, naive_sample(model, 5, labels=labels, seed=3, temperature=0.8))
    assert 0 < cached.mean() < 1
    assert torch.equal(
        model.sample(2, seed=3, label=None if labels is None else labels[:2], temperature=0.8), cached[:2]
    )


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("shape", "levels"), [(BINARY, 2), ((3, 5, 6), 3)])
@pytest.mark.parametrize(("name", "values"), VARIANTS, ids=IDS)
def test_cached_completions_are_the_naive_ones(
    name: str, values: dict[str, Any], shape: tuple[int, int, int], levels: int, mask: str
) -> None:
    model = strong(name, shape, levels=levels, **values)
    known = torch.tensor([[pixel == "#" for pixel in row] for row in MASKS[mask]])
    images = noise(2, *shape, seed=5)
    label = labels_of(model, 2)
    labels = None if label is None else label.repeat_interleave(3)
    cached = model.complete(images, known, 3, seed=8, label=label)
    assert torch.equal(cached, naive_complete(model, images, known, 3, labels=labels, seed=8))
    rows = list(model.complete_rows(images, known, 3, seed=8, label=label))
    assert torch.equal(rows[-1][1], cached)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_labels_are_drawn_where_none_is_given(name: str) -> None:
    model = strong(name, BINARY, classes=3)
    drawn = model.sample(12, seed=5)
    assert torch.equal(drawn, model.sample(12, seed=5))
    assert torch.equal(drawn[:4], model.sample(4, seed=5))
    fixed = [model.sample(12, seed=5, label=y) for y in range(3)]
    origin = [[bool(torch.equal(image, of[i])) for of in fixed] for i, image in enumerate(drawn)]
    assert all(any(row) for row in origin)  # each picture is one that its class gives
    assert not all(row[0] for row in origin)
    for wrong in (3, -1):
        with pytest.raises(GenlibError, match="labels 0 to 2"):
            model.sample(1, label=wrong)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_completion_draws_its_class_from_what_raster_order_has_seen(name: str) -> None:
    """With the whole upper part known, classes come with their posterior frequencies."""
    model = strong(name, BINARY, classes=3)
    known = torch.ones(BINARY[1:], dtype=torch.bool)
    known[4, 3:] = False
    image = noise(1, *BINARY, seed=3).round()
    chances = model._completion_labels(image.repeat_interleave(4000, 0), known, None, 1, 4000, seed=0)
    assert chances is not None
    posterior = model._per_class(image).flatten(3)[..., : 4 * 6 + 3].sum((2, 3)).neg().softmax(0)[:, 0]
    torch.testing.assert_close(chances.bincount(minlength=3) / 4000.0, posterior.float(), atol=0.03, rtol=0)
