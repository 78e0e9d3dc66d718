"""Two-dimensional LSTM layers: the eager version against the equations, the kernel against the eager version."""

from itertools import product

import pytest
import torch
from torch import Tensor

from genlib.layers import lstm2d_kernel
from genlib.layers.lstm2d import LSTM2d
from genlib.layers.lstm2d_eager import moved, residual_sweep, skew, unskew
from genlib.layers.maps import apply, convolve, to_images, to_maps
from genlib.layers.masked import MaskedConv2d, Step
from genlib.layers.sweeps import DIAGONAL, ROW, SPATIAL, UNSHIFTED, Sweep

SWEEPS = [ROW, DIAGONAL, UNSHIFTED, SPATIAL]
each_sweep = pytest.mark.parametrize("sweep", SWEEPS, ids=lambda sweep: sweep.name)
needs_kernel = pytest.mark.skipif(not lstm2d_kernel.serves(), reason="no C compiler on this machine")


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def layer_of(sweep: Sweep, hidden: int, groups: int = 1) -> LSTM2d:
    torch.manual_seed(0)
    layer = LSTM2d(sweep, hidden, groups, forget_bias=0.0)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(numbers(*p.shape, seed=p.numel(), dtype=p.dtype) * 0.5 / p.shape[-2 if p.ndim > 1 else -1] ** 0.5)
    return layer


def by_the_equations(sweep: Sweep, x: Tensor, weight: Tensor, bias: Tensor, up: Tensor, up_bias: Tensor) -> Tensor:
    """One pixel after another, in raster order, each with its own formula."""
    height, width, n, _ = x.shape
    hidden = len(up)
    zero = x.new_zeros(n, hidden)
    y = x + up_bias
    for d, shift in enumerate(sweep.shifts):
        states: dict[tuple[int, int], Tensor] = {}
        cells: dict[tuple[int, int], Tensor] = {}
        sign = -1 if d else 1
        for r, k in product(range(height), range(width)):
            c = width - 1 - k if d else k

            def at(tap: tuple[int, int], r: int = r, c: int = c, sign: int = sign) -> tuple[int, int]:
                return r + tap[0], c + sign * tap[1]

            inputs = []
            for rr, cc in map(at, sweep.input_taps):
                inside = 0 <= rr < height and 0 <= cc < width
                inputs.append(x[rr, cc] if inside else torch.zeros_like(x[0, 0]))
            inputs += [states.get(place, zero) for place in map(at, sweep.state_taps)]
            i, o, g, *f = (torch.cat(inputs, 1) @ weight[d] + bias[d]).split(hidden, 1)
            cell = i.sigmoid() * g.tanh()
            for gate, place in zip(f, map(at, sweep.cell_taps), strict=True):
                cell = cell + gate.sigmoid() * cells.get(place, zero)
            states[r, c], cells[r, c] = o.sigmoid() * cell.tanh(), cell
        for (r, c), state in states.items():
            if r + shift < height:
                y[r + shift, c] += state @ up
    return y


# --- skewing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 5, 2), (5, 3, 2), (1, 4), (4, 1), (1, 1, 3), (6, 6)])
def test_skewing_moves_each_row_by_its_number_and_unskewing_undoes_it(shape):
    x = numbers(*shape)
    skewed = skew(x)
    assert skewed.shape == (shape[0], shape[0] + shape[1] - 1, *shape[2:])
    for r, row in enumerate(skewed):
        assert torch.equal(row[r : r + shape[1]], x[r])
        assert not row[:r].any()
        assert not row[r + shape[1] :].any()
    assert torch.equal(unskew(skewed), x)


@pytest.mark.parametrize("by", [-6, -2, -1, 0, 1, 2, 6])
def test_moved(by):
    x = numbers(4, 3)
    y = moved(x, by, 0)
    for p in range(4):
        assert torch.equal(y[p], x[p + by] if 0 <= p + by < 4 else torch.zeros(3, dtype=x.dtype))


# --- the eager layer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(4, 6), (6, 4), (1, 5), (5, 1)])
@each_sweep
def test_the_eager_layer_follows_the_equations(sweep, size):
    layer = layer_of(sweep, 3).double()
    x = numbers(*size, 2, 6)
    with torch.no_grad():
        expected = by_the_equations(sweep, x, *layer.causal_weights())
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


@each_sweep
def test_the_eager_gradient(sweep):
    layer = layer_of(sweep, 2).double()
    x = numbers(2, 3, 1, 4).requires_grad_()
    weights = [w.detach().requires_grad_() for w in layer.causal_weights()]
    assert torch.autograd.gradcheck(lambda *a: residual_sweep(sweep, *a), (x, *weights))


@each_sweep
def test_colour_groups_keep_their_order_within_a_pixel(sweep):
    """Group g of the result depends at its own pixel on the groups up to g, and on every group of earlier pixels."""
    if sweep is UNSHIFTED:
        pytest.skip("it leaks")
    layer = layer_of(sweep, 6, groups=3).double()
    x = numbers(2, 3, 1, 12).requires_grad_()
    for group in range(3):
        y = layer(x)[1, 1, 0, 4 * group : 4 * group + 4].square().sum()
        (d,) = torch.autograd.grad(y, x)
        seen = d[..., 0, :].unflatten(-1, (3, 4)).abs().amax(-1) > 0  # [H, W, group]
        assert seen[1, 1].tolist() == [g <= group for g in range(3)]
        assert seen[0, 1].all()
        assert not seen[1, 2].any()


# --- the kernel -------------------------------------------------------------------------------------------------------


