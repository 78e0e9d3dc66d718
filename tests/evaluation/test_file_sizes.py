"""Sizes of files: what is counted is what lies on the disk, and the others get their best."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import small, strokes

from genlib.codec import lossless
from genlib.codec.container import Container
from genlib.errors import GenlibError
from genlib.evaluation import file_sizes as sizes


def test_a_mosaic_holds_every_picture_once() -> None:
    pixels = np.arange(5 * 2 * 3).reshape(5, 2, 3) + 1
    sheet = sizes.mosaic(pixels, 2)
    assert sheet.shape == (6, 6)
    for i, one in enumerate(pixels):
        row, column = 2 * (i // 2), 3 * (i % 2)
        assert (sheet[row : row + 2, column : column + 3] == one).all()
    assert not sheet[4:, 3:].any()
    assert sizes.mosaic(np.zeros((4, 2, 3, 3)), 4).shape == (2, 12, 3)


@pytest.mark.parametrize("levels", [2, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_formats_lose_nothing(channels: int, levels: int) -> None:
    images = torch.randint(levels, (1, channels, 9, 7), generator=torch.Generator().manual_seed(0)) / (levels - 1)
    for name, write in sizes.formats().items():
        if write is not None:
            with Image.open(io.BytesIO(write(Image.fromarray(sizes.pictures(images, levels)[0])))) as file:
                back = np.asarray(file.convert("RGB")) / 255
            assert np.abs(back.transpose(2, 0, 1) - images[0].numpy()).max() < 1e-6, name


def test_what_is_counted_are_the_files() -> None:
    model, images = small("pixelcnn", binarisation="threshold"), strokes(n=5)
    told: list[tuple[int, int]] = []
    found = sizes.file_sizes(model, images, name="my-run", progress=lambda *values: told.append(values))
    ours, png, webp, jxl = found.rows
    whole = Container.from_bytes(lossless.compress(model, images)).renamed("my-run")
    assert ours.name == "my-run"
    assert ours.batch == len(whole.to_bytes()) / 5
    assert found.payload == len(whole.payload) / 5
    assert found.nats / math.log(2) / 8 == pytest.approx(found.payload, abs=0.3)
    assert ours.single is not None
    assert ours.single > whole.overhead
    assert told[-1] == (5, 5)
    assert (png.name, webp.name, jxl.name) == ("PNG", "WebP", "JPEG XL")
    assert png.single is not None
    assert png.batch is not None
    assert png.batch < png.single
    assert found.saving("PNG") == 1 - ours.batch / png.batch
    assert found.saving("PNG", batch=False) == 1 - ours.single / png.single
    assert (found.saving("JPEG XL") is None) == (jxl.batch is None)


def test_a_format_that_is_not_here_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "_has_jxl", lambda: False)
    assert sizes.format_size("JPEG XL", np.zeros((2, 3, 3), np.uint8)) == sizes.Size("JPEG XL", None, None)
    with pytest.raises(GenlibError, match="no exact likelihood"):
        sizes.file_sizes(small("vae"), strokes())
