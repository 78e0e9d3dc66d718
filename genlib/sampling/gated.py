"""What gated stacks remember while an image is drawn (`genlib.layers.gated`).

* Once a row the vertical stack is run through all its layers: it knows the rows above, which are complete. Its share in
  the horizontal stack's gates, biases and conditions included, is then ready for every pixel of the row.
* Once a pixel the horizontal stack is run, four operations a layer. It looks at its own row only, so rows that are known
  as a whole never enter it.

As in `genlib.sampling.masked`, the maps of each colour are computed in their turn, all buffers keep their addresses, and
what has to be run for a pixel is a list of prepared operations.

Weights are prepared for the form of the gate that takes a single sigmoid, tanh(f) = 1 - 2 sigmoid(-2 f): what goes into f
is multiplied by -2 beforehand. The bias of the layer after the gate is one more row of its weights, for an input of one.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from genlib.layers.gated import GatedLayer, gate
from genlib.layers.masked import MaskedConv2d
from genlib.sampling.masked import Operation


class _Vertical:
    """The vertical stack of one layer: the rows it still looks at, and its work for one row.

    ``rows`` are the last k // 2 + 1 rows of its input with their margins, [B, k // 2 + 1, W + 2 (k // 2), in].
    """

    def __init__(self, layer: GatedLayer, batch: int, width: int, term: Tensor | None) -> None:
        weight = layer.vertical.weight  # [2p, in, k // 2 + 1, k]
        out, inputs, height, kernel = weight.shape
        self.layer, self.reach, self.shift = layer, height - 1, layer.vertical.shift
        self.term = term
        self.rows = weight.new_zeros(batch, height, width + kernel - 1, inputs)
        b, r, w, i = self.rows.stride()
        self._view = (width, batch, height, kernel, inputs), (w, b, r, w, i)
        self._windows = weight.new_empty(self._view[0])
        self._weight = weight.permute(2, 3, 1, 0).reshape(-1, out)  # [(k // 2 + 1) k in, 2p]
        self.found = weight.new_empty(width * batch, out)
        self._scale = _scale(out, 1, weight)

    def push(self, row: Tensor) -> None:
        """The next row of the input, [B, W, in]."""
        self.rows[:, :-1] = self.rows[:, 1:].clone()
        self.rows[:, -1, self.reach : self.rows.shape[2] - self.reach] = row

    def run(self, row: Tensor | None) -> None:
        """Compute ``found`` [W B, 2p] for the current row of the image. ``row``: the input's own row, unless it is the image."""
        if row is not None and not self.shift:
            self.push(row)
        self._windows.copy_(self.rows.as_strided(*self._view))
        torch.addmm(self.layer.vertical.bias, self._windows.view(len(self.found), -1), self._weight, out=self.found)
        if row is not None and self.shift:
            self.push(row)

    def gated(self, row: int) -> Tensor:
        """The stack's output for the current row, [B, W, p]."""
        s = self.found.view(*self._view[0][:2], -1)  # [W, B, 2p]
        if self.term is not None:
            s = s + _of_row(self.term, row)
        f, g = (s * self._scale).sigmoid_().chunk(2, 2)
        return torch.addcmul(g, f, g, value=-2).transpose(0, 1)

    def fill(self, x: Tensor, row: int) -> Tensor | None:
        """Known rows of the input, [B, in, R, W], of which the first is ``row`` -> of the output, where there is one."""
        n, height = x.shape[2], self.reach + 1
        rows = torch.cat([self.rows.permute(0, 3, 1, 2), F.pad(x, (self.reach, self.reach))], 2)
        self.rows.copy_(rows[:, :, -height:].permute(0, 2, 3, 1))
        if self.layer.last:
            return None
        seen = rows[:, :, :-1] if self.shift else rows[:, :, 1:]  # R + k // 2 rows, for R rows of output
        found = F.conv2d(seen.contiguous(memory_format=torch.channels_last), self.layer.vertical.weight)
        found += self.layer.vertical.bias[:, None, None]
        term = self.term
        if term is not None:  # [H or 1, W or 1, B, 2p] -> [B, 2p, R or 1, W or 1]
            term = (term if len(term) == 1 else term[row : row + n]).permute(2, 3, 0, 1)
        return gate(1, term, found)


