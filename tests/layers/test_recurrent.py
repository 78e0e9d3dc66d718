"""The LSTM cell against torch's own, and the linear map whose weight gradient is gathered over the steps."""

import pytest
import torch
from torch import Tensor, nn

from genlib.layers.recurrent import LSTMCell, RepeatedLinear, gated_update, working_dtype


def test_lstm_is_torchs() -> None:
    """torch orders the gates input, forget, candidate, output and has two weights and two biases."""
    torch.manual_seed(0)
    ours, theirs = LSTMCell(3, 5).double(), nn.LSTMCell(3, 5).double()
    with torch.no_grad():
        i, f, o, g = ours.weight.chunk(4)
        weight = torch.cat((i, f, g, o))
        theirs.weight_ih.copy_(weight[:, :3])
        theirs.weight_hh.copy_(weight[:, 3:])
        i, f, o, g = ours.bias.chunk(4)
        theirs.bias_ih.copy_(torch.cat((i, f, g, o)))
        theirs.bias_hh.zero_()
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    state = cell = torch.randn(6, 5, dtype=torch.float64)
    wanted = state, cell
    step = ours.unrolled()
    for inputs in x:
        state, cell = step(inputs[:, :1], inputs[:, 1:], state=state, cell=cell)
        wanted = theirs(inputs, wanted)
        torch.testing.assert_close((state, cell), wanted)


def test_forget_gates_start_open() -> None:
    bias = LSTMCell(2, 4).bias
    assert bias.tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8


def test_gated_update_has_the_right_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    gates = torch.randn(3, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    cell = torch.randn(3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gated_update, (gates, cell))


def loop(weight: Tensor, bias: Tensor, x: Tensor, steps: int, repeated: bool) -> Tensor:
    """x <- tanh(W x + b), again and again; the sum of the squares of all."""
    linear = RepeatedLinear(weight, bias) if repeated else lambda x: nn.functional.linear(x, weight, bias)
    total = x.new_zeros(())
    for _ in range(steps):
        x = linear(x).tanh()
        total = total + x.square().sum()
    return total


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_repeated_linear_has_autograds_gradients(steps: int) -> None:
    torch.manual_seed(1)
    inputs = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((4, 4), (4,), (5, 4))]
    found = torch.autograd.grad(loop(*inputs, steps, True), inputs)
    wanted = torch.autograd.grad(loop(*inputs, steps, False), inputs)
    torch.testing.assert_close(found, wanted)


def test_repeated_linear_survives_partial_and_second_passes_backwards() -> None:
    """Steps that do not matter count nothing; nothing is left over for, or counted twice by, the next pass."""
    torch.manual_seed(2)
    weight, bias, x = (torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in ((4, 4), (4,), (5, 4)))

    def outputs(repeated: bool) -> tuple[Tensor, Tensor]:
        linear = RepeatedLinear(weight, bias) if repeated else lambda x: nn.functional.linear(x, weight, bias)
        first = linear(x).tanh()
        linear(first)  # a step that nothing depends on
        return first.square().sum(), linear(first).sin().sum()

    early, late = outputs(True)
    wanted_early, wanted_late = outputs(False)
    for _ in range(2):
        found = torch.autograd.grad(late, (weight, bias), retain_graph=True)
        torch.testing.assert_close(found, torch.autograd.grad(wanted_late, (weight, bias), retain_graph=True))
    torch.autograd.grad(late, x, retain_graph=True)  # the weights are not asked for
    found = torch.autograd.grad(early, (weight, bias))
    torch.testing.assert_close(found, torch.autograd.grad(wanted_early, (weight, bias)))


def test_half_precision_products_stay_near() -> None:
    """bfloat16 keeps 8 bits: results within a percent, in the weight's own type, gradients too."""
    torch.manual_seed(3)
    weight, bias, x = (torch.randn(*shape, requires_grad=True) for shape in ((16, 32), (16,), (8, 32)))
    low = RepeatedLinear(weight, bias, torch.bfloat16)(x)
    full = nn.functional.linear(x, weight, bias)
    assert low.dtype == torch.float32
    assert not torch.equal(low, full)
    assert (low - full).norm() < 0.01 * full.norm()
    for found, wanted in zip(
        torch.autograd.grad(low.square().sum(), (weight, bias, x)),
        torch.autograd.grad(full.square().sum(), (weight, bias, x)),
        strict=True,
    ):
        assert found.dtype == torch.float32
        assert (found - wanted).norm() < 0.02 * wanted.norm()


def test_working_dtype_follows_autocast() -> None:
    weight = torch.zeros(1)
    assert working_dtype(weight) == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert working_dtype(weight) == torch.bfloat16
        assert working_dtype(weight.to("meta")) == torch.float32
