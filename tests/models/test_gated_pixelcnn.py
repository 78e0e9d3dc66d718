"""Gated PixelCNN: what a pixel sees, what the gates compute, what a class does. What it shares with its family is tested in
`test_autoregressive`.
"""

import math
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from naive import naive_complete, naive_sample
from plain_optimizers import train
from torch import Tensor

from genlib.data import load
from genlib.errors import GenlibError
from genlib.layers.gated import GatedLayer, gate
from genlib.layers.masked import causal_mask
from genlib.models import count_parameters
from genlib.models.gated_pixelcnn import GatedPixelCNN


def network(channels: int = 1, height: int = 5, width: int = 6, seed: int = 0, **values: Any) -> GatedPixelCNN:
    values = {"hidden": 4, "layers": 3, "head": 6, "first_kernel": 3, **values}
    return GatedPixelCNN.from_config(GatedPixelCNN.configure(None, (channels, height, width), **values), seed)


def widen(model: GatedPixelCNN, factor: float = 2.0) -> GatedPixelCNN:
    """Float64, and weights so large that pixels and classes matter much."""
    model = model.double()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(factor)
    return model


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- what a pixel sees ------------------------------------------------------------------------------------------------


def seen(model: GatedPixelCNN, row: int, column: int, channel: int = 0) -> Tensor:
    """[C, H, W]: where the input changes the logits of a sub-pixel, by gradient.

    All weights and inputs are positive, in float64, so no two paths cancel; and small, so no gate is saturated.
    """
    model = model.double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.02 + 0.03 * noise(*p.shape))
    x = (noise(1, *model.config.shape) + 0.1).requires_grad_()
    model(x)[0, channel, ..., row, column].sum().backward()
    assert x.grad is not None
    return x.grad[0] != 0


def earlier(height: int, width: int, row: int, column: int) -> Tensor:
    """[H, W]: the pixels before this one in raster order."""
    order = torch.arange(height * width).view(height, width)
    return order < order[row, column]


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 27), (1, 0), (14, 10), (13, 27), (27, 0), (27, 27)])
def test_a_deep_network_sees_every_earlier_pixel_and_no_other(row: int, column: int) -> None:
    model = network(1, 28, 28, hidden=1, head=1, layers=13, kernel=5, first_kernel=7)
    field = seen(model, row, column)[0]
    assert torch.equal(field, earlier(28, 28, row, column))
    if (row, column) == (14, 10):
        assert int(field.sum()) == 402


@pytest.mark.parametrize(("row", "column"), [(0, 5), (6, 6), (10, 3), (10, 12)])
@pytest.mark.parametrize(("kernel", "first_kernel"), [(3, 3), (3, 7), (5, 3)])
def test_a_shift_in_every_layer_brings_the_blind_spot_back(
    kernel: int, first_kernel: int, row: int, column: int
) -> None:
    """i rows up there are at most i layers, so at most k1 // 2 + (i - 1) (k // 2) columns to the right."""
    values = {"hidden": 1, "head": 1, "layers": 13, "kernel": kernel, "first_kernel": first_kernel}
    expected = earlier(11, 13, row, column)
    blind = 0
    for r, c in product(range(row), range(13)):
        if c - column > first_kernel // 2 + (row - r - 1) * (kernel // 2):
            expected[r, c] = False
            blind += 1
    assert torch.equal(seen(network(1, 11, 13, shift="every", **values), row, column)[0], expected)
    assert torch.equal(seen(network(1, 11, 13, **values), row, column)[0], earlier(11, 13, row, column))
    if (row, column, kernel, first_kernel) == (10, 3, 3, 3):
        assert blind == 36  # 8 + 7 + .. + 1: as in the first PixelCNN


def test_a_shallow_network_sees_what_its_kernels_reach() -> None:
    """One layer with a 5x5 kernel: three rows of five above, for the shift moves all three up, and two to the left."""
    field = seen(network(1, 9, 9, layers=1, first_kernel=5), 5, 4)[0]
    expected = torch.zeros(9, 9, dtype=torch.bool)
    expected[2:5, 2:7] = True
    expected[5, 2:4] = True
    assert torch.equal(field, expected)


@pytest.mark.parametrize("levels", [2, 3])
def test_colours_follow_one_another_within_a_pixel(levels: int) -> None:
    model = network(3, 5, 6, levels=levels, layers=7)
    for channel in range(3):
        field = seen(model, 2, 1, channel)
        assert field[:, 2, 1].tolist() == [c < channel for c in range(3)]
        field[:, 2, 1] = False
        assert torch.equal(field, earlier(5, 6, 2, 1).expand(3, -1, -1))


