"""The PixelRNN family: what each model sees, what its probabilities add up to, what it learns."""

import math
from itertools import product

import pytest
import torch
from plain_optimizers import train
from torch import Tensor

from genlib.data import load
from genlib.models import count_parameters, get
from genlib.models.pixelrnn import PixelRNN

NAMES = ["row-lstm", "diagonal-bilstm", "spatial-lstm"]
each_model = pytest.mark.parametrize("name", NAMES)


def network(name: str, shape: tuple[int, int, int] = (1, 6, 6), seed: int = 0, **values) -> PixelRNN:
    kind = get(name)
    values = {"hidden": 6, "layers": 2, "head": 6, "first_kernel": 3, **values}
    model = kind.from_config(kind.configure(None, shape, **values), seed)
    assert isinstance(model, PixelRNN)
    return model


def test_stored_weights():
    """The paper's Diagonal BiLSTM with 7 layers of h = 16, part by part."""
    model = get("diagonal-bilstm").from_config(get("diagonal-bilstm").configure("paper"))
    gates = 2 * (4 * 16 * (32 + 2 * 16) + 4 * 16)  # two directions, four gates, input and two states, bias
    up = 16 * 32 + 32
    first, head = 49 * 32 + 32, 2 * (32 * 32 + 32) + 32 + 1
    assert count_parameters(model) == first + 7 * (gates + up) + head == 65_793


# --- what a pixel sees ------------------------------------------------------------------------------------------------


def seen(model: PixelRNN, row: int, column: int, channel: int = 0) -> Tensor:
    """[C, H, W]: where the input changes the logits of a sub-pixel, by gradient.

    All weights and inputs are positive and small, in float64: no ReLU is shut, no gate is saturated and no two paths
    cancel; so the gradient differs from 0 exactly where there is a path.
    """
    model = model.double()
    with torch.no_grad():
        for p in model.parameters():
            p.abs_().mul_(0.2).add_(0.01)
    x = (torch.rand(1, *model.config.shape, dtype=torch.float64) + 0.1).requires_grad_()
    model(x)[0, channel, ..., row, column].sum().backward()
    assert x.grad is not None
    return x.grad[0] != 0


def promised(name: str, row: int, column: int, r: int, c: int, layers: int, reach: int) -> bool:
    """Whether the pixel (r, c) is in view from (row, column), with ``reach`` of the first layer's mask A.

    row-lstm: a state sees in its own row one pixel to the left, and i rows up from i + 1 on the left to i on the right. So do
    L layers, but L + i to the left. The first layer adds its reach to the left; to the right it adds it from the rows above
    alone, one of which it takes up itself: j rows up, j - 1 + reach.
    spatial-lstm: everything above to the left of the first layer's reach. diagonal-bilstm: everything earlier.
    """
    up = row - r
    if (r, c) >= (row, column):
        return False
    if name == "row-lstm":
        return column - up - layers - reach <= c <= (column + up - 1 + reach if up else column - 1)
    return name == "diagonal-bilstm" or up == 0 or c <= column + reach


