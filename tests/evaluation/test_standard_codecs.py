"""JPEG, JPEG 2000 and WebP at a given size: never more than it where that can be, and headers counted as they are."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from genlib.data.few import load_few
from genlib.evaluation.standard_codecs import CODECS, at_bits, code

IMAGE = load_few("cifar10").images("test")[3:4].float() / 255


@pytest.mark.parametrize("headers", [True, False])
@pytest.mark.parametrize("name", CODECS)
def test_it_takes_what_it_may_and_no_more(name: str, headers: bool) -> None:
    worst = code(name, IMAGE, CODECS[name].low, headers=headers).size(headers=headers)
    errors = []
    for bits in (8 * worst, 8 * worst + 800, 8 * worst + 4000):
        found = at_bits(name, IMAGE, bits, headers=headers)
        assert 8 * found.size(headers=headers) <= bits
        errors.append(float((found.picture - IMAGE).square().mean()))
    assert errors[0] > errors[1] > errors[2]
    least = at_bits(name, IMAGE, 1, headers=headers)
    assert least.size(headers=headers) == worst
    assert least.size(headers=True) - least.size(headers=False) == least.header


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CODECS)
def test_what_is_shown_is_what_the_bytes_hold(name: str, channels: int) -> None:
    image = IMAGE[:, :channels]
    found = code(name, image, CODECS[name].high)
    assert found.picture.shape == image.shape
    assert float((found.picture - image).abs().mean()) < 0.05
    with Image.open(io.BytesIO(found.data)) as file:
        again = np.asarray(file.convert("L" if channels == 1 else "RGB"))
    assert np.array_equal(again.reshape(32, 32, channels), (found.picture[0] * 255).round().permute(1, 2, 0).numpy())


def test_where_headers_do_not_count_nothing_of_the_picture_is_in_them() -> None:
    others = load_few("cifar10").images("test")[4:5].float() / 255
    a, b = (code("JPEG", image, 30, headers=False) for image in (IMAGE, others))
    assert a.data[: a.header - 2] == b.data[: b.header - 2]


def test_a_header_ends_where_the_coefficients_begin() -> None:
    """A flat grey picture has next to none."""
    grey = torch.full((1, 3, 32, 32), 0.5)
    for name in CODECS:
        found = code(name, grey, CODECS[name].low)
        assert 0 <= found.size(headers=False) < 60, name
    webp = code("WebP", IMAGE, 0)
    assert webp.data[23:26] == b"\x9d\x01\x2a", "the start code of the frame's header, 3 bytes into it"
