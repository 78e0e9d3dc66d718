"""Lossless: images as the bits that a model with an exact likelihood needs to name them.

A model's predictions, p(value | everything before it), drive an arithmetic coder (Rissanen & Langdon 1979; Witten, Neal & Cleary
1987): an image costs -ln p(x) / (8 ln 2) bytes. The decoder is a sampler whose values come from the bit stream in place of random
numbers; the encoder is the same walk with the values given. So both sides ask the same cached sampler for the same logits, in
batches of the same size, and see the same floats.

All images share one stream. Of a class-conditional model, the class of each image goes before its pixels, at ln K nats: by default
the one under which the image is likeliest. That is at most the posterior's spread more than the marginal likelihood.

Fields of the file: CRC-32 of the values. A machine whose arithmetic differs in a last bit may decode something else; then it says
so.
"""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlib.codec.container import Container
from genlib.codec.stream import decoder, encoder, finite, same_arithmetic, seal
from genlib.errors import GenlibError
from genlib.models.autoregressive import AutoregressiveModel, Labels
from genlib.models.contract import Model
from genlib.sampling import Draws

CHUNK = 128  # images that are coded side by side; part of the format, as batches of other sizes sum in other orders
CHECK = 4  # bytes of the values' checksum

Progress = Callable[[int, int], None]
"""Called with (rows done, rows in all)."""


def can_code(model: Model | type[Model]) -> bool:
    """Whether a model, or a class of models, can compress without loss."""
    return issubclass(model if isinstance(model, type) else type(model), AutoregressiveModel)


def compress(
    model: Model, images: Tensor, *, label: Labels = None, reduce: bool = False, progress: Progress | None = None
) -> bytes:
    """Images [N, C, H, W] in [0, 1] -> a file, from which `decompress` makes the same images, exactly.

    ``label``: the class of all images, or of each, [N]; only for class-conditional models. ``reduce``: first reduce the
    images to the values that the model knows, as in its training (for 2 levels: make them black and white); without it,
    other images are refused.

    Raises `GenlibError` for a model without the ability, for images of another shape and for other values.
    """
    network = coder_of(model)
    coded = network.code(images.to(network.device, torch.float32))
    if coded.shape[1:] != network.config.shape:
        wanted, got = (" x ".join(map(str, shape)) for shape in (network.config.shape, coded.shape[1:]))
        raise GenlibError(
            f"{model.name} compresses images of {wanted} (channels, height, width), not {got}: resize them."
        )
    if not reduce:
        _refuse_other_values(network, images.to(coded), coded)
    values = network.values(coded).to(torch.int32)
    with torch.no_grad(), same_arithmetic():
        labels = likeliest_classes(network, coded) if label is None else network.checked_labels(label, len(coded))
        coder = encoder()
        writer = _Writer(coder, network.config.levels)
        for part in _parts(len(values)):
            of_part = None if labels is None else labels[part]
            if of_part is not None:
                coder.encode(of_part.cpu().numpy().astype(np.int32), _uniform(network.classes))
            writer.values = values[part].permute(2, 3, 1, 0).contiguous().cpu().numpy()
            _walk(network, len(values[part]), of_part, writer, progress, part.start, len(values))
    fields = _checksum(values)
    return Container.of("lossless", model, len(values), fields, seal(coder)).to_bytes()


def decompress(model: Model, data: bytes, *, progress: Progress | None = None) -> Tensor:
    """The images of a file that `compress` wrote with this very model, [N, C, H, W] in [0, 1].

    Raises `GenlibError` for whatever else it is given; never returns other images.
    """
    network = coder_of(model)
    container = Container.from_bytes(data)
    container.check("lossless", model)
    canvas = torch.zeros(container.count, *network.config.shape, device=network.device)
    coder = decoder(container.payload)
    reader = _Reader(coder, network.config.levels)
    with torch.no_grad(), same_arithmetic():
        for part in _parts(len(canvas)):
            labels = None
            if network.classes:
                found = coder.decode(_uniform(network.classes), len(canvas[part]))
                labels = torch.from_numpy(found.astype(np.int64)).to(network.device)
            canvas[part] = _walk(network, len(canvas[part]), labels, reader, progress, part.start, len(canvas))
    if container.fields != _checksum(network.values(canvas)):
        raise GenlibError(
            "The file decodes to other images than went into it, as this machine's or this PyTorch's arithmetic differs from "
            "that of the one which wrote it: decompress it there."
        )
    return canvas


