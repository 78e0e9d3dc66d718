"""Lossless: what is decoded is what went in, and the file is as long as the model's nats say."""

import math
from dataclasses import replace

import pytest
import torch
from small_models import COLOUR, small, strokes
from torch import Tensor

import genlib
from genlib.codec import lossless
from genlib.codec.container import Container
from genlib.data import datasets
from genlib.errors import GenlibError
from genlib.models import catalogue

ABLE = [name for name in catalogue.names() if lossless.can_code(catalogue.get(name))]
CONDITIONAL = ["gated-pixelcnn", "pixelcnn++"]


def levels_of(model, n: int, seed: int = 0) -> Tensor:
    """Random images of the model's values, [n, C, H, W]."""
    levels = model.config.levels
    drawn = torch.randint(levels, (n, *model.config.shape), generator=torch.Generator().manual_seed(seed))
    return drawn.float() / (levels - 1)


def payload_nats(data: bytes) -> float:
    """What the stream itself holds."""
    return len(Container.from_bytes(data).payload) * 8 * math.log(2)


def test_every_model_of_pixels_can() -> None:
    assert set(ABLE) == {
        "pixelcnn", "gated-pixelcnn", "row-lstm", "spatial-lstm", "diagonal-bilstm", "multiscale", "pixelcnn++",
        "video-pixel",
    }  # fmt: skip


@pytest.mark.parametrize("shape", [(1, 8, 8), COLOUR])
@pytest.mark.parametrize("levels", [2, 5, 256])
@pytest.mark.parametrize("name", ABLE)
def test_decoded_is_what_was_encoded(name: str, levels: int, shape: tuple[int, int, int]) -> None:
    model = small(name, shape, levels=levels)
    images = levels_of(model, 3)
    data = lossless.compress(model, images)
    assert torch.equal(lossless.decompress(model, data), images)
    nats = -float(model.log_prob(images).sum())
    assert abs(payload_nats(data) - nats) < 0.002 * nats + 8 * math.log(2)  # whole bytes


@pytest.mark.parametrize("name", CONDITIONAL)
def test_classes_travel_with_the_images(name: str) -> None:
    model = small(name, classes=3)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.3)  # so that classes differ
    images = strokes(n=5)
    of_class = torch.stack([model.log_prob(images, label=y) for y in range(3)])
    for label, chosen in ((None, of_class.argmax(0)), (2, torch.full((5,), 2)), (torch.tensor([0, 1, 2, 1, 0]),) * 2):
        data = lossless.compress(model, images, label=label)
        assert torch.equal(lossless.decompress(model, data), images)
        nats = 5 * math.log(3) - float(of_class.gather(0, chosen[None]).sum())
        assert abs(payload_nats(data) - nats) < 0.002 * nats + 8 * math.log(2)
    with pytest.raises(GenlibError, match="knows the labels 0 to 2"):
        lossless.compress(model, images, label=3)


def test_many_images_go_in_batches_and_progress_is_told() -> None:
    model, told = small("spatial-lstm"), []
    images = levels_of(model, lossless.CHUNK + 3)
    data = lossless.compress(model, images, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (8 * len(images), 8 * len(images))
    assert torch.equal(
        lossless.decompress(model, data, progress=lambda done, total: told.append((done, total))), images
    )
    assert told[len(told) // 2 :] == told[: len(told) // 2]


def test_no_images_are_a_file_too() -> None:
    model = small("pixelcnn")
    data = lossless.compress(model, torch.zeros(0, 1, 8, 8))
    assert lossless.decompress(model, data).shape == (0, 1, 8, 8)


def test_what_it_refuses() -> None:
    model, images = small("pixelcnn", binarisation="threshold"), strokes()
    data = lossless.compress(model, images)
    grey = images * 0.6
    with pytest.raises(GenlibError, match="images of black and white, and these have other values"):
        lossless.compress(model, grey)
    assert torch.equal(lossless.decompress(model, lossless.compress(model, grey, reduce=True)), images)
    with pytest.raises(GenlibError, match="images of 4 values a channel"):
        lossless.compress(small("pixelcnn", levels=4), grey)
    with pytest.raises(GenlibError, match=r"1 x 8 x 8 .*, not 1 x 8 x 9: resize"):
        lossless.compress(model, torch.zeros(2, 1, 8, 9))
    with pytest.raises(GenlibError, match="not trained with class labels"):
        lossless.compress(model, images, label=1)
    for other in ("vae", "pixelcnn-autoencoder"):
        with pytest.raises(GenlibError, match="no exact likelihood"):
            lossless.compress(small(other), images)
    with pytest.raises(GenlibError, match="other weights"):
        lossless.decompress(small("pixelcnn", seed=1, binarisation="threshold"), data)
    container = Container.from_bytes(data)
    for payload in (container.payload[:-3], b"\xff" * 40, bytes([container.payload[0] ^ 255]) + container.payload[1:]):
        with pytest.raises(GenlibError, match=r"do not fit this model|decodes to other images"):
            lossless.decompress(model, replace(container, payload=payload).to_bytes())
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(math.nan)
    with pytest.raises(GenlibError, match="diverged"):
        lossless.compress(model, images)


# --- the shipped checkpoints ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n"), [("spatial-lstm-mnist", 1000), ("pixelcnn-mnist", 128), ("diagonal-bilstm-mnist", 128)]
)
def test_test_digits_come_back_and_cost_what_the_model_says(name: str, n: int) -> None:
    model = genlib.load(name, device="cpu")
    coded = model.code(datasets.load("mnist").batch("test", slice(0, n)))
    data = lossless.compress(model, coded)
    assert torch.equal(lossless.decompress(model, data), coded)
    nats = -float(model.log_prob(coded).double().sum())
    assert payload_nats(data) < 1.01 * nats
    assert len(data) * 8 * math.log(2) < 1.01 * nats + 8 * math.log(2) * 50  # header and checksums
