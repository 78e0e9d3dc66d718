"""The LSTM whose states are maps: Shi et al. 2015, "Convolutional LSTM Network", arXiv:1506.04214 (without its peepholes).

The gates are 3 x 3 convolutions of the inputs and the state, which lie side by side as channels; the update of each place is
that of genlib/layers/recurrent.py.
"""

import torch
from torch import Tensor, nn

from genlib.layers.recurrent import gated_update


class ConvLSTM(nn.Module):
    """One step: (inputs [N, inputs, h, w], state and cell [N, hidden, h, w]) -> the new state and cell."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(inputs + hidden, 4 * hidden, 3, padding=1)
        bias = torch.zeros(4 * hidden)
        bias[hidden : 2 * hidden] = 1.0  # forget gates start open
        self.gates.bias = nn.Parameter(bias)

    def forward(self, inputs: Tensor, state: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        gates = self.gates(torch.cat((inputs, state), 1)).to(cell.dtype)
        n, _, h, w = gates.shape
        state, cell = gated_update(_rows(gates), _rows(cell))
        return _maps(state, n, h, w), _maps(cell, n, h, w)


def _rows(maps: Tensor) -> Tensor:
    """[N, C, h, w] -> [N h w, C]; no copy of maps in channels-last memory."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _maps(rows: Tensor, n: int, h: int, w: int) -> Tensor:
    """The way back."""
    return rows.view(n, h, w, -1).permute(0, 3, 1, 2)
