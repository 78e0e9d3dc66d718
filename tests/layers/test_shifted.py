"""Shifted convolutions: what a tap reaches, the concatenated ELU, weight normalisation."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genlib.layers.shifted import (
    KERNELS,
    MARGINS,
    Convolution,
    Direction,
    Margins,
    TransposedConvolution,
    calibrate,
    concat_elu,
    with_margins,
)


def reached(layer, x: Tensor, row: int, column: int) -> set[tuple[int, int]]:
    """The pixels of x [1, 1, H, W] that an output depends on."""
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x)[0, :, row, column].sum(), x)
    return {(r, c) for r, c in product(*map(range, x.shape[2:])) if gradient[0, 0, r, c] != 0}


@pytest.mark.parametrize(
    ("direction", "taps"),
    [("down", {(4, 3), (4, 4), (4, 5), (3, 3), (3, 4), (3, 5)}), ("down-right", {(4, 4), (4, 3), (3, 4), (3, 3)})],
)
@pytest.mark.parametrize("stride", [1, 2])
def test_a_kernel_ends_at_its_pixel(direction: Direction, taps: set[tuple[int, int]], stride: int) -> None:
    """With stride 2 the small pixel (2, 2) ends at (4, 4), the first of the four that it stands for."""
    layer = Convolution(1, 1, KERNELS[direction], stride=stride)
    x = torch.rand(1, 1, 7, 9)
    place = 4 // stride
    assert reached(lambda x: layer(with_margins(x, MARGINS[direction])), x, place, place) == taps
    assert layer(with_margins(x, MARGINS[direction])).shape[2:] == ((7, 9) if stride == 1 else (4, 5))


@pytest.mark.parametrize("direction", ["down", "down-right"])
def test_a_transposed_kernel_stays_below_its_pixel(direction: Direction) -> None:
    layer = TransposedConvolution(1, 1, direction)
    x = torch.rand(1, 1, 4, 4)
    for row, column in product(range(8), range(8)):
        small = row // 2, column // 2
        expected = {small}
        if direction == "down" and column % 2 and column < 7:  # an odd column has two neighbours
            expected.add((small[0], small[1] + 1))
        assert reached(layer, x, row, column) == expected


@pytest.mark.parametrize("margins", [Margins(), Margins(1, 1, 1), Margins(1, 0, 1)])
def test_concatenated_elu_is_elu_of_both_signs_with_margins(margins: Margins) -> None:
    a, b = (torch.randn(2, c, 3, 4, dtype=torch.float64, requires_grad=True) for c in (2, 3))
    plain = F.elu(with_margins(torch.cat([a, b, -a, -b], 1), margins))
    torch.testing.assert_close(concat_elu(margins, a, b), plain)
    weights = torch.randn_like(plain)
    ours = torch.autograd.grad((concat_elu(margins, a, b) * weights).sum(), (a, b))
    torch.testing.assert_close(ours, torch.autograd.grad((plain * weights).sum(), (a, b)))


@pytest.mark.parametrize("kind", ["plain", "transposed"])
def test_normalised_weights_have_the_length_of_their_gain(kind: str) -> None:
    layer = Convolution(3, 5, (2, 3), normalised=True)
    if kind == "transposed":
        layer = TransposedConvolution(3, 5, "down", normalised=True)
    torch.testing.assert_close(layer.used_weight(), layer.weight)  # at the start
    assert layer.gain is not None
    with torch.no_grad():
        layer.weight.mul_(7)
        layer.gain.copy_(torch.arange(1.0, 6))
    lengths = layer.used_weight().movedim(1 if kind == "transposed" else 0, 0).flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, torch.arange(1.0, 6))


def test_calibration_gives_each_map_mean_0_and_the_wanted_deviation() -> None:
    layers = torch.nn.Sequential(
        Convolution(2, 4, normalised=True), Convolution(4, 3, (2, 2), scale=0.1, normalised=True)
    )
    x = torch.rand(8, 2, 5, 5) * 3 + 1
    calibrate(layers, on=True)
    layers(x)
    calibrate(layers, on=False)
    hidden = layers[0](x)
    for y, scale in ((hidden, 1.0), (layers[1](hidden), 0.1)):
        variance, mean = torch.var_mean(y, (0, 2, 3), correction=0)
        torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-5, rtol=0)
        torch.testing.assert_close(variance.sqrt(), torch.full_like(mean, scale))
