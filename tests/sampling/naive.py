"""The judge of every fast sampler: one full forward pass for each sub-pixel, no memory, nothing clever."""

import numpy as np
import torch
from torch import Tensor

from genlib.sampling import uniforms


@torch.no_grad()
def naive_complete(
    model, images: Tensor, known: Tensor, n: int, *, labels=None, seed: int = 0, temperature: float = 1.0
) -> Tensor:
    """What `complete` promises, [N, n, C, H, W]: each unknown sub-pixel, in the model's order, from its cumulative
    distribution.

    ``labels`` [N * n]: the class of each picture, for class-conditional models.
    """
    levels = model.config.levels
    dtype = next(model.parameters()).dtype
    canvas = (model.code(images.to(dtype)) * known).repeat_interleave(n, 0)
    u = uniforms(len(canvas), model.config.shape, model.generator(seed))  # [H, W, C, B]
    for place in model.order().flatten().argsort().tolist():
        channel, row, column = (int(i) for i in np.unravel_index(place, model.config.shape))
        if known[row, column]:
            continue
        log_p = model.level_log_probs(model(canvas, labels), canvas)[:, channel, :, row, column]
        p = torch.softmax(log_p / temperature, 1)
        if levels == 2:
            value = u[row, column, channel] < p[:, 1]
        else:
            value = (u[row, column, channel, :, None] >= p.cumsum(1)[:, :-1]).sum(1)
        canvas[:, channel, row, column] = value.to(dtype) / (levels - 1)
    return canvas.unflatten(0, (len(images), n))


def naive_sample(model, n: int, *, labels=None, seed: int = 0, temperature: float = 1.0) -> Tensor:
    """What `sample` promises, [n, C, H, W]."""
    channels, height, width = model.config.shape
    nothing = torch.zeros(1, channels, height, width)
    known = torch.zeros(height, width, dtype=torch.bool)
    return naive_complete(model, nothing, known, n, labels=labels, seed=seed, temperature=temperature)[0]
