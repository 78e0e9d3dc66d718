"""Maps as [H, W, N, features], and masked convolutions and whole causal networks on them.

Layers that go from pixel to pixel want what belongs to one pixel of all images together. 1x1 layers are then plain matrix
products, and a layer with a kernel is one product with what its taps see side by side.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from genlib.layers.lstm2d import LSTM2d
from genlib.layers.lstm2d_kernel import Pointwise, serves
from genlib.layers.masked import MaskedConv2d, Step
from genlib.layers.sweeps import Tap


def to_maps(images: Tensor) -> Tensor:
    """[N, C, H, W] -> [H, W, N, C]."""
    return images.permute(2, 3, 0, 1).contiguous()


def to_images(maps: Tensor) -> Tensor:
    """[H, W, N, C] -> [N, C, H, W]."""
    return maps.permute(2, 3, 0, 1)


def taps(layer: MaskedConv2d) -> tuple[Tap, ...]:
    """The places that a masked convolution looks at, as (rows, columns) to add."""
    reach = layer.kernel // 2
    above = [(r, c) for r in range(-reach, 0) for c in range(-reach, reach + 1)]
    left = [(0, c) for c in range(-reach, 0)]
    own = [] if layer.kind == "A" and layer.groups == 1 else [(0, 0)]
    return (*above, *left, *own)


def tap_weights(layer: MaskedConv2d) -> Tensor:
    """Its weights, masked, in the order of `taps`, [taps, in, out]."""
    return layer.causal_weight().permute(2, 3, 1, 0).flatten(0, 1)[: len(taps(layer))]


def convolve(layer: MaskedConv2d, x: Tensor) -> Tensor:
    """A masked convolution, [H, W, N, in] -> [H, W, N, out]."""
    if layer.kernel == 1:
        return F.linear(x, layer.causal_weight()[:, :, 0, 0], layer.bias)
    height, width, n, _ = x.shape
    reach = layer.kernel // 2
    padded = F.pad(x, (0, 0, 0, 0, reach, reach, reach, 0))
    seen = torch.stack([padded[reach + r :, reach + c :][:height, :width] for r, c in taps(layer)])
    by_pixel = seen.flatten(1, 3).transpose(0, 1).reshape(height * width * n, -1)  # without a copy for one channel
    return torch.addmm(layer.bias, by_pixel, tap_weights(layer).flatten(0, 1)).view(height, width, n, -1)


def run(steps: Iterable[Step | LSTM2d], x: Tensor) -> Tensor:
    """A causal network over whole maps, [H, W, N, in] -> [H, W, N, out]. Of a `Step` only the ReLUs count."""
    for step in steps:
        if isinstance(step, LSTM2d):
            x = step(x)
            continue
        x = apply(step, x)
    return x


def apply(step: Step, x: Tensor) -> Tensor:
    """A masked convolution with its ReLUs, [H, W, N, in] -> [H, W, N, out]."""
    if step.layer.kernel == 1 and serves(x, step.layer.weight):
        weight = step.layer.causal_weight()[:, :, 0, 0].t()
        y: Tensor = Pointwise.apply(x, weight, step.layer.bias, step.relu_before, step.relu_after)
        return y
    y = convolve(step.layer, x.relu() if step.relu_before else x)
    return y.relu_() if step.relu_after else y