def coder_of(model: Model) -> AutoregressiveModel:
    """The model, as what it must be to compress without loss; any other is a `GenlibError`."""
    if not isinstance(model, AutoregressiveModel):
        raise GenlibError(
            f"{model.name} has no exact likelihood pixel by pixel, so it cannot compress without loss: "
            "take an autoregressive model, e.g. pixelcnn-mnist."
        )
    return model


def _refuse_other_values(model: AutoregressiveModel, images: Tensor, coded: Tensor) -> None:
    levels = model.config.levels
    if bool(((images - coded).abs() > 0.5 / 255).any()):
        wanted = "black and white" if levels == 2 else f"{levels} values a channel"
        raise GenlibError(
            f"{model.name} compresses images of {wanted}, and these have other values: have them reduced first "
            "(`--fit`, or reduce=True); what is kept is the image so reduced."
        )


def likeliest_classes(model: Model, images: Tensor) -> Tensor | None:
    """The class under which each image [N, C, H, W] is likeliest, [N]; None for a model without classes."""
    network = coder_of(model)
    if not network.classes:
        return None
    if not len(images):
        return torch.zeros(0, dtype=torch.long)
    of_class = [network.log_prob(images, label=y) for y in range(network.classes)]
    return torch.stack(of_class).argmax(0)


def _parts(n: int) -> list[slice]:
    return [slice(start, min(n, start + CHUNK)) for start in range(0, n, CHUNK)]


def _uniform(classes: int) -> Any:
    import constriction

    return constriction.stream.model.Uniform(classes)


def _checksum(values: Tensor) -> bytes:
    return zlib.crc32(values.to(torch.uint8).cpu().contiguous().numpy().tobytes()).to_bytes(CHECK, "little")


def _walk(
    model: AutoregressiveModel, batch: int, labels: Tensor | None, draws: Draws, progress: Progress | None,
    before: int, images: int,
) -> Tensor:  # fmt: skip
    """One batch through the coder; the coded images [B, C, H, W]. ``before``: images done already, of ``images``."""
    canvas = torch.zeros(batch, *model.config.shape, device=model.device)
    nothing = torch.zeros(model.config.shape[1:], dtype=torch.bool)
    for row in model.walk(canvas, nothing, labels, draws):
        if progress is not None:
            height = model.config.height
            progress(before * height + batch * (row + 1), images * height)
    return canvas


class _Side:
    """What writer and reader have in common: from logits to the coder's distributions, the same on both sides."""

    def __init__(self, coder: Any, levels: int) -> None:
        import constriction

        self.coder, self.levels = coder, levels
        kind = constriction.stream.model.Bernoulli if levels == 2 else constriction.stream.model.Categorical
        self.family = kind(perfect=False)

    def chances(self, logits: Tensor) -> np.ndarray:
        """Logits [B, 1] or [B, levels] -> p(1) [B], or p of every value [B, levels]."""
        p = logits[:, 0].sigmoid() if self.levels == 2 else logits.softmax(1)
        return finite(p.cpu().numpy())


class _Writer(_Side):
    """Draws that are given: ``values`` int32 [H, W, C, B] go to the coder and to the network."""

    values: np.ndarray

    def __call__(self, logits: Tensor, row: int, column: int, channel: int) -> Tensor:
        values = self.values[row, column, channel]
        self.coder.encode(values, self.family, self.chances(logits))
        return torch.from_numpy(values).to(logits) / (self.levels - 1)


class _Reader(_Side):
    """Draws that come from the coder."""

    def __call__(self, logits: Tensor, row: int, column: int, channel: int) -> Tensor:
        try:
            values = self.coder.decode(self.family, self.chances(logits))
        except AssertionError:  # the coder's word for a stream that no such distributions can have written
            raise GenlibError("The file's bits do not fit this model: decompress it where it was written.") from None
        return torch.from_numpy(values).to(logits) / (self.levels - 1)
