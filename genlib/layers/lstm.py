"""The LSTM cell (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000) as one matrix product.

torch's ``nn.LSTMCell`` keeps two weight matrices and two biases. Here input and state are laid side by side, so that a
step is one product and the bias is counted once, as in the papers' equations.
"""

import math

import torch
from torch import Tensor, nn


class LSTMCell(nn.Module):
    """One step of an LSTM: (input [N, in], state [N, H], cell [N, H]) -> (state, cell).

    The rows of ``weight`` [4 H, in + H] are the gates in the order input, forget, output, candidate; its columns the inputs,
    then the state.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.weight = nn.Parameter(torch.empty(4 * hidden, inputs + hidden))
        self.bias = nn.Parameter(torch.zeros(4 * hidden))
        scale = 1 / math.sqrt(hidden)
        nn.init.uniform_(self.weight, -scale, scale)
        with torch.no_grad():  # gates that start open let the gradient reach the first steps (Jozefowicz et al. 2015)
            self.bias[hidden : 2 * hidden] = 1.0

    def forward(self, inputs: Tensor, state: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        gates = torch.addmm(self.bias, torch.cat((inputs, state), 1), self.weight.t())  # [N, 4 H]
        return gated_update(gates, cell)


def gated_update(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Gate values before their non-linearities [N, 4 H] and the old cell [N, H] -> new state and cell, [N, H] each."""
    hidden = cell.shape[1]
    i, f, o = torch.sigmoid(gates[:, : 3 * hidden]).chunk(3, 1)
    cell = f * cell + i * torch.tanh(gates[:, 3 * hidden :])
    return o * torch.tanh(cell), cell
