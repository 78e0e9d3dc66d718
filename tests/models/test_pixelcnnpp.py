"""PixelCNN++: what it sees, its dropout and its start, what it learns. What every autoregressive model promises is tested
in `test_autoregressive`, the mixture in `tests/layers/test_logistic`.
"""

import math
from typing import Any

import pytest
import torch
from naive import naive_complete, naive_sample
from plain_optimizers import PlainOptimizers, train
from torch import Tensor

from genlib.data import load
from genlib.errors import GenlibError
from genlib.models import count_parameters
from genlib.models.pixelcnnpp import DecayingAdam, PixelCNNPP


def network(channels: int = 1, height: int = 8, width: int = 8, seed: int = 0, **values: Any) -> PixelCNNPP:
    small = {"filters": 4, "filters_half": 5, "filters_quarter": 6, "blocks_quarter": 1, "mixtures": 2}
    return PixelCNNPP.from_config(PixelCNNPP.configure(None, (channels, height, width), **{**small, **values}), seed)


def strong(**values: Any) -> PixelCNNPP:
    """In float64, with weights large enough that pixels depend strongly on each other."""
    model = network(**values).double().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2)
    return model


def binary(*shape: int, seed: int = 0) -> Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.5).float()


# --- what a pixel sees ------------------------------------------------------------------------------------------------

PLACES = [(0, 0), (0, 7), (4, 0), (4, 4), (5, 6), (7, 3), (8, 8)]


def seen(model: PixelCNNPP, row: int, column: int) -> Tensor:
    """[C, H, W]: where the input changes the mixture of a pixel, by gradient."""
    x = torch.rand(1, *model.config.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    outputs = model(x)[0, :, row, column]
    (gradient,) = torch.autograd.grad((outputs * torch.linspace(1, 2, len(outputs))).sum(), x)
    return gradient[0] != 0


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_sees_all_the_past_and_nothing_else(channels: int, place: tuple[int, int]) -> None:
    """All channels of all earlier pixels; those of its own pixel come in through the mixture alone."""
    field = seen(strong(channels=channels, height=9, width=9, blocks=1, blocks_quarter=2), *place)
    expected = torch.tensor([[(r, c) < place for c in range(9)] for r in range(9)])
    assert torch.equal(field, expected.expand(channels, -1, -1))


@pytest.mark.parametrize("place", PLACES)
def test_without_short_cuts_a_square_knows_what_is_before_its_first_pixel(place: tuple[int, int]) -> None:
    field = seen(strong(height=9, width=9, blocks=1, blocks_quarter=2, shortcuts=False), *place)[0]
    first = place[0] // 4 * 4, place[1] // 4 * 4
    assert torch.equal(field, torch.tensor([[(r, c) < first for c in range(9)] for r in range(9)]))


def test_colours_follow_one_another_within_a_pixel() -> None:
    model = strong(channels=3, height=3, width=3, levels=4)
    x = model.code(torch.rand(1, 3, 3, 3, dtype=torch.float64))
    before = model.level_log_probs(model(x), x)[0, :, :, 1, 1]
    for channel in range(3):
        y = x.clone()
        y[0, channel, 1, 1] = (y[0, channel, 1, 1] + 1 / 3) % (4 / 3)
        after = model.level_log_probs(model(y), y)[0, :, :, 1, 1]
        assert [bool((a != b).any()) for a, b in zip(after, before, strict=True)] == [c > channel for c in range(3)]


# --- drawing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ((1, 7, 5), {"blocks": 1, "blocks_half": 1, "weight_norm": True, "levels": 64}),
        ((1, 6, 6), {"blocks_quarter": 0, "shortcuts": False}),
        ((2, 2, 5), {"mixtures": 1, "levels": 16}),
        ((1, 1, 3), {"classes": 2}),
    ],
)
def test_the_cached_sampler_draws_what_the_naive_one_draws(shape: tuple[int, int, int], values: dict[str, Any]) -> None:
    channels, height, width = shape
    model = strong(channels=channels, height=height, width=width, **values)
    labels = torch.tensor([0, 1, 1]) if model.classes else None
    assert torch.equal(model.sample(3, seed=1, label=labels), naive_sample(model, 3, labels=labels, seed=1))
    known = torch.rand(height, width, generator=torch.Generator().manual_seed(2)) < 0.6
    known[: height // 2] = True  # whole rows, then pixels here and there
    images = torch.rand(3, *shape, dtype=torch.float64)
    drawn = model.complete(images, known, 1, seed=4, label=labels)
    assert torch.equal(drawn, naive_complete(model, images, known, 1, labels=labels, seed=4))


# --- likelihood -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["tutorial", "quick", "no-shortcuts"])
def test_a_fresh_network_knows_nothing(preset: str) -> None:
    model = PixelCNNPP.from_config(PixelCNNPP.configure(preset))
    nll = -model.log_prob(load("mnist").batch("test", slice(4))).mean().item()
    assert nll == pytest.approx(784 * math.log(2), rel=0.07)


@pytest.mark.parametrize("levels", [2, 4])
def test_the_likeliest_value_is_that_of_the_distribution(levels: int) -> None:
    model = strong(channels=3, height=4, width=4, levels=levels)
    x = model.code(torch.rand(5, 3, 4, 4, dtype=torch.float64))
    outputs = torch.randn(5, 20, 4, 4, dtype=torch.float64)
    assert torch.equal(model.likeliest(outputs, x), model.level_log_probs(outputs, x).argmax(2))


def test_half_precision_stays_in_the_network() -> None:
    model = network(filters=16).eval()
    images, labels = binary(8, 1, 8, 8), torch.zeros(8, dtype=torch.long)
    full = model.validation_step(images, labels, model.generator(0))["nll"]
    with torch.autocast("cpu", torch.bfloat16):
        assert model(images).dtype == torch.bfloat16
        half = model.validation_step(images, labels, model.generator(0))["nll"]
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=0.01, atol=0)


