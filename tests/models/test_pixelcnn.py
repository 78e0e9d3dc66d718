"""PixelCNN: what it may see, what its probabilities add up to, what it learns."""

import math
from itertools import product

import pytest
import torch
from plain_optimizers import train
from torch import Tensor

from genlib.data import load
from genlib.data.codings import to_levels
from genlib.errors import GenlibError
from genlib.models import count_parameters
from genlib.models.pixelcnn import PixelCNN


def network(channels: int = 1, height: int = 5, width: int = 5, seed: int = 0, **values) -> PixelCNN:
    values = {"hidden": 6, "blocks": 2, "head": 6, "first_kernel": 3, **values}
    return PixelCNN.from_config(PixelCNN.configure(None, (channels, height, width), **values), seed)


def widen(model: PixelCNN, factor: float = 3.0) -> PixelCNN:
    """Larger weights, so that the probabilities are far from uniform and depend strongly on other pixels."""
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(factor)
    return model


@pytest.mark.parametrize(("preset", "count"), [("tutorial", 532_673), ("small", 18_673)])
def test_stored_weights(preset, count):
    assert count_parameters(PixelCNN.from_config(PixelCNN.configure(preset))) == count


# --- what a pixel sees ------------------------------------------------------------------------------------------------


def seen(model: PixelCNN, row: int, column: int, channel: int = 0) -> Tensor:
    """[C, H, W]: where the input changes the logits of a sub-pixel, by gradient.

    All weights and inputs are positive, in float64: no ReLU is shut and no two paths cancel; so the gradient differs from 0
    exactly where there is a path.
    """
    model = model.double()
    with torch.no_grad():
        for p in model.parameters():
            p.abs_().add_(0.01)
    x = (torch.rand(1, *model.config.shape, dtype=torch.float64) + 0.1).requires_grad_()
    logits = model(x)
    logits[0, channel, ..., row, column].sum().backward()
    assert x.grad is not None
    return x.grad[0] != 0


def reached(height: int, width: int, row: int, column: int, blocks: int, first_kernel: int) -> Tensor:
    """[H, W]: the pixels that have a path of taps to this one, by following the taps back from it."""
    field = {(row, column)}
    for _ in range(blocks):  # 3x3 mask B
        field |= {(r + dr, c + dc) for r, c in field for dr, dc in ((-1, -1), (-1, 0), (-1, 1), (0, -1))}
    reach = first_kernel // 2  # mask A
    taps = [(-dr, dc) for dr in range(1, reach + 1) for dc in range(-reach, reach + 1)] + [
        (0, -d) for d in range(1, reach + 1)
    ]
    field = {(r + dr, c + dc) for r, c in field for dr, dc in taps}
    result = torch.zeros(height, width, dtype=torch.bool)
    for r, c in field:
        if 0 <= r < height and 0 <= c < width:
            result[r, c] = True
    return result


PLACES = [(0, 0), (0, 5), (5, 0), (6, 6), (10, 3), (10, 12)]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("first_kernel", [3, 7])
@pytest.mark.parametrize("body", ["residual", "bottleneck", "plain"])
def test_the_receptive_field_is_what_the_taps_allow(body, first_kernel, place):
    model = network(1, 11, 13, body=body, blocks=3, first_kernel=first_kernel)
    assert torch.equal(seen(model, *place)[0], reached(11, 13, *place, blocks=3, first_kernel=first_kernel))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("body", "first_kernel"), [("residual", 3), ("residual", 7), ("plain", 5)])
def test_a_deep_network_sees_all_the_past_but_the_blind_spot(body, first_kernel, place):
    """i rows up, 3x3 layers on a first layer of reach R get at most R + i - 1 columns to the right, however deep."""
    row, column = place
    expected = torch.zeros(11, 13, dtype=torch.bool)
    blind = 0
    for r, c in product(range(11), range(13)):
        earlier = (r, c) < (row, column)
        hidden = c - column > first_kernel // 2 + (row - r) - 1
        expected[r, c] = earlier and not hidden
        blind += earlier and hidden
    field = seen(network(1, 11, 13, body=body, blocks=13, first_kernel=first_kernel), row, column)[0]
    assert torch.equal(field, expected)
    if place == (10, 3) and first_kernel == 3:
        assert blind == 36  # 8 + 7 + .. + 1: there is a blind spot to see