# --- what the network computes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("term", [None, (2, 12), (2, 12, 3, 2)])
@pytest.mark.parametrize("summands", [1, 2])
def test_the_gate_and_its_gradients(groups: int, term: tuple[int, ...] | None, summands: int) -> None:
    maps = [noise(2, 12, 3, 2, seed=i).sub(0.5).mul(6).requires_grad_() for i in range(summands)]
    told = None if term is None else noise(*term, seed=9).sub(0.5).requires_grad_()
    whole = sum(maps) + (0 if told is None else told.view(*told.shape, *[1] * (4 - told.ndim)))
    f, g = whole.unflatten(1, (groups, 2, -1)).unbind(2)  # type: ignore[union-attr]
    torch.testing.assert_close(gate(groups, told, *maps), (f.tanh() * g.sigmoid()).flatten(1, 2))
    inputs = maps if told is None else [told, *maps]
    assert torch.autograd.gradcheck(
        lambda *x: gate(groups, None if told is None else x[0], *x[-summands:]), inputs, fast_mode=True
    )


def plain(model: GatedPixelCNN, x: Tensor, labels: Tensor | None) -> Tensor:
    """The logits by the paper's words: whole n x n and 1 x n kernels times masks, V^T h by picking columns, tanh, sigmoid."""
    groups, vertical, horizontal = model.config.channels, x, x

    def gated(s: Tensor, groups: int) -> Tensor:
        f, g = s.unflatten(1, (groups, 2, -1)).unbind(2)
        return (f.tanh() * g.sigmoid()).flatten(1, 2)

    for layer in model.stacks.layers:
        assert isinstance(layer, GatedLayer)
        reach, maps = layer.horizontal.reach, 2 * layer.width
        whole = F.pad(layer.vertical.weight, (0, 0, 0, reach))  # [2p, in, n, n], zero below the middle
        found = F.conv2d(vertical, whole, layer.vertical.bias, padding=reach)
        if layer.first:  # all maps down by a row, so that a row knows those above it only
            above = F.conv2d(torch.zeros_like(x), whole, layer.vertical.bias, padding=reach)[:, :, :1]
            found = torch.cat([above, found[:, :, :-1]], 2)
        weight = F.pad(layer.horizontal.weight, (0, reach))  # [2p, in, 1, n]
        mask = causal_mask("A" if layer.first else "B", *weight.shape[:2], 2 * reach + 1, groups)
        across = F.conv2d(found, layer.across.weight, layer.across.bias)
        s = across + F.conv2d(horizontal, weight * mask[:, :, reach : reach + 1], padding=(0, reach))
        if labels is not None:
            assert layer.condition is not None
            told = layer.condition.weight.t()[labels][:, :, None, None]  # V^T h for a one-hot h: a column of V^T
            s = s + told[:, -maps:]
            found = found if layer.last else found + told[:, :maps]
        y = F.conv2d(gated(s, groups), layer.out.weight * layer.out.mask, layer.out.bias)
        horizontal = y if layer.first else horizontal + y
        vertical = gated(found, 1)
    for layer in (model.stacks.head, model.stacks.logits):
        horizontal = F.conv2d(horizontal.relu(), layer.weight * layer.mask, layer.bias)
    return horizontal if model.config.levels == 2 else horizontal.unflatten(1, (groups, -1))


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 4), (3, 2), (3, 4)])
@pytest.mark.parametrize("classes", [0, 4])
def test_the_network_is_the_one_of_the_paper(classes: int, channels: int, levels: int) -> None:
    model = widen(network(channels, classes=classes, levels=levels, first_kernel=5))
    x = model.code(noise(4, channels, 5, 6))
    labels = torch.tensor([2, 0, 3, 2]) if classes else None
    torch.testing.assert_close(model(x, labels), plain(model, x, labels))


def test_stored_weights() -> None:
    model = GatedPixelCNN.from_config(GatedPixelCNN.configure("tutorial"))
    p, k, head, told = 24, 6, 64, 10
    first = 2 * p * (5 * 9 + 1) + 2 * p * 5
    later = 2 * p * (p * k + 1) + 2 * p * p * 2
    always = 2 * p * (2 * p + 1) + p * (p + 1)
    classes = 6 * 4 * p * told + 2 * p * told
    end = head * (p + 1) + head + 1
    assert count_parameters(model) == first + 6 * later + 7 * always + classes + end == 86_601


@pytest.mark.parametrize("preset", [name for name in GatedPixelCNN.presets if name != "paper"])
def test_a_fresh_network_knows_nothing(preset: str) -> None:
    model = GatedPixelCNN.from_config(GatedPixelCNN.configure(preset))
    nll = -model.log_prob(load("mnist").batch("test", slice(4))).mean().item()
    assert nll == pytest.approx(784 * math.log(2), rel=0.07)


# --- what the class does ----------------------------------------------------------------------------------------------


