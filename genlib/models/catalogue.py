"""Every model by name. A new model is one file with a `Model` subclass and one line here."""

from importlib import import_module
from typing import Any

from genlib.data import describe
from genlib.errors import GenlibError
from genlib.models.contract import Config, Model

# name -> "module:class"; a model's module is imported when it is first asked for
_WHERE: dict[str, str] = {
    "gan": "genlib.models.gan:GAN",
    "dcgan": "genlib.models.dcgan:DCGAN",
    "dcgan-bn": "genlib.models.dcgan_bn:DCGANBatchNorm",
    "wgan-gp": "genlib.models.wgan_gp:WGANGP",
    "gran": "genlib.models.gran:GRAN",
    "vae": "genlib.models.vae:VAE",
    "vae-mlp": "genlib.models.vae_mlp:VAEMLP",
    "draw": "genlib.models.draw:DRAW",
    "draw-noattn": "genlib.models.draw_noattn:DRAWNoAttention",
    "one-shot": "genlib.models.one_shot:OneShot",
    "conv-draw": "genlib.models.conv_draw:ConvDRAW",
    "pixelcnn": "genlib.models.pixelcnn:PixelCNN",
    "gated-pixelcnn": "genlib.models.gated_pixelcnn:GatedPixelCNN",
    "row-lstm": "genlib.models.row_lstm:RowLSTM",
    "spatial-lstm": "genlib.models.spatial_lstm:SpatialLSTM",
    "diagonal-bilstm": "genlib.models.diagonal_bilstm:DiagonalBiLSTM",
    "multiscale": "genlib.models.multiscale:MultiScale",
    "pixelcnn++": "genlib.models.pixelcnnpp:PixelCNNPP",
    "video-pixel": "genlib.models.video_pixel:VideoPixel",
    "pixelcnn-autoencoder": "genlib.models.pixelcnn_autoencoder:PixelCNNAutoencoder",
}


def names() -> list[str]:
    """The names of all models."""
    return list(_WHERE)


def get(name: str) -> type[Model]:
    """The model class of a name. An unknown name is a `GenlibError`."""
    if name not in _WHERE:
        raise GenlibError(f"There is no model named {name!r}; choose one of {', '.join(_WHERE)}.")
    module, _, attribute = _WHERE[name].partition(":")
    return getattr(import_module(module), attribute)


def configure(name: str, preset: str | None = None, data: str | None = None, **values: Any) -> Config:
    """A model's config: the preset, then the data set's image shape, then single values."""
    return get(name).configure(preset, describe(data).shape if data else None, **values)


def create(name: str, preset: str | None = None, data: str | None = None, *, seed: int = 0, **values: Any) -> Model:
    """A model with fresh weights, e.g. ``create("pixelcnn", preset="tutorial", data="mnist")``.

    ``values`` override single config fields. Raises `GenlibError` for an unknown model, preset, data set or field and for
    a value out of bounds.
    """
    return get(name).from_config(configure(name, preset, data, **values), seed)
