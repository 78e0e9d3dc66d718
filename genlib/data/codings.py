"""Pixel codings: what a model learns in place of grey values in [0, 1].

Public images are floats [N, C, H, W] in [0, 1]; a model turns them into its own coding here and back again.

Binary MNIST exists in several forms whose likelihoods differ by more than 15 nats, so each form has a name:

* ``threshold``: 1 where the grey value is at least 0.33 x 256 (of 255).
* ``dynamic``: each pixel a Bernoulli draw with its grey value as probability, drawn anew every time for training.
* ``static``: the same draw, made once.

All three leave an image of zeros and ones as it is, so coding twice is coding once.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

Binarisation = Literal["threshold", "dynamic", "static"]
BINARISATIONS: tuple[str, ...] = get_args(Binarisation)

FIXED_SEED = 2016  # seed of every draw that is made once: the test sets, and `static` training sets


def fixed_generator(device: torch.device | str = "cpu") -> torch.Generator:
    """The generator behind every draw that must be the same each time."""
    return torch.Generator(device).manual_seed(FIXED_SEED)


def binarise(images: Tensor, form: str, generator: torch.Generator | None = None) -> Tensor:
    """Images in [0, 1] -> float images of zeros and ones, same shape.

    ``generator`` drives the draw of ``dynamic`` and ``static``; without one the fixed seed is used, so that the result
    depends on the images alone.
    """
    if form == "threshold":
        return (images * 255 >= 0.33 * 256).to(images.dtype)
    if form not in BINARISATIONS:
        raise ValueError(f"unknown binarisation {form!r}; one of {', '.join(BINARISATIONS)}")
    if images.device.type == "meta":
        return torch.empty_like(images)
    if generator is None:
        generator = fixed_generator(images.device)
    return (torch.rand(images.shape, generator=generator, device=images.device) < images).to(images.dtype)


def to_levels(images: Tensor, levels: int) -> Tensor:
    """Images in [0, 1] -> integer levels 0 .. levels-1 (int64, same shape), bins of equal width."""
    return (images * 255 / 256 * levels).long().clamp_(0, levels - 1)


def from_levels(values: Tensor, levels: int) -> Tensor:
    """Integer levels -> images in [0, 1]; level 0 is 0 and the last level is 1."""
    return values.float() / (levels - 1)


def to_symmetric(images: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1]."""
    return images * 2 - 1


def from_symmetric(values: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1], clipped."""
    return ((values + 1) / 2).clamp(0, 1)
