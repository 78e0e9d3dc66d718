"""The layer of `genlib.layers.lstm2d` in tensor operations: every type and device, and the judge of the kernel.

Pixels that do not depend on one another form a *front* and are computed at once: a row for the Row LSTM; a diagonal for the
others, whose map is skewed for it as in section 3.2 of the paper (arXiv:1601.06759), so that a diagonal is a column.
"""

import torch
from torch import Tensor

from genlib.layers.sweeps import Sweep


def skew(x: Tensor) -> Tensor:
    """Move row r to the right by r places: [H, W, ...] -> [H, W + H - 1, ...], zeros around it."""
    height, width, *rest = x.shape
    padded = torch.cat([x, x.new_zeros(height, height, *rest)], 1).flatten(0, 1)
    return padded[: height * (width + height - 1)].view(height, width + height - 1, *rest)


def unskew(x: Tensor) -> Tensor:
    """The inverse of `skew`: [H, W + H - 1, ...] -> [H, W, ...]."""
    height, length, *rest = x.shape
    padded = torch.cat([x.flatten(0, 1), x.new_zeros(height, *rest)])
    return padded.view(height, length + 1, *rest)[:, : length + 1 - height]


def moved(x: Tensor, by: int, dim: int) -> Tensor:
    """Along a dimension, place p of the result is place p + ``by`` of x; zeros come in from outside."""
    if by == 0:
        return x
    size = x.shape[dim]
    if abs(by) >= size:
        return torch.zeros_like(x)
    rest = x.narrow(dim, max(by, 0), size - abs(by))
    zeros = torch.zeros_like(x.narrow(dim, 0, abs(by)))
    return torch.cat([rest, zeros] if by > 0 else [zeros, rest], dim)


def residual_sweep(sweep: Sweep, x: Tensor, weight: Tensor, bias: Tensor, up: Tensor, up_bias: Tensor) -> Tensor:
    """x [H, W, N, 2 hidden] -> y of the same shape; see `genlib.layers.lstm2d` for the equations."""
    states = sweep_states(sweep, x, weight, bias)
    total = torch.zeros_like(states[0])
    for state, shift in zip(states, sweep.shifts, strict=True):
        total = total + moved(state, -shift, 0)
    return x + up_bias + total @ up


def sweep_states(sweep: Sweep, x: Tensor, weight: Tensor, bias: Tensor) -> list[Tensor]:
    """The states of each direction, in the image's own coordinates, [H, W, N, hidden] each."""
    # the directions lie side by side, the second mirrored: [H, W, D, N, features]
    both = torch.stack([x, x.flip(1)][: len(sweep.shifts)], 2)
    seen = torch.cat([moved(moved(both, dr, 0), dc, 1) for dr, dc in sweep.input_taps], -1)
    inputs = seen.shape[-1]
    gates = seen @ weight[:, :inputs] + bias[:, None]
    recurrent = weight[:, inputs:]  # [D, taps * hidden, gates]
    if all(dr == -1 for dr, _ in sweep.state_taps):
        fronts = _fronts(sweep, gates, recurrent, along=1, mask=None)  # [H, W, D, N, hidden]
    else:
        height, width = x.shape[:2]
        inside = skew(torch.ones(height, width, dtype=torch.bool, device=x.device)).t()  # [front, row]
        fronts = unskew(_fronts(sweep, skew(gates).transpose(0, 1), recurrent, along=0, mask=inside).transpose(0, 1))
    left, *right = fronts.unbind(2)
    return [left, *(state.flip(1) for state in right)]


def _fronts(sweep: Sweep, gates: Tensor, recurrent: Tensor, along: int, mask: Tensor | None) -> Tensor:
    """Front after front, each from the one before: gates [fronts, places, D, N, gates] -> states likewise.

    ``along`` says which number of a tap moves along a front. Places that ``mask`` [fronts, places] shuts keep zeros.
    """
    hidden = gates.shape[-1] // (3 + len(sweep.cell_taps))
    state = cell = gates.new_zeros(*gates.shape[1:-1], hidden)
    states = []
    for number, front in enumerate(gates):
        before = torch.cat([moved(state, tap[along], 0) for tap in sweep.state_taps], -1)
        i, o, g, *forget = (front + before @ recurrent).split(hidden, -1)
        new = i.sigmoid() * g.tanh()
        for f, tap in zip(forget, sweep.cell_taps, strict=True):
            new = new + f.sigmoid() * moved(cell, tap[along], 0)
        cell = new if mask is None else new * mask[number, :, None, None, None]
        state = o.sigmoid() * cell.tanh()  # zero where the cell is
        states.append(state)
    return torch.stack(states)