def test_the_class_speaks_alike_everywhere_or_by_place() -> None:
    """The pixels of an empty image, away from its borders, differ only if the class says so."""
    empty = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    middle = (..., slice(6, 10), slice(6, 10))
    everywhere = widen(network(1, 16, 16, classes=3))(empty, torch.tensor([1]))[middle]
    torch.testing.assert_close(everywhere, everywhere[..., :1, :1].expand_as(everywhere))
    placed = widen(network(1, 16, 16, classes=3, location=True))
    logits = [placed(empty, torch.tensor([y]))[middle] for y in range(2)]
    assert (logits[0] - logits[0][..., :1, :1]).abs().max() > 1e-3
    change = logits[1] - logits[0]
    assert (change - change[..., :1, :1]).abs().max() > 1e-3


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 6), (3, 4, 3)])
def test_the_map_has_the_size_of_the_image(shape: tuple[int, int, int]) -> None:
    model = network(*shape, classes=3, location=True)
    assert model.condition(torch.tensor([0, 2])).shape == (2, 8, *shape[1:])  # type: ignore[union-attr]


PLACED: list[dict[str, Any]] = [
    {"classes": 3, "location": True},
    {"classes": 3, "shift": "every"},
    {"location": True, "classes": 2, "shift": "every", "kernel": 5, "layers": 2},
    {"layers": 1, "classes": 2},
]


@pytest.mark.parametrize("values", PLACED)
@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (3, 3)])
def test_the_cached_sampler_draws_what_the_naive_one_draws(values: dict[str, Any], channels: int, levels: int) -> None:
    """What the tests over the catalogue do not vary: a map, shifts, one layer only."""
    model = widen(network(channels, levels=levels, **values))
    labels = torch.arange(5) % model.classes
    assert torch.equal(model.sample(5, seed=3, label=labels), naive_sample(model, 5, labels=labels, seed=3))
    known = torch.ones(5, 6, dtype=torch.bool)
    known[1, 2:4] = known[3, :2] = known[4] = False
    images = noise(2, channels, 5, 6)
    cached = model.complete(images, known, 2, seed=8, label=labels[:2])
    assert torch.equal(cached, naive_complete(model, images, known, 2, labels=labels[:2].repeat_interleave(2), seed=8))


@pytest.mark.parametrize("values", [{"shift": "every"}, {"classes": 2, "location": True}])
def test_the_probabilities_of_all_images_add_up_to_one(values: dict[str, Any]) -> None:
    model = widen(network(1, 3, 3, **values), 3.0)
    images = torch.tensor(list(product((0.0, 1.0), repeat=9)), dtype=torch.float64).view(-1, 1, 3, 3)
    log_prob = model.log_prob(images)
    assert log_prob.std() > 0.2
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-6)


# --- learning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("location", [False, True])
def test_a_class_that_decides_the_picture_is_all_it_takes(location: bool) -> None:
    images = (noise(4, 1, 6, 6, seed=1) < 0.5).float()
    model = network(1, 6, 6, classes=4, location=location, hidden=12, head=16, learning_rate=2e-2)
    labels = torch.arange(4)
    assert train(model, images, 100, labels).keys() == GatedPixelCNN.terms.keys()
    assert -model.log_prob(images, label=labels).mean().item() < 0.3
    assert -model.log_prob(images).mean().item() == pytest.approx(math.log(4), abs=0.3)
    for y in range(4):
        assert torch.equal(model.sample(2, label=y, temperature=0), images[y].expand(2, -1, -1, -1))


def test_half_precision_trains_and_stays_out_of_the_likelihood() -> None:
    model = network(1, 8, 8, classes=3, location=True, hidden=16)
    images, labels = noise(8, 1, 8, 8).float(), torch.arange(8) % 3
    full = model.validation_step(images, labels, model.generator(0))["nll"]
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = model._terms(model.code(images), labels)
        half = model.validation_step(images, labels, model.generator(0))["nll"]
        drawn = model.sample(2, label=1)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    torch.testing.assert_close(half, full, rtol=0.01, atol=0)
    assert torch.equal(drawn, model.sample(2, label=1))


# --- devices, bad input -----------------------------------------------------------------------------------------------


def test_tensors_are_made_on_the_device_of_the_model() -> None:
    model = network(3, classes=3, location=True, levels=4).to("meta")
    images = torch.empty(2, 3, 5, 6, device="meta")
    assert model.log_prob(images).shape == (2,)
    assert model.pixel_distribution(images).device.type == "meta"
    assert model.sample(3, label=1).device.type == "meta"


def test_bad_input_is_one_clear_sentence() -> None:
    with pytest.raises(GenlibError, match=r"location = True is not possible: .* set classes above 0\."):
        GatedPixelCNN.configure(None, location=True)
    model = network(classes=3)
    images = noise(2, 1, 5, 6).float()
    with pytest.raises(GenlibError, match="give a label for each image"):
        model(images)
    with pytest.raises(GenlibError, match="3 classes, but there is a label 7: raise classes"):
        model.validation_step(images, torch.tensor([0, 7]), model.generator(0))
    with pytest.raises(GenlibError, match="labels 0 to 2"):
        model.sample(1, label=3)
