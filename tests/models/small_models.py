"""Small versions of every model of the catalogue, and images to try them on."""

from typing import Any

import torch
from torch import Tensor

from genlib.models import Model, get

SMALL: dict[str, dict[str, Any]] = {
    "gan": {"latent": 4, "generator_width": 4, "discriminator_width": 8, "learning_rate": 1e-2},
    "dcgan": {"generator_width": 8, "discriminator_width": 16},
    "dcgan-bn": {"latent": 4, "generator_width": 4, "discriminator_width": 4, "learning_rate": 1e-3},
    "wgan-gp": {
        "latent": 4,
        "generator_width": 4,
        "discriminator_width": 4,
        "discriminator_steps": 2,
        "learning_rate": 1e-3,
    },
    "gran": {
        "steps": 2,
        "latent": 3,
        "hidden": 6,
        "generator_width": 4,
        "discriminator_width": 4,
        "learning_rate": 1e-3,
    },
    "vae": {"learning_rate": 1e-3},
    "vae-mlp": {"latent": 3, "hidden": 16, "learning_rate": 1e-3},
    "draw": {"steps": 3, "hidden": 8, "latent": 3, "read_size": 2, "write_size": 3},
    "one-shot": {"steps": 3, "hidden": 8, "latent": 3, "read_size": 2, "write_size": 3, "example_size": 3},
    "draw-noattn": {"steps": 3, "hidden": 8, "latent": 3},
    "conv-draw": {"steps": 3, "hidden": 6, "latent": 2, "read": 4, "patch": 2},
    "pixelcnn": {"hidden": 8, "blocks": 1, "head": 8, "first_kernel": 3},
    "gated-pixelcnn": {"hidden": 8, "layers": 3, "head": 8, "first_kernel": 3},
    "row-lstm": {"hidden": 8, "layers": 2, "head": 8, "first_kernel": 3},
    "spatial-lstm": {"hidden": 8, "layers": 2, "head": 8, "first_kernel": 3},
    "diagonal-bilstm": {"hidden": 8, "layers": 2, "head": 8, "first_kernel": 3},
    "multiscale": {"small_hidden": 8, "small_blocks": 1, "hidden": 8, "blocks": 1, "head": 8, "up_features": 5},
    "pixelcnn++": {
        "filters": 6,
        "filters_half": 6,
        "filters_quarter": 6,
        "blocks": 1,
        "blocks_quarter": 1,
        "mixtures": 2,
    },
    "video-pixel": {
        "frame": 2,
        "hidden": 6,
        "layers": 2,
        "head": 8,
        "first_kernel": 3,
        "encoder": 5,
        "encoder_blocks": 1,
        "memory": 4,
    },
    "pixelcnn-autoencoder": {"hidden": 6, "layers": 2, "head": 8, "first_kernel": 3, "latent": 3, "encoder": 6},
}
GREY = (1, 8, 8)
COLOUR = (3, 6, 5)  # odd and even sides
N = 4


def small(name: str, shape: tuple[int, int, int] = GREY, seed: int = 0, **values: Any) -> Model:
    """A model that is quick to run."""
    kind = get(name)
    return kind.from_config(kind.configure(None, shape, **{**SMALL[name], **values}), seed).eval()


def strokes(shape: tuple[int, int, int] = GREY, n: int = N, seed: int = 0) -> Tensor:
    """Binary images [n, C, H, W] with some structure: each a random row and column of ones."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(n, *shape)
    for image in images:
        image[:, torch.randint(shape[1], (), generator=generator)] = 1
        image[..., torch.randint(shape[2], (), generator=generator)] = 1
    return images
