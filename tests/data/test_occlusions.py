"""Masks hide exactly what their name says."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genlib.data.occlusions import NAMES, find_occlusion, occlusion, occlusion_from_picture
from genlib.errors import GenlibError


def mask_file(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(28, 28), (5, 7), (1, 1)])
def test_shape_and_type(name: str, size: tuple[int, int]) -> None:
    known = occlusion(name, *size)
    assert known.shape == size
    assert known.dtype == torch.bool


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("lower-half", [(y, x) for y in (2, 3) for x in range(4)]),
        ("upper-half", [(y, x) for y in (0, 1) for x in range(4)]),
        ("left-half", [(y, x) for y in range(4) for x in (0, 1)]),
        ("right-half", [(y, x) for y in range(4) for x in (2, 3)]),
        ("centre-square", [(y, x) for y in (1, 2) for x in (1, 2)]),
        ("nothing", []),
        ("everything", [(y, x) for y in range(4) for x in range(4)]),
    ],
)
def test_what_is_hidden(name: str, hidden: list[tuple[int, int]]) -> None:
    assert (~occlusion(name, 4, 4)).nonzero().tolist() == [list(place) for place in hidden]


@pytest.mark.parametrize(("one", "other"), [("lower-half", "upper-half"), ("left-half", "right-half")])
def test_halves_share_no_pixel_and_miss_none(one: str, other: str) -> None:
    assert torch.equal(occlusion(one, 7, 5), ~occlusion(other, 7, 5))


def test_dark_pixels_of_a_mask_image_are_hidden(tmp_path: Path) -> None:
    pixels = np.array([[0, 255, 100], [200, 0, 255]], dtype=np.uint8)
    wanted = torch.tensor([[False, True, False], [True, False, True]])
    assert torch.equal(occlusion_from_picture(mask_file(pixels), 2, 3), wanted)
    path = tmp_path / "mask.png"
    path.write_bytes(mask_file(pixels))
    assert torch.equal(find_occlusion(str(path), 2, 3), wanted)


def test_transparent_pixels_of_a_mask_image_are_kept() -> None:
    pixels = np.zeros((2, 2, 4), dtype=np.uint8)
    pixels[0, 0, 3] = 255
    assert (~occlusion_from_picture(mask_file(pixels), 2, 2)).nonzero().tolist() == [[0, 0]]


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(GenlibError, match=r"scribble has 3 x 2 pixels.*28 x 28"):
        occlusion_from_picture(mask_file(np.zeros((2, 3), dtype=np.uint8)), 28, 28, name="scribble")


@pytest.mark.parametrize("call", [occlusion, find_occlusion])
def test_an_unknown_name_lists_the_known_ones(call: object) -> None:
    with pytest.raises(GenlibError, match=r"'upper-left'.*lower-half.*everything"):
        call("upper-left", 28, 28)  # type: ignore[operator]