class GatedStackState:
    """A `CausalState` for gated stacks.

    Args:
        layers: at least one, the first reading the image.
        head: 1x1 layers from the last one's maps to the logits; each rectifies what it reads.
        shape: of the images, (C, H, W).
        condition: what the layers are told, [B, m] or [B, m, H, W].
    """

    @torch.inference_mode()
    def __init__(
        self,
        layers: Sequence[GatedLayer],
        head: Sequence[MaskedConv2d],
        batch: int,
        shape: tuple[int, int, int],
        condition: Tensor | None,
    ) -> None:
        channels, _, width = shape
        self._layers, self._head = list(layers), list(head)
        self._row = 0  # rows done
        self._open = False  # was a row begun that is not in the past yet?
        self._fresh = False  # are the features of the current sub-pixel computed?

        weight = self._layers[0].out.weight
        self._vertical, self._across, self._terms = [], [], []
        for layer in self._layers:
            terms = layer.terms(condition)
            scale = _scale(2 * layer.width, channels, weight)
            self._vertical.append(_Vertical(layer, batch, width, _by_place(terms.vertical)))
            term = _by_place(terms.horizontal)
            self._terms.append(None if term is None else term * scale)
            across = layer.across
            assert across.bias is not None
            self._across.append(((across.weight[:, :, 0, 0] * scale[:, None]).t().contiguous(), across.bias * scale))

        def empty(*size: int) -> Tensor:
            return weight.new_empty(*size)

        self._above = [empty(width, batch, 2 * layer.width) for layer in self._layers]
        self._inputs = [  # of the horizontal stack: the row so far with a margin of zeros, [B, k // 2 + W, in]
            weight.new_zeros(batch, layer.horizontal.reach + width, layer.horizontal.weight.shape[1])
            for layer in self._layers
        ]
        self._gates = [empty(batch, 2 * layer.width) for layer in self._layers]
        self._outputs = [weight.new_ones(batch, 1 + layer.width) for layer in self._layers]  # of the gate, after a one
        self._maps = [empty(batch, layer.weight.shape[1]) for layer in self._head]
        self._logits = empty(batch, self._head[-1].weight.shape[0])
        self._answers = self._logits.chunk(channels, 1)

        groups = range(channels)
        reach = self._layers[0].horizontal.reach
        self._pixels = [[self._inputs[0][:, reach + x, c] for c in groups] for x in range(width)]
        weights = [[_group_weights(layer, c, channels) for layer in self._layers] for c in groups]
        tops = [[_head_weights(layer, c, channels) for layer in self._head] for c in groups]
        self._programs = [[self._compile(x, c, channels, weights[c], tops[c]) for c in groups] for x in range(width)]

    def fill_rows(self, values: Tensor) -> None:
        self._end_row()
        x: Tensor | None = values
        for vertical in self._vertical:
            assert x is not None  # only the last layer gives nothing
            x = vertical.fill(x, self._row)
        self._row += values.shape[2]

    def begin_row(self) -> None:
        self._end_row()
        self._open = True
        row: Tensor | None = None
        for vertical, (weight, bias), term, above in zip(
            self._vertical, self._across, self._terms, self._above, strict=True
        ):
            vertical.run(row)
            torch.addmm(bias, vertical.found, weight, out=above.view(vertical.found.shape))
            if term is not None:
                above += _of_row(term, self._row)
            if not vertical.layer.last:
                row = vertical.gated(self._row)

    def logits(self, column: int, channel: int) -> Tensor:
        features, head = self._programs[column][channel]
        if not self._fresh:
            for operation in features:
                operation()
            self._fresh = True
        for operation in head:
            operation()
        return self._answers[channel]

    def write(self, column: int, channel: int, values: Tensor) -> None:
        if not self._fresh:
            for operation in self._programs[column][channel][0]:
                operation()
        self._pixels[column][channel].copy_(values)
        self._fresh = False

    def _end_row(self) -> None:
        if self._open:
            self._vertical[0].push(self._inputs[0][:, self._layers[0].horizontal.reach :])
            self._row += 1
        self._open = False

    def _compile(
        self,
        column: int,
        channel: int,
        channels: int,
        weights: list[tuple[Tensor, Tensor]],
        tops: list[tuple[Tensor, Tensor]],
    ) -> tuple[list[Operation], list[Operation]]:
        """The operations for one group's features at a column, and those that turn them into logits."""

        def group(x: Tensor) -> Tensor:  # [B, maps] -> [B, maps / C]
            return x.chunk(channels, 1)[channel]

        def program(i: int) -> list[Operation]:
            layer, (across, out) = self._layers[i], weights[i]
            row, last = self._inputs[i], layer.last
            window = row.as_strided((len(row), len(across)), (row.stride(0), 1), column * row.shape[2])
            gates, y = group(self._gates[i]), self._outputs[i]
            f, g = gates.chunk(2, 1)
            target = self._maps[0] if last else self._inputs[i + 1][:, self._layers[i + 1].horizontal.reach + column]
            seen = y[:, : len(out)]
            end = partial(torch.mm, seen, out, out=group(target))
            if not layer.first:
                end = partial(torch.addmm, group(row[:, layer.horizontal.reach + column]), seen, out, out=group(target))
            return [
                partial(torch.addmm, group(self._above[i][column]), window, across, out=gates),
                partial(torch.sigmoid_, gates),
                partial(torch.addcmul, g, f, g, value=-2, out=group(y[:, 1:])),
                end,
            ]

        features = [operation for i in range(len(self._layers) - 1) for operation in program(i)]
        answer = program(len(self._layers) - 1)
        for i, (bias, weight) in enumerate(tops):
            x = self._maps[i]
            y = self._logits if i == len(tops) - 1 else self._maps[i + 1]
            answer.append(partial(torch.relu_, group(x)))
            answer.append(partial(torch.addmm, bias, x[:, : len(weight)], weight, out=group(y)))
        return features, answer