@pytest.mark.parametrize("place", [(0, 0), (0, 7), (6, 0), (8, 10), (5, 4), (8, 2)])
@pytest.mark.parametrize(("layers", "first_kernel"), [(1, 3), (3, 3), (2, 7)])
@each_model
def test_the_receptive_field_is_exactly_the_promised_one(name, layers, first_kernel, place):
    model = network(name, (1, 9, 11), layers=layers, first_kernel=first_kernel, hidden=2, head=2)
    expected = torch.tensor(
        [[promised(name, *place, r, c, layers, first_kernel // 2) for c in range(11)] for r in range(9)]
    )
    assert torch.equal(seen(model, *place)[0], expected)


def test_the_diagonal_bilstm_sees_all_402_pixels_before_row_14_column_10():
    model = network("diagonal-bilstm", (1, 28, 28), layers=1, hidden=2, head=2, first_kernel=7)
    field = seen(model, 14, 10)[0].flatten()
    assert field[:402].all()
    assert not field[402:].any()


def test_the_triangle_of_the_row_lstm_and_what_the_spatial_lstm_misses():
    """The counts at (14, 10) of a digit, one layer on a 7x7 mask A."""
    row = seen(network("row-lstm", (1, 28, 28), layers=1, hidden=2, head=2, first_kernel=7), 14, 10)[0]
    assert row[14].nonzero().flatten().tolist() == list(range(6, 10))
    assert row[13].nonzero().flatten().tolist() == list(range(5, 14))
    assert row[12].nonzero().flatten().tolist() == list(range(4, 15))
    assert row[0].nonzero().flatten().tolist() == list(range(27))
    spatial = seen(network("spatial-lstm", (1, 28, 28), layers=1, hidden=2, head=2, first_kernel=7), 14, 10)[0]
    assert int(spatial.sum()) == 14 * 14 + 10  # of the 14 rows above the columns 0 to 13


@each_model
def test_colours_follow_one_another_within_a_pixel(name):
    model = network(name, (3, 4, 5), levels=3, hidden=6, layers=2, first_kernel=3)
    for channel in range(3):
        field = seen(model, 2, 2, channel)
        assert field[:, 2, 2].tolist() == [c < channel for c in range(3)]
        others = field.clone()
        others[:, 2, 2] = False
        assert torch.equal(others.any(0), others.all(0))  # all of R, G and B of what is before, or nothing
        assert others[:, 1, 2].all()
        assert not others[:, 2, 3:].any()


def test_unshifted_the_future_leaks():
    field = seen(network("diagonal-bilstm", (1, 4, 5), shifted=False), 1, 2)[0]
    assert field[1, 2:].all()  # itself, and what is to the right
    assert not field[2:].any()


# --- likelihood -------------------------------------------------------------------------------------------------------


def every_image(channels: int, height: int, width: int, levels: int) -> Tensor:
    """All images of a tiny shape, [levels ** (C H W), C, H, W] in [0, 1]."""
    values = torch.tensor(list(product(range(levels), repeat=channels * height * width)), dtype=torch.float32)
    return values.view(-1, channels, height, width) / (levels - 1)


@pytest.mark.parametrize(("shape", "levels"), [((1, 3, 3), 2), ((1, 2, 5), 2), ((1, 2, 3), 3), ((3, 2, 1), 3)])
@each_model
def test_the_probabilities_of_all_images_add_up_to_one(name, shape, levels):
    """In float32, so by the kernel where there is one."""
    model = network(name, shape, levels=levels)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3)
    log_prob = model.log_prob(every_image(*shape, levels))
    assert log_prob.std() > 0.5  # far from uniform, where a sum of one would prove nothing
    assert log_prob.double().exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_a_leak_is_no_likelihood():
    model = network("diagonal-bilstm", (1, 3, 3), shifted=False)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3)
    assert abs(model.log_prob(every_image(1, 3, 3, 2)).exp().sum().item() - 1) > 0.01


@pytest.mark.parametrize(("name", "preset"), [(name, preset) for name in NAMES for preset in get(name).presets])
def test_a_fresh_network_knows_nothing(name, preset):
    model = get(name).from_config(get(name).configure(preset))
    nll = -model.log_prob(load("mnist").batch("test", slice(2))).mean().item()
    assert nll == pytest.approx(784 * math.log(2), rel=0.1)


# --- learning ---------------------------------------------------------------------------------------------------------


@each_model
def test_it_learns_a_batch_by_heart(name):
    """Four equally frequent images have ln 4 = 1.39 nats; pixels on their own would cost their entropies."""
    images = torch.zeros(4, 1, 6, 6)
    images[0, 0, :, 0] = images[1, 0, 1] = images[2, 0, :, 1] = images[3, 0, 2] = 1
    p = images.mean(0).clamp(1e-6, 1 - 1e-6)
    alone = -(p * p.log() + (1 - p) * (1 - p).log()).sum().item()
    model = network(name, hidden=8, head=16, learning_rate=2e-2)
    terms = train(model, images, steps=150)
    assert terms["accuracy"] > 0.96
    assert math.log(4) - 1e-3 < -model.log_prob(images).mean().item() < alone / 4
    known = torch.zeros(6, 6, dtype=torch.bool)
    known[:, :2] = True
    completed = model.complete(images[1:2], known, 5, seed=0, temperature=0)
    assert torch.equal(completed[0], images[1:2].expand(5, -1, -1, -1))


def test_a_leak_is_learnt_at_once_and_draws_nothing():
    images = (torch.rand(64, 1, 6, 6, generator=torch.Generator().manual_seed(0)) < 0.5).float()  # chance: 25 nats
    model = network("diagonal-bilstm", shifted=False, hidden=8, head=16, learning_rate=2e-2)
    leaking = train(model, images, steps=150)["nll"]
    assert leaking < 8
    assert abs(model.sample(32).mean().item() - 0.5) > 0.2  # nothing to read on the right: no coin any more


def test_features_are_rounded_up_to_whole_groups_for_colour():
    model = network("row-lstm", (3, 4, 4), hidden=16, head=32)
    assert model.first.weight.shape[0] == 36
    assert model.layers[0].hidden == 18
    assert model.head[0].weight.shape[0] == 33


@each_model
def test_tensors_are_made_on_the_device_of_the_model(name):
    model = network(name, (3, 4, 5), levels=4).to("meta")
    images = torch.empty(2, 3, 4, 5, device="meta")
    known = torch.ones(4, 5, dtype=torch.bool)
    known[2, 2] = False
    assert model.log_prob(images).device.type == "meta"
    assert model.sample(3).device.type == "meta"
    assert model.complete(images, known, 2).shape == (2, 2, 3, 4, 5)
