"""Parts of recurrent models that are unrolled over many steps: a linear map used at every step, and the LSTM cell.

The LSTM is Hochreiter & Schmidhuber's (1997) with the forget gate of Gers et al. (2000). torch's ``nn.LSTMCell`` keeps
two weight matrices and two biases. Here input and state are laid side by side, so that a step is one product and the
bias is counted once, as in the papers' equations.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn


def working_dtype(parameter: Tensor) -> torch.dtype:
    """The arithmetic of matrix products with this parameter here: autocast's, or the parameter's own."""
    kind = parameter.device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return parameter.dtype


class RepeatedLinear:
    """x W^T + b at every step of a loop; the gradient of W from a single product after the loop's last step backwards.

    Autograd would multiply a thin pair and add a full-size matrix to W's gradient at each of T steps. Here the steps
    only note their pairs (input, gradient of the output), and dW = sum_t g_t^T x_t is one product of T times the depth.

    Make one for each pass through the loop. With ``dtype`` the products run in it (bfloat16, say); inputs, results and
    gradients keep the weight's own.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype | None = None) -> None:
        self.tape: dict[int, tuple[int, Tensor, Tensor]] = {}  # step -> pass backwards, input, gradient
        self.steps = 0
        self.anchor: Tensor = _Anchor.apply(weight, bias, self.tape)
        self.weight = weight.detach().to(dtype or weight.dtype)  # [out, in]
        self.transposed = self.weight.t().contiguous()  # a copy a pass: the forward product is a fifth faster with it
        self.bias = bias.detach().to(dtype or weight.dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """[N, in] -> [N, out]."""
        y: Tensor = _Apply.apply(x, self.anchor, self)
        return y


class _Anchor(torch.autograd.Function):
    """A scalar through which all steps hang on the weight: its backward runs when every step's has run."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, tape: dict[int, tuple[int, Tensor, Tensor]]) -> Tensor:
        ctx.tape, ctx.dtype = tape, weight.dtype
        return weight.new_zeros(())

    @staticmethod
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor, Tensor, None]:
        this_pass = torch._C._current_graph_task_id()
        pairs = [pair for task, *pair in ctx.tape.values() if task == this_pass]
        ctx.tape.clear()
        inputs, gradients = (torch.cat(parts) for parts in zip(*pairs, strict=True))  # [T N, in], [T N, out]
        return (gradients.t() @ inputs).to(ctx.dtype), gradients.sum(0, dtype=ctx.dtype), None


class _Apply(torch.autograd.Function):
    """One step of `RepeatedLinear`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, anchor: Tensor, linear: RepeatedLinear) -> Tensor:
        ctx.linear, ctx.step = linear, linear.steps
        linear.steps += 1
        low = x.to(linear.weight.dtype)
        ctx.save_for_backward(low)
        return torch.addmm(linear.bias, low, linear.transposed).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor, Tensor, None]:
        (x,), linear = ctx.saved_tensors, ctx.linear
        low = d_y.to(x.dtype)
        linear.tape[ctx.step] = torch._C._current_graph_task_id(), x, low
        return (low @ linear.weight).to(d_y.dtype), d_y.new_zeros(()), None


class LSTMCell(nn.Module):
    """The parameters of an LSTM; `unrolled` gives its step.

    The rows of ``weight`` [4 H, in + H] are the gates in the order input, forget, output, candidate; its columns are
    the inputs, then the state.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(4 * hidden, inputs + hidden))
        self.bias = nn.Parameter(torch.zeros(4 * hidden))
        scale = 1 / math.sqrt(max(inputs, hidden))
        nn.init.uniform_(self.weight, -scale, scale)
        with torch.no_grad():  # gates that start open let the gradient reach the first steps (Jozefowicz et al. 2015)
            self.bias[hidden : 2 * hidden] = 1.0

    def unrolled(self, dtype: torch.dtype | None = None, constant: Tensor | None = None) -> "UnrolledLSTM":
        """The step function for one pass through a loop.

        ``constant`` [N, K] are the first K inputs, where those are the same at every step: they are multiplied once, and
        the steps are given the other inputs only.
        """
        if constant is None:
            return UnrolledLSTM(RepeatedLinear(self.weight, self.bias, dtype))
        k = constant.shape[1]
        working = dtype or self.weight.dtype
        gates = (constant.to(working) @ self.weight[:, :k].t().to(working)).to(self.weight.dtype)  # [N, 4 H]
        return UnrolledLSTM(RepeatedLinear(self.weight[:, k:], self.bias, dtype), gates)


class UnrolledLSTM:
    """An `LSTMCell` during one pass: (inputs [N, ...], state [N, H], cell [N, H]) -> (state, cell).

    Several inputs lie side by side.
    """

    def __init__(self, linear: RepeatedLinear, constant: Tensor | None = None) -> None:
        self.linear, self.constant = linear, constant

    def __call__(self, *inputs: Tensor, state: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        gates = self.linear(torch.cat((*inputs, state), 1))
        return gated_update(gates if self.constant is None else gates + self.constant, cell)


def gated_update(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Gates before their non-linearities [N, 4 H] and the old cell [N, H] -> new state and cell, [N, H] each.

    cell' = sigmoid(f) cell + sigmoid(i) tanh(g),    state = sigmoid(o) tanh(cell')
    """
    state, cell = _GatedUpdate.apply(gates, cell)
    return state, cell


class _GatedUpdate(torch.autograd.Function):
    """`gated_update` with its derivative by hand: a third of the small operations that autograd would run."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        hidden = cell.shape[1]
        act = torch.empty_like(gates)
        torch.sigmoid(gates[:, : 3 * hidden], out=act[:, : 3 * hidden])
        torch.tanh(gates[:, 3 * hidden :], out=act[:, 3 * hidden :])
        i, f, o, g = act.chunk(4, 1)
        new = torch.addcmul(i * g, f, cell)
        squashed = torch.tanh(new)
        ctx.save_for_backward(act, cell, squashed)
        return o * squashed, new

    @staticmethod
    def backward(ctx: Any, d_state: Tensor, d_new: Tensor) -> tuple[Tensor, Tensor]:
        act, cell, squashed = ctx.saved_tensors
        hidden = cell.shape[1]
        i, f, o, g = act.chunk(4, 1)
        d_new = d_new + torch.ops.aten.tanh_backward(d_state * o, squashed)
        d_gates = torch.empty_like(act)
        d_i, d_f, d_o, d_g = d_gates.chunk(4, 1)
        torch.mul(d_new, g, out=d_i)
        torch.mul(d_new, cell, out=d_f)
        torch.mul(d_state, squashed, out=d_o)
        torch.mul(d_new, i, out=d_g)
        gated, candidate = slice(None, 3 * hidden), slice(3 * hidden, None)
        torch.ops.aten.sigmoid_backward(d_gates[:, gated], act[:, gated], grad_input=d_gates[:, gated])
        torch.ops.aten.tanh_backward(d_gates[:, candidate], act[:, candidate], grad_input=d_gates[:, candidate])
        return d_gates, d_new * f
