"""Products tap by tap are the convolution they stand for, gradients included."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genlib.layers import taps
from genlib.layers.masked import TAPS, MaskedConv2d
from genlib.layers.taps import tap_convolution


def kernel(weight: Tensor) -> Tensor:
    """[T, in, out] -> a 3x3 convolution's weight with zeros where there is no tap."""
    full = weight.new_zeros(weight.shape[2], weight.shape[1], 3, 3)
    for (down, right), tap in zip(TAPS, weight, strict=True):
        full[:, :, 1 + down, 1 + right] = tap.t()
    return full


@pytest.mark.parametrize("rows", [7, 7000])  # pixels at a time: parts that end anywhere, and one part for all
@pytest.mark.parametrize("shape", [(2, 3, 5, 6), (1, 1, 1, 4), (3, 2, 4, 1), (2, 4, 3, 3)])
def test_it_is_the_convolution(shape, rows, monkeypatch):
    monkeypatch.setattr(taps, "ROWS", rows)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*shape, generator=generator, dtype=torch.float64)
    weight = torch.randn(5, shape[1], 4, generator=generator, dtype=torch.float64)
    bias = torch.randn(4, generator=generator, dtype=torch.float64)
    expected = F.conv2d(x, kernel(weight), bias, padding=1)
    torch.testing.assert_close(tap_convolution(x, weight, bias, TAPS), expected)
    leaves = [t.requires_grad_() for t in (x, weight, bias)]
    assert torch.autograd.gradcheck(lambda *a: tap_convolution(*a, TAPS), leaves)


def test_a_masked_layer_that_is_wide_enough_takes_it_and_stays_the_same():
    torch.manual_seed(0)
    layer = MaskedConv2d("B", 24, 8, 3, groups=2)
    x = torch.randn(3, 24, 6, 7)
    torch.testing.assert_close(layer(x), layer.double()(x.double()).float(), atol=1e-5, rtol=1e-4)


def test_a_tap_in_the_future_is_refused():
    with pytest.raises(ValueError, match="past"):
        tap_convolution(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 2), torch.zeros(2), ((0, 1),))
