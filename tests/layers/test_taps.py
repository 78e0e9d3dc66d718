"""Products tap by tap are the convolution they stand for, gradients included."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genlib.layers import masked, taps
from genlib.layers.masked import TAPS, MaskedConv2d, Step, run
from genlib.layers.taps import Link, tap_convolution, tap_stack


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


# --- stacks -----------------------------------------------------------------------------------------------------------

RESIDUAL = [Link(relu_after=True, opens=True), Link(TAPS, relu_after=True), Link(relu_after=True, closes=True)]
BOTTLENECK = [Link(relu_before=True, relu_after=True, opens=True), Link(TAPS, relu_after=True), Link(closes=True)]
STACKS = {
    "residual": [*RESIDUAL, *RESIDUAL, Link(relu_after=True), Link()],
    "bottleneck": [*BOTTLENECK, *BOTTLENECK, Link(relu_before=True)],
    "plain": [Link(TAPS, relu_after=True), Link(TAPS, relu_after=True), Link()],
    "one link opens and closes": [Link(TAPS, opens=True, closes=True), Link(opens=True, closes=True, relu_after=True)],
    "the input is added": [Link(relu_after=True), Link(TAPS, relu_before=True, closes=True)],
    "the block ends the stack": RESIDUAL,
}


def tensors(links: list[Link], shape: tuple[int, ...]) -> list[Tensor]:
    """An input and the parameters of a stack, in float64: four maps outside of a block, six within."""
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(*shape, generator=generator, dtype=torch.float64)]
    width, inside = 4, False
    for link in links:
        inside = (inside or link.opens) and not link.closes
        out = 6 if inside else 4
        made.append(torch.randn(len(link.taps), width, out, generator=generator, dtype=torch.float64) / 2)
        made.append(torch.randn(out, generator=generator, dtype=torch.float64) / 2)
        width = out
    return [t.requires_grad_() for t in made]


def reference(links: list[Link], x: Tensor, *parameters: Tensor) -> Tensor:
    """The stack by masked 3x3 convolutions."""
    kept = x
    for link, w, b in zip(links, parameters[::2], parameters[1::2], strict=True):
        kept = x if link.opens else kept
        x = x.relu() if link.relu_before else x
        x = F.conv2d(x, kernel(w) if link.taps == TAPS else w[0].t()[:, :, None, None], b, padding=len(link.taps) // 5)
        x = x.relu() if link.relu_after else x
        x = kept + x if link.closes else x
    return x


@pytest.mark.parametrize("rows", [1, 70, 7000])  # one image at a time, parts of which the last is smaller, and one part
@pytest.mark.parametrize("shape", [(5, 4, 5, 6), (2, 4, 1, 3), (2, 4, 4, 1)])
@pytest.mark.parametrize("name", STACKS)
def test_a_stack_and_all_its_gradients_are_those_of_plain_convolutions(name, shape, rows, monkeypatch):
    monkeypatch.setattr(taps, "ROWS", rows)
    links = STACKS[name]
    inputs = tensors(links, shape)
    y, expected = tap_stack(inputs[0], links, inputs[1:]), reference(links, *inputs)
    torch.testing.assert_close(y, expected)
    towards = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(torch.autograd.grad(y, inputs, towards), torch.autograd.grad(expected, inputs, towards))
    with torch.no_grad():
        assert torch.equal(tap_stack(inputs[0], links, inputs[1:]), y)


def test_what_goes_in_and_what_comes_back_is_left_alone():
    links = STACKS["residual"]
    inputs = tensors(links, (2, 4, 5, 6))
    before = [t.detach().clone() for t in inputs]
    y = tap_stack(inputs[0], links, inputs[1:])
    towards = torch.ones_like(y)
    first = torch.autograd.grad(y, inputs, towards, retain_graph=True)
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))
    assert torch.equal(towards, torch.ones_like(y))
    again = torch.autograd.grad(y, inputs, towards)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_only_the_gradients_asked_for_are_made():
    links = STACKS["residual"]
    x, *parameters = tensors(links, (2, 4, 5, 6))
    expected = torch.autograd.grad(reference(links, x, *parameters).sum(), [x, parameters[2]])
    fixed = [p if i == 2 else p.detach() for i, p in enumerate(parameters)]
    torch.testing.assert_close(torch.autograd.grad(tap_stack(x, links, fixed).sum(), [x, fixed[2]]), expected)
    tap_stack(x.detach(), links, fixed).sum().backward()
    torch.testing.assert_close(parameters[2].grad, expected[1])
    assert x.grad is None


@pytest.mark.parametrize("name", ["residual", "bottleneck"])
def test_second_derivatives_are_right_too(name):
    links = STACKS[name]
    inputs = tensors(links, (2, 4, 3, 4))

    def penalty(y: Tensor) -> tuple[Tensor, ...]:
        first = torch.autograd.grad(y.square().sum(), inputs, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), inputs)

    x = inputs[0] * 1  # not a leaf
    y = tap_stack(x, links, inputs[1:])
    torch.testing.assert_close(penalty(y), penalty(reference(links, *inputs)))


def test_a_link_needs_a_weight_and_a_bias():
    with pytest.raises(ValueError, match="weight and a bias"):
        tap_stack(torch.zeros(1, 2, 3, 3), [Link()], [torch.zeros(1, 2, 2)])


@pytest.mark.parametrize("groups", [1, 3])
def test_run_takes_it_from_the_first_block_on_and_gives_what_the_layers_give(groups, monkeypatch):
    torch.manual_seed(0)
    first = MaskedConv2d("A", groups, 24, 5, groups)
    a, b, c = (MaskedConv2d("B", *sizes, groups) for sizes in ((24, 24, 1), (24, 18, 3), (18, 24, 1)))
    end = MaskedConv2d("B", 24, 3, 1, groups)
    steps = [
        Step(first, relu_after=True),
        Step(a, relu_after=True, opens=True),
        Step(b, relu_after=True),
        Step(c, relu_after=True, closes=True),
        Step(end),
    ]
    lengths = []
    monkeypatch.setattr(masked, "tap_stack", lambda x, links, p: lengths.append(len(links)) or tap_stack(x, links, p))
    x, layers = torch.rand(3, groups, 6, 7), (first, a, b, c, end)
    y = run(steps, x)
    y.square().sum().backward()
    assert lengths == [4]
    found = [p.grad.clone() for layer in layers for p in layer.parameters()]
    for layer in layers:
        layer.double().zero_grad()
    expected = run(steps, x.double())
    expected.square().sum().backward()
    assert lengths == [4]  # double precision takes convolutions
    torch.testing.assert_close(y, expected.float(), atol=1e-5, rtol=1e-4)
    for ours, layer in zip(zip(found[::2], found[1::2], strict=True), layers, strict=True):
        for gradient, parameter in zip(ours, layer.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad.float(), atol=1e-3, rtol=1e-3)


def test_a_block_that_cannot_go_by_taps_is_not_cut_in_two(monkeypatch):
    torch.manual_seed(0)
    layers = [MaskedConv2d("B", 16, 16, kernel) for kernel in (1, 3, 1, 1)]
    shift = torch.rand(2, 16, 4, 5)
    steps = [
        Step(layers[0], opens=True),
        Step(layers[1], relu_after=True, shift=shift),
        Step(layers[2], closes=True),
        Step(layers[3]),
    ]
    lengths = []
    monkeypatch.setattr(masked, "tap_stack", lambda x, links, p: lengths.append(len(links)) or tap_stack(x, links, p))
    x = torch.rand(2, 16, 4, 5)
    expected = layers[3](x + layers[2]((layers[1](layers[0](x)) + shift).relu()))
    del lengths[:]
    torch.testing.assert_close(run(steps, x), expected)
    assert lengths == [1, 1]  # the 3x3 layer alone, and what follows the block
