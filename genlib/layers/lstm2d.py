"""LSTMs over a two-dimensional map: Row LSTM, Diagonal BiLSTM and spatial LSTM as one layer.

van den Oord et al. 2016, Pixel Recurrent Neural Networks, arXiv:1601.06759, sections 3.1 to 3.3 and figure 5;
Theis & Bethge 2015, Generative Image Modeling Using Spatial LSTMs, arXiv:1506.03478, section 2.3.

The state at pixel (r, c) follows from the input around it, from the states at a few fixed earlier places and from the
cell at one or two of them:

    (i, o, g, f_1 ..) = bias + [x at input taps, state at state taps] weight
    cell  = sigmoid(i) tanh(g) + sum_k sigmoid(f_k) cell at cell tap k,      state = sigmoid(o) tanh(cell)
    y     = x + up_bias + (sum over directions of state, each moved down by its shift) up

The three kinds differ in these taps alone (`ROW`, `DIAGONAL`, `SPATIAL`). The papers skew the map of the Diagonal BiLSTM
so that a diagonal becomes a column. That is a way to compute many pixels at once; in raster order, which serves every
kind, its column-wise 2x1 kernel is the two taps left and above.

Two ways to compute the same: a compiled kernel (`lstm2d.c`) for float32 on a processor, and tensor operations front by
front (`lstm2d_eager`) for everything else. The kernel reads and writes maps as [H, W, N, features].
"""

import math

import torch
from torch import Tensor, nn

from genlib.layers import lstm2d_kernel
from genlib.layers.lstm2d_eager import residual_sweep
from genlib.layers.masked import causal_mask
from genlib.layers.precision import full_precision
from genlib.layers.sweeps import Sweep


class LSTM2d(nn.Module):
    """One residual layer, [H, W, N, 2 hidden] -> the same.

    Features are split into ``groups``, one for each image channel, as in `genlib.layers.masked`: group g of the result sees
    of the pixel itself only the groups up to g, and all groups of earlier pixels.

    ``weight`` [directions, in, gates] has a row for each number that is read (input taps, then state taps) and a column
    for each gate (input, output, candidate, then one forget gate for each cell tap, ``hidden`` each).
    """

    def __init__(self, sweep: Sweep, hidden: int, groups: int = 1, forget_bias: float = 1.0) -> None:
        super().__init__()
        if hidden % groups:
            raise ValueError(f"{hidden} features do not split into {groups} equal groups")
        self.sweep, self.hidden, self.groups = sweep, hidden, groups
        inputs, directions = 2 * hidden, len(sweep.shifts)
        rows = len(sweep.input_taps) * inputs + len(sweep.state_taps) * hidden
        gates = 3 + len(sweep.cell_taps)
        self.weight = nn.Parameter(torch.empty(directions, rows, gates * hidden))
        self.bias = nn.Parameter(torch.zeros(directions, gates * hidden))
        self.up = nn.Parameter(torch.empty(hidden, inputs))
        self.up_bias = nn.Parameter(torch.zeros(inputs))
        for weight, fan_in in ((self.weight, rows), (self.up, directions * hidden)):
            nn.init.uniform_(weight, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))
        with torch.no_grad():
            self.bias[:, 3 * hidden :] = forget_bias  # above 0 they start open (Jozefowicz et al. 2015)
        if groups > 1:
            own = causal_mask("B", hidden, inputs, 1, groups)[:, :, 0, 0].t().repeat(1, gates)
            mask = torch.ones(rows, gates * hidden, device="cpu")
            for k, tap in enumerate(sweep.input_taps):
                if tap == (0, 0):
                    mask[k * inputs : (k + 1) * inputs] = own
            self.mask: Tensor
            self.up_mask: Tensor
            device = self.weight.device
            self.register_buffer("mask", mask.to(device), persistent=False)
            up = causal_mask("B", inputs, hidden, 1, groups)[:, :, 0, 0].t().contiguous()
            self.register_buffer("up_mask", up.to(device), persistent=False)

    def extra_repr(self) -> str:
        return f"{self.sweep.name}, hidden={self.hidden}, groups={self.groups}"

    def causal_weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weight, bias, up and up_bias as they are used: masked, for colour."""
        if self.groups == 1:
            return self.weight, self.bias, self.up, self.up_bias
        return self.weight * self.mask, self.bias, self.up * self.up_mask, self.up_bias

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x.device):  # also under autocast: the errors of a recurrence add up
            x = x.to(self.weight.dtype)
            weights = self.causal_weights()
            if lstm2d_kernel.serves(x, *weights):
                y: Tensor = lstm2d_kernel.ResidualSweep.apply(self.sweep, x, *weights)
                return y
            return residual_sweep(self.sweep, x, *weights)