# --- training ---------------------------------------------------------------------------------------------------------


def weights_after(model: PixelCNNPP, steps: int = 2, seed: int = 0) -> Tensor:
    optimizers = PlainOptimizers(model.train(), seed)
    for _ in range(steps):
        model.training_step(binary(6, 1, 8, 8), torch.zeros(6, dtype=torch.long), optimizers)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_dropout_depends_on_the_steps_seed_alone() -> None:
    torch.manual_seed(0)
    first = weights_after(network(dropout=0.5), seed=3)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert torch.equal(weights_after(network(dropout=0.5), seed=3), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(weights_after(network(dropout=0.5), seed=4), first)
    assert not torch.equal(weights_after(network(), seed=3), first)


def test_dropout_is_for_training_only() -> None:
    model = network(dropout=0.5)
    x = binary(4, 1, 8, 8)
    outputs = model.eval()(x)
    assert torch.equal(model(x), outputs)
    model.train()
    assert not torch.equal(model(x), outputs)
    assert torch.equal(model.validation_step(x, torch.zeros(4), model.generator(0))["nll"], -model.log_prob(x).mean())
    plain = network()  # without dropout the mode does not matter
    assert torch.equal(plain.train()(x), plain.eval()(x))


def test_normalised_weights_start_from_the_first_batch_and_only_from_it() -> None:
    model = network(weight_norm=True)
    images, labels = binary(16, 1, 8, 8), torch.zeros(16, dtype=torch.long)
    with torch.no_grad():
        model._start(images, labels)
        outputs = model(images)
    assert bool(model.started)
    variance, mean = torch.var_mean(outputs, (0, 2, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
    torch.testing.assert_close(variance, torch.ones_like(mean), atol=1e-3, rtol=0)
    copy = network(weight_norm=True, seed=1)
    copy.load_state_dict(model.state_dict())  # a resumed run knows that it has started
    for of in (model, copy):
        optimizers = PlainOptimizers(of.train(), 0)
        of.training_step(1 - images, labels, optimizers)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), copy.parameters(), strict=True))


def test_the_step_size_decays_whoever_sets_it() -> None:
    ends = []
    for decaying in (True, False):
        p = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        optimizer = DecayingAdam([p], 0.1, 0.9) if decaying else torch.optim.Adam([p], 0.1)
        for step in range(5):
            optimizer.param_groups[0]["lr"] = 0.1 if decaying else 0.1 * 0.9**step
            optimizer.zero_grad()
            p.square().sum().backward()
            optimizer.step()
        ends.append(p.detach().clone())
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 if decaying else 0.1 * 0.9**4)
    torch.testing.assert_close(*ends)


def test_it_learns_a_batch_by_heart() -> None:
    """Four equally frequent images have ln 4 = 1.39 nats; pixels on their own would cost over 20."""
    images = torch.zeros(4, 1, 6, 6)
    images[0, 0, :, 0] = images[1, 0, 1] = images[2, 0, :, 1] = images[3, 0, 2] = 1
    model = network(height=6, width=6, filters=8, filters_half=8, filters_quarter=8, learning_rate=1e-2)
    terms = train(model, images, steps=120)
    assert terms.keys() == PixelCNNPP.terms.keys()
    assert terms["accuracy"] > 0.96
    assert math.log(4) - 1e-3 < -model.eval().log_prob(images).mean().item() < 3


def test_colours_levels_and_classes_are_learnt() -> None:
    images = torch.stack([torch.full((3, 4, 4), v) for v in (0.0, 0.5, 1.0)])
    images[1, 0] = 1.0
    model = network(3, 4, 4, levels=3, classes=3, mixtures=3, filters=8, learning_rate=1e-2)
    train(model, images, steps=60, labels=torch.arange(3))
    nll = -model.eval().log_prob(images, label=torch.arange(3)).mean().item()
    assert nll < 2  # the class tells all; 48 sub-pixels on their own: over 40
    drawn = torch.cat([model.sample(1, seed=0, label=y, temperature=0) for y in range(3)])
    assert torch.equal(drawn, images)


def test_with_many_levels_a_step_counts_the_accuracy_of_the_first_images() -> None:
    model = network(levels=256, mixtures=10, height=28, width=28).train()
    coded = model.code(torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    labels = torch.zeros(4, dtype=torch.long)
    with torch.no_grad():
        _, right = model._terms(coded, labels)
        _, of_two = model.eval()._terms(coded[:2], labels[:2])
    assert torch.equal(right, of_two)


def test_the_papers_network() -> None:
    with torch.device("meta"):
        model = PixelCNNPP.from_config(PixelCNNPP.configure("paper", (3, 32, 32)))
        assert count_parameters(model) == 53_659_080
        assert model(torch.empty(2, 3, 32, 32)).shape == (2, 100, 32, 32)


def test_labels_that_do_not_fit_are_one_sentence() -> None:
    model = network(classes=3)
    images = binary(4, 1, 8, 8)
    with pytest.raises(GenlibError, match="label 3: raise classes"):
        model.training_step(images, torch.arange(4), PlainOptimizers(model))
    with pytest.raises(GenlibError, match="give a label for each image"):
        model(images)