def both_ways(sweep: Sweep, x: Tensor, layer: LSTM2d) -> list[tuple[Tensor, Tensor]]:
    """Result and gradients by the kernel in float32 and by tensor operations in float64, in pairs."""
    found = []
    for function, dtype in ((lstm2d_kernel.ResidualSweep.apply, torch.float32), (residual_sweep, torch.float64)):
        tensors = [t.detach().to(dtype).requires_grad_() for t in (x, *layer.causal_weights())]
        y = function(sweep, *tensors)
        y.backward(numbers(*y.shape, seed=7).to(dtype))
        found.append([y.detach(), *(t.grad for t in tensors)])
    return list(zip(*found, strict=True))


def check_close(pairs: list[tuple[Tensor, Tensor]]) -> None:
    for ours, judge in pairs:
        scale = max(1.0, float(judge.abs().max()))
        assert float((ours - judge).abs().max()) < 1e-5 * scale


@needs_kernel
@pytest.mark.parametrize(
    ("height", "width", "n", "hidden"),
    [(5, 7, 3, 8), (7, 5, 50, 4), (1, 6, 5, 8), (6, 1, 7, 8), (3, 4, 97, 3), (4, 4, 1, 9), (9, 9, 10, 16)],
)
@each_sweep
def test_the_kernel_agrees_with_the_eager_layer(sweep, height, width, n, hidden):
    check_close(both_ways(sweep, numbers(height, width, n, 2 * hidden), layer_of(sweep, hidden)))


@needs_kernel
def test_the_kernel_on_a_whole_digit():
    check_close(both_ways(DIAGONAL, numbers(28, 28, 2, 32), layer_of(DIAGONAL, 16)))


@needs_kernel
@each_sweep
def test_extreme_gates_stay_numbers(sweep):
    """Gates driven to the ends of their range, where a careless logistic function overflows or divides by zero."""
    layer = layer_of(sweep, 4)
    with torch.no_grad():
        layer.weight.mul_(300)
    x = numbers(4, 5, 3, 8) * 50
    pairs = both_ways(sweep, x, layer)
    assert all(bool(ours.isfinite().all()) for ours, _ in pairs)
    torch.testing.assert_close(pairs[0][0].double(), pairs[0][1], rtol=1e-4, atol=1e-4)


@needs_kernel
def test_what_is_no_number_stays_none():
    x = numbers(2, 2, 1, 4, dtype=torch.float32)
    x[0, 0, 0, 0] = torch.nan
    assert layer_of(SPATIAL, 2)(x)[1, 1].isnan().any()


@needs_kernel
def test_threads_share_the_images(monkeypatch):
    layer, x = layer_of(DIAGONAL, 8), numbers(5, 4, 11, 16, dtype=torch.float32)
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        layer.zero_grad()
        given = x.clone().requires_grad_()
        y = layer(given)
        y.square().sum().backward()
        results.append([y.detach(), given.grad, layer.weight.grad, layer.up.grad])
    for one, three in zip(*results, strict=True):
        torch.testing.assert_close(one, three, rtol=1e-5, atol=1e-5)


@needs_kernel
def test_kernel_and_eager_layer_are_chosen_by_what_is_given(monkeypatch):
    layer, x = layer_of(ROW, 4), numbers(3, 4, 2, 8, dtype=torch.float32)
    ours = layer(x)
    assert "ResidualSweep" in type(ours.grad_fn).__name__
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), ours)  # a recurrence is computed in full precision
    assert layer(x[:, :, :0]).shape == (3, 4, 0, 8)
    assert layer.to("meta")(x.to("meta")).shape == x.shape
    layer = layer_of(ROW, 4)
    monkeypatch.setattr(lstm2d_kernel, "_compiled", lambda: None)  # as without a compiler
    eager = layer(x)
    assert "ResidualSweep" not in type(eager.grad_fn).__name__
    torch.testing.assert_close(eager, ours, rtol=1e-5, atol=1e-5)


# --- masked convolutions on maps --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "kernel", "inputs", "outputs", "groups"), [
    ("A", 7, 1, 8, 1), ("A", 5, 3, 6, 3), ("B", 3, 4, 6, 1), ("B", 1, 6, 9, 3), ("B", 1, 4, 2, 1),
])  # fmt: skip
def test_a_masked_convolution_on_maps_is_the_same(kind, kernel, inputs, outputs, groups):
    layer = MaskedConv2d(kind, inputs, outputs, kernel, groups).double()
    images = numbers(3, inputs, 5, 6)
    assert torch.equal(to_images(to_maps(images)), images)
    torch.testing.assert_close(to_images(convolve(layer, to_maps(images))), layer(images))


@needs_kernel
@pytest.mark.parametrize(("relu_before", "relu_after"), [(True, True), (False, True), (True, False), (False, False)])
@pytest.mark.parametrize(("inputs", "outputs", "groups"), [(16, 8, 1), (5, 1, 1), (6, 27, 3)])
def test_the_kernel_of_a_1x1_layer(inputs, outputs, groups, relu_before, relu_after):
    layer = MaskedConv2d("B", inputs, outputs, 1, groups)
    step = Step(layer, relu_before=relu_before, relu_after=relu_after)
    x = numbers(3, 5, 7, inputs, dtype=torch.float32)
    found = []
    for dtype in (torch.float32, torch.float64):
        layer.to(dtype).zero_grad()
        given = x.detach().to(dtype).requires_grad_()
        y = apply(step, given)
        assert ("Pointwise" in type(y.grad_fn).__name__) == (dtype == torch.float32)
        y.backward(numbers(*y.shape, seed=3).to(dtype))
        found.append([y.detach(), given.grad, layer.weight.grad.clone(), layer.bias.grad.clone()])
    for ours, judge in zip(*found, strict=True):
        torch.testing.assert_close(ours.double(), judge, rtol=1e-5, atol=1e-5)
