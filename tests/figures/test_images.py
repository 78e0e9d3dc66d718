"""Pictures say what the numbers say: no pixel moves, no value changes that should not."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from genlib.figures import images


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("channels", [1, 3])
def test_to_pixels_keeps_every_value(channels: int) -> None:
    levels = torch.arange(256).float() / 255
    picture = levels.reshape(1, 1, 16, 16).repeat(2, channels, 1, 1)
    pixels = images.to_pixels(picture)
    assert pixels.shape == (2, 16, 16, 3)
    assert np.array_equal(pixels, np.broadcast_to(np.arange(256).reshape(16, 16, 1), (2, 16, 16, 3)))


def test_to_pixels_keeps_colours_apart_and_values_in_range() -> None:
    picture = torch.tensor([-0.5, 0.5, 1.5]).reshape(3, 1, 1)
    assert images.to_pixels(picture).tolist() == [[[0, 128, 255]]]
    with pytest.raises(ValueError, match="1 or 3"):
        images.to_pixels(torch.zeros(2, 4, 4))


def test_blend_goes_from_below_to_the_colour(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    where = rng.random((5, 6)) < 0.5
    assert np.array_equal(images.blend(pixels, where, "#102030", 0.0), pixels)
    covered = images.blend(pixels, where, "#102030", 1.0)
    assert (covered[where] == (16, 32, 48)).all()
    assert np.array_equal(covered[~where], pixels[~where])
    each = images.blend(pixels, np.ones((5, 6), bool), "#102030", where.astype(float))
    assert np.array_equal(each, covered), "a strength for each pixel"


def test_dye_turns_white_into_the_colour_and_leaves_black() -> None:
    pixels = np.array([[[0, 0, 0], [255, 255, 255], [255, 255, 255]]], np.uint8)
    dyed = images.dye(pixels, np.array([[True, True, False]]), "#E69F00")
    assert dyed.tolist() == [[[0, 0, 0], [230, 159, 0], [255, 255, 255]]]


def test_heat_never_gets_darker() -> None:
    luma = images.HEAT.astype(float) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luma) >= 0).all()
    ends = images.heat(np.array([[-1.0, 0.0, 2.0, 5.0]]), top=2.0)
    assert np.array_equal(ends[0, 0], ends[0, 1])
    assert np.array_equal(ends[0, 2], ends[0, 3])
    assert np.array_equal(ends[0, 1], images.HEAT[0])


def test_enlarge_makes_blocks(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    big = images.enlarge(pixels, 3)
    assert big.shape == (12, 15, 3)
    for down in range(3):
        for right in range(3):
            assert np.array_equal(big[down::3, right::3], pixels)


def test_hatch_and_frame_touch_only_their_place(rng: np.random.Generator) -> None:
    small = rng.integers(0, 200, (6, 7, 3), dtype=np.uint8)
    where = rng.random((6, 7)) < 0.5
    big = images.enlarge(small, 8)
    inside = images.enlarge(where[..., None], 8)[..., 0]
    hatched = images.hatch(big, where, 8)
    changed = (hatched != big).any(-1)
    assert changed.any()
    assert not changed[~inside].any()
    changed = (images.frame(big, (2, 3), 8) != big).any(-1)
    assert not changed[16:24, 24:32].any(), "the pixel itself stays"
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (13, 26, 21, 34)
    assert images.frame(big, (0, 0), 8).shape == big.shape, "at the corner too"


@pytest.mark.parametrize(
    ("n", "aspect", "columns"), [(1, 2, 1), (4, 4, 4), (8, 1.9, 4), (9, 1, 3), (16, 1, 4), (16, 2, 6)]
)
def test_best_columns(n: int, aspect: float, columns: int) -> None:
    assert images.best_columns(n, aspect) == columns


def test_sheet_puts_every_tile_in_its_place(rng: np.random.Generator) -> None:
    tiles = rng.integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    sheet = images.sheet(tiles, 3, scale=2, gap=5)
    assert sheet.shape == (2 * 8 + 5, 3 * 12 + 2 * 5, 4)
    opaque = np.zeros(sheet.shape[:2], bool)
    for i, tile in enumerate(tiles):
        place = np.s_[i // 3 * 13 : i // 3 * 13 + 8, i % 3 * 17 : i % 3 * 17 + 12]
        assert np.array_equal(sheet[place][..., :3], images.enlarge(tile, 2))
        opaque[place] = True
    assert np.array_equal(sheet[..., 3], np.where(opaque, 255, 0))


def test_png_is_lossless(rng: np.random.Generator) -> None:
    for channels in (3, 4):
        pixels = rng.integers(0, 256, (9, 11, channels), dtype=np.uint8)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(images.png(pixels)))), pixels)