def _scale(maps: int, groups: int, like: Tensor) -> Tensor:
    """[2p]: -2 for what goes into f, 1 for what goes into g."""
    halves = like.new_tensor([-2.0, 1.0]).repeat_interleave(maps // groups // 2)
    return halves.repeat(groups)


def _by_place(term: Tensor | None) -> Tensor | None:
    """[B, 2p] or [B, 2p, H, W] -> [H or 1, W or 1, B, 2p]."""
    if term is None:
        return None
    return (term if term.ndim == 4 else term[:, :, None, None]).permute(2, 3, 0, 1).contiguous()


def _of_row(term: Tensor, row: int) -> Tensor:
    """[H or 1, W or 1, B, 2p] -> [W or 1, B, 2p]."""
    return term[0 if len(term) == 1 else row]


def _group_weights(layer: GatedLayer, channel: int, channels: int) -> tuple[Tensor, Tensor]:
    """Weights of one group of maps: of the horizontal convolution [length, 2p / C] and of the layer after the gate
    [1 + p (c + 1) / C, p / C], bias first. The ``length`` inputs are the pixels to the left, then the earlier groups of the pixel itself.
    """
    weight = layer.horizontal.causal_weight()  # [2p, in, 1, k // 2 + 1]
    out, inputs, _, columns = weight.shape
    maps = slice(channel * out // channels, (channel + 1) * out // channels)
    length = inputs * (columns - 1) + (channel + (not layer.first)) * inputs // channels
    across = weight[maps, :, 0].permute(2, 1, 0).reshape(-1, out // channels)[:length]
    bias, after = _head_weights(layer.out, channel, channels)
    return across * _scale(out // channels, 1, weight), torch.cat([bias[None], after])


def _head_weights(layer: MaskedConv2d, channel: int, channels: int) -> tuple[Tensor, Tensor]:
    """Bias [out / C] and weights [in (c + 1) / C, out / C] of one group of a 1x1 layer."""
    weight = layer.causal_weight()[:, :, 0, 0]
    out, inputs = weight.shape
    maps = slice(channel * out // channels, (channel + 1) * out // channels)
    return layer.bias[maps], weight[maps, : (channel + 1) * inputs // channels].t().contiguous()
