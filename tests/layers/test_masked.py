"""The masks against a definition by loops, and masked convolution against the plain one with a masked weight."""

import pytest
import torch
import torch.nn.functional as F

from genlib.layers.masked import MaskedConv2d, Step, causal_mask, run


def order(row: int, column: int, channel: int) -> tuple[int, int, int]:
    """Raster order: tuples compare as the sub-pixels follow one another."""
    return row, column, channel


@pytest.mark.parametrize(("groups", "maps"), [(1, (2, 3)), (2, (4, 2)), (3, (3, 3)), (3, (3, 9)), (3, (6, 3))])
@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("kind", ["A", "B"])
def test_a_tap_is_open_exactly_where_its_sub_pixel_comes_earlier(kind, kernel, groups, maps):
    inputs, outputs = maps
    mask = causal_mask(kind, outputs, inputs, kernel, groups)
    middle = kernel // 2
    for o in range(outputs):
        here = order(middle, middle, o // (outputs // groups))
        for i in range(inputs):
            for row in range(kernel):
                for column in range(kernel):
                    there = order(row, column, i // (inputs // groups))
                    assert mask[o, i, row, column] == (there < here or (kind == "B" and there == here))


@pytest.mark.parametrize("kind", ["A", "B"])
@pytest.mark.parametrize(("kernel", "groups"), [(1, 1), (3, 1), (7, 1), (1, 3), (3, 3), (5, 3)])
def test_the_short_kernel_computes_the_whole_masked_convolution(kind, kernel, groups):
    torch.manual_seed(0)
    layer = MaskedConv2d(kind, 6, 9, kernel, groups).double()
    x = torch.randn(2, 6, 5, 8, dtype=torch.float64)  # smaller than the largest kernel
    mask = causal_mask(kind, 9, 6, kernel, groups).double()
    expected = F.conv2d(x, layer.weight * mask, layer.bias, padding=kernel // 2)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("kind", ["A", "B"])
@pytest.mark.parametrize("groups", [1, 3])
def test_masked_weights_never_learn(kind, groups):
    torch.manual_seed(0)
    layer = MaskedConv2d(kind, 3, 3, 5, groups)
    layer(torch.rand(2, 3, 9, 9)).square().sum().backward()
    assert torch.equal(layer.weight.grad != 0, causal_mask(kind, 3, 3, 5, groups).bool())


def test_all_weights_are_stored_and_the_mask_is_not():
    layer = MaskedConv2d("A", 1, 4, 7)
    assert {name: tuple(p.shape) for name, p in layer.state_dict().items()} == {"weight": (4, 1, 7, 7), "bias": (4,)}


@pytest.mark.parametrize(("inputs", "outputs", "kernel", "groups"), [(1, 1, 2, 1), (3, 4, 3, 3), (4, 3, 3, 3)])
def test_what_cannot_be_masked_is_refused(inputs, outputs, kernel, groups):
    with pytest.raises(ValueError, match=r"odd kernel|equal groups"):
        MaskedConv2d("B", inputs, outputs, kernel, groups)


def test_a_residual_is_added_once():
    torch.manual_seed(0)
    a, b = MaskedConv2d("B", 2, 3, 1).double(), MaskedConv2d("B", 3, 2, 3).double()
    x = torch.randn(2, 2, 4, 4, dtype=torch.float64)
    kept = x.clone()
    expected = x + b(a(x.relu()).relu())
    steps = [Step(a, relu_before=True, relu_after=True, opens=True), Step(b, closes=True)]
    torch.testing.assert_close(run(steps, x), expected)
    assert torch.equal(x, kept)  # the input is left alone