@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.parametrize("body", ["residual", "bottleneck", "plain"])
def test_colours_follow_one_another_within_a_pixel(body, levels):
    model = network(3, 5, 6, body=body, levels=levels, hidden=7, blocks=6)
    for channel in range(3):
        field = seen(model, 2, 1, channel)
        assert field[:, 2, 1].tolist() == [c < channel for c in range(3)]
        assert torch.equal(field.all(0), reached(5, 6, 2, 1, blocks=6, first_kernel=3))  # R, G and B of what is before
        others = field.clone()
        others[:, 2, 1] = False
        assert torch.equal(others.any(0), others.all(0))  # and of nothing else


def test_mask_b_in_the_first_layer_sees_itself():
    assert seen(network(first_mask="B"), 2, 2)[0, 2, 2]


# --- likelihood -------------------------------------------------------------------------------------------------------


def every_image(channels: int, height: int, width: int, levels: int) -> Tensor:
    """All images of a tiny shape, [levels ** (C H W), C, H, W] in [0, 1]."""
    values = torch.tensor(list(product(range(levels), repeat=channels * height * width)), dtype=torch.float32)
    return values.view(-1, channels, height, width) / (levels - 1)


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ((1, 3, 3), {}),
        ((1, 3, 4), {"body": "bottleneck"}),
        ((1, 4, 3), {"body": "plain"}),
        ((1, 2, 3), {"levels": 3}),
        ((1, 1, 2), {"levels": 16}),
        ((3, 1, 3), {}),
        ((3, 2, 1), {"levels": 3, "body": "bottleneck"}),
        ((3, 1, 2), {"levels": 3, "body": "plain"}),
        ((2, 2, 2), {}),
    ],
)
def test_the_probabilities_of_all_images_add_up_to_one(shape, values):
    model = widen(network(*shape, **values))
    images = every_image(*shape, values.get("levels", 2))
    log_prob = model.log_prob(images)
    assert log_prob.shape == (len(images),)
    assert log_prob.dtype == torch.float32
    assert log_prob.std() > 0.5  # far from uniform, where a sum of one would prove nothing
    assert log_prob.double().exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_a_leak_is_no_likelihood():
    model = widen(network(1, 3, 3, first_mask="B"))
    assert abs(model.log_prob(every_image(1, 3, 3, 2)).exp().sum().item() - 1) > 0.01


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 5), (3, 2), (3, 4)])
def test_the_pixel_distribution_is_the_likelihood_pixel_by_pixel(channels, levels):
    model = widen(network(channels, levels=levels))
    images = torch.rand(6, channels, 5, 5)
    p = model.pixel_distribution(images)
    assert p.shape == (6, channels, levels, 5, 5)
    torch.testing.assert_close(p.sum(2), torch.ones(6, channels, 5, 5))
    values = (model.code(images) * (levels - 1)).round().long()
    of_truth = p.gather(2, values[:, :, None]).log().sum((1, 2, 3, 4))
    torch.testing.assert_close(of_truth, model.log_prob(images), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("preset", PixelCNN.presets)
def test_a_fresh_network_knows_nothing(preset):
    model = PixelCNN.from_config(PixelCNN.configure(preset))
    nll = -model.log_prob(load("mnist").batch("test", slice(3))).mean().item()
    assert nll == pytest.approx(784 * math.log(model.config.levels), rel=0.07)


def test_likelihood_does_not_depend_on_the_company():
    model = widen(network())
    images = torch.rand(300, 1, 5, 5).round()  # more than one chunk
    torch.testing.assert_close(model.log_prob(images), torch.cat([model.log_prob(x[None]) for x in images]))


def test_256_ways_add_up_to_one():
    model = widen(network(3, 4, 4, levels=256)).double()
    with torch.no_grad():
        model.logits.weight.mul_(5)
    p = model.pixel_distribution(torch.rand(2, 3, 4, 4, dtype=torch.float64))
    assert p.shape == (2, 3, 256, 4, 4)
    assert p.amax(2).min() > 2 / 256  # far from uniform
    torch.testing.assert_close(p.sum(2), torch.ones(2, 3, 4, 4, dtype=torch.float64))


def test_a_pixel_of_256_levels_goes_red_green_blue():
    """p(R) p(G | R) p(B | R, G): red is the same whatever the pixel, green moves with red only, blue with both."""
    model = widen(network(3, 1, 1, levels=256, hidden=24, head=24)).double()  # so many that not all ReLUs are shut
    x = torch.rand(1, 3, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = model.pixel_distribution(x)[0]
    for channel in range(3):
        y = x.clone()
        y[:, channel] = 1 - y[:, channel]
        moved = (model.pixel_distribution(y)[0] - p).abs().amax((1, 2, 3)) > 1e-9
        assert moved.tolist() == [later > channel for later in range(3)]


@pytest.mark.parametrize("levels", [2, 256])
def test_no_more_logits_at_a_time_than_memory_should_hold(levels, monkeypatch):
    model = widen(network(3, levels=levels, hidden=3, head=3))
    images = torch.rand(9, 3, 5, 5)
    whole = model.log_prob(images), model.pixel_distribution(images)
    limit = 4 * 75 * levels + 1  # four images, of nine
    monkeypatch.setattr("genlib.models.autoregressive.CHUNK_LOGITS", limit)
    given = []
    model.register_forward_hook(lambda module, args, logits: given.append(logits.numel()))
    parts = model.log_prob(images), model.pixel_distribution(images)
    assert len(given) == 6
    assert max(given) <= limit
    torch.testing.assert_close(parts, whole)


# --- coding -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [2, 3, 4, 16, 100, 255, 256])
def test_coding_twice_is_coding_once(levels):
    model = network(levels=levels, hidden=2, head=2)
    coded = model.code(torch.rand(40, 1, 5, 5))
    assert torch.equal(model.code(coded), coded)
    assert coded.unique().numel() <= levels
    assert torch.equal(to_levels(torch.arange(levels) / (levels - 1), levels), torch.arange(levels))


@pytest.mark.parametrize("form", ["threshold", "dynamic", "static"])
def test_the_form_of_the_binary_images_is_kept(form):
    model = network(binarisation=form)
    images = torch.full((50, 1, 5, 5), 0.6)
    share = model.code(images).mean().item()
    assert share == 1 if form == "threshold" else 0.5 < share < 0.7
    assert torch.equal(model.log_prob(images), model.log_prob(images))  # drawn once, with the fixed seed
    draws = [model.code(images, torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    assert torch.equal(*draws) == (form == "threshold")


# --- learning ---------------------------------------------------------------------------------------------------------


def bars() -> Tensor:
    """Four images of one bar each, upright or lying, [4, 1, 6, 6]."""
    images = torch.zeros(4, 1, 6, 6)
    images[0, 0, :, 0] = images[1, 0, 1] = images[2, 0, :, 1] = images[3, 0, 2] = 1
    return images


@pytest.mark.parametrize("body", ["residual", "bottleneck", "plain"])
def test_it_learns_a_batch_by_heart(body):
    """Four equally frequent images have ln 4 = 1.39 nats; pixels on their own would cost their entropies."""
    images = bars()
    p = images.mean(0).clamp(1e-6, 1 - 1e-6)
    alone = -(p * p.log() + (1 - p) * (1 - p).log()).sum().item()
    model = network(1, 6, 6, body=body, hidden=16, head=16, learning_rate=1e-2)
    terms = train(model, images, steps=240)
    assert terms.keys() == PixelCNN.terms.keys()
    assert terms["accuracy"] > 0.96
    assert math.log(4) - 1e-3 < -model.log_prob(images).mean().item() < alone / 4
    # and then the beginning of a bar is completed to that bar, and what was seen of it stays
    known = torch.zeros(6, 6, dtype=torch.bool)
    known[:, :2] = True
    completed = model.complete(images[1:2], known, 5, seed=0, temperature=0)
    assert torch.equal(completed[0], images[1:2].expand(5, -1, -1, -1))


def test_colours_and_levels_are_learnt():
    images = torch.stack([torch.full((3, 4, 4), v) for v in (0.0, 0.5, 1.0)])
    images[1, 0] = 1.0
    model = network(3, 4, 4, levels=3, hidden=24, head=24, learning_rate=5e-3)
    train(model, images, steps=150)
    assert math.log(3) - 1e-3 < -model.log_prob(images).mean().item() < 3  # 48 sub-pixels on their own: over 40


def test_a_leak_is_learnt_at_once_and_draws_nothing():
    images = (torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5).float()  # chance: 44.4 nats
    model = network(1, 8, 8, first_mask="B", hidden=8, learning_rate=1e-2)
    assert train(model, images, steps=60)["nll"] < 2
    assert model.sample(32).mean() < 0.05  # nothing to copy: black, where half of the pixels should be white


def test_half_precision_stays_in_the_network():
    model = network(hidden=32, head=32)
    images = torch.rand(16, 1, 5, 5)
    labels = torch.zeros(16, dtype=torch.long)
    full = model.validation_step(images, labels, model.generator(0))["nll"]
    with torch.autocast("cpu", torch.bfloat16):
        assert model(images).dtype == torch.bfloat16
        half = model.validation_step(images, labels, model.generator(0))["nll"]
        exact = model.log_prob(images)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=0.01, atol=0)
    assert torch.equal(exact, model.log_prob(images))  # a likelihood is computed in full precision anywhere


# --- shapes, devices, bad input ---------------------------------------------------------------------------------------


def test_maps_are_rounded_up_to_whole_groups_for_colour():
    model = network(3, hidden=128, head=32)
    assert model.first.weight.shape[0] == 129
    assert model.blocks[0].masked.weight.shape[0] == 66
    assert model.head[0].weight.shape[0] == 33


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (3, 4)])
def test_tensors_are_made_on_the_device_of_the_model(channels, levels):
    model = network(channels, levels=levels).to("meta")
    images = torch.empty(2, channels, 5, 5, device="meta")
    known = torch.ones(5, 5, dtype=torch.bool)
    known[3, 2] = False
    assert model.log_prob(images).shape == (2,)
    assert model.pixel_distribution(images).device.type == "meta"
    assert model.sample(3).device.type == "meta"
    assert model.complete(images, known, 4).shape == (2, 4, channels, 5, 5)


def test_bad_input_is_one_clear_sentence():
    model = network()
    images, known = torch.rand(1, 1, 5, 5), torch.ones(5, 5, dtype=torch.bool)
    with pytest.raises(GenlibError, match="class labels"):
        model.sample(1, label=3)
    with pytest.raises(GenlibError, match="class labels"):
        model.log_prob(images, label=3)
    for wrong in (torch.rand(1, 1, 28, 28), torch.rand(1, 3, 5, 5), torch.rand(5, 5)):
        for ask in (model.log_prob, model.pixel_distribution, lambda x: model.complete(x, known, 1)):
            with pytest.raises(GenlibError, match="1 x 5 x 5"):
                ask(wrong)
    with pytest.raises(GenlibError, match="mask of known pixels must be 5 x 5"):
        model.complete(images, known[:4], 1)
    with pytest.raises(GenlibError, match="temperature"):
        model.sample(1, temperature=-1.0)
    with pytest.raises(GenlibError, match="temperature"):
        model.complete(images, known, 1, temperature=math.nan)
    with pytest.raises(GenlibError, match="first_kernel"):
        PixelCNN.configure(None, first_kernel=4)
