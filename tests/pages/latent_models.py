"""What the tests of the Latent space page need: a small data set, and planes of every kind without training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from genlib.data import load
from genlib.models.vae import VAE
from genlib.training import checkpoint

TEST_IMAGES = 300


def small_mnist(folder: Path) -> Path:
    """A folder for ``$GENLIB_DATA`` whose MNIST has 300 test images: the real ones, so that encoding takes no time."""
    images, labels = load("mnist").images("test")[:, 0].numpy(), load("mnist").labels("test").numpy().astype(np.uint8)
    test, train = slice(0, TEST_IMAGES), slice(TEST_IMAGES, TEST_IMAGES + 100)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "mnist.npz",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
    )
    return folder


def lively_vae(seed: int = 0, **values: object) -> VAE:
    """Untrained, but its codes spread as the prior does, and its decodes change over the plane."""
    model = VAE.from_config(VAE.configure(None, (1, 28, 28), **values), seed)
    with torch.no_grad():
        mean = model.encode(load("mnist").batch("train", slice(0, 200)))[0]
        model.encoder.mean.weight /= mean.std(0)[:, None]
        model.encoder.mean.bias -= mean.mean(0)
        model.encoder.mean.bias /= mean.std(0)
        model.encoder.log_var.bias -= 4.0
        model.decoder.dense.weight *= 20
        model.decoder.dense.bias += torch.linspace(-2, 2, len(model.decoder.dense.bias))
    return model.eval()


def collapsed_vae() -> VAE:
    """Every code is at the origin and as wide as the prior; every decode is the same."""
    model = lively_vae()
    with torch.no_grad():
        for head in (model.encoder.mean, model.encoder.log_var):
            head.weight.zero_()
            head.bias.zero_()
        model.decoder.dense.weight.zero_()
    return model


def far_vae() -> VAE:
    """The codes spread over nine standard deviations of the prior."""
    model = lively_vae()
    with torch.no_grad():
        model.encoder.mean.weight *= 9
        model.encoder.mean.bias *= 9
        model.decoder.dense.weight /= 9
    return model


PLANES: dict[str, Callable[[], VAE]] = {
    "vae-mnist": lively_vae,
    "vae-mnist-collapsed": collapsed_vae,
    "vae-mnist-far": far_vae,
    "vae-mnist-three": lambda: lively_vae(latent=3),
}


def write_checkpoints(folder: Path) -> Path:
    """Save every one of `PLANES` under its name."""
    for name, make in PLANES.items():
        save(folder / f"{name}.safetensors", make())
    return folder


def save(path: Path, model: VAE, data: str = "mnist") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save(path, model, model.state_dict(), checkpoint.Origin(data=data, step=1))
