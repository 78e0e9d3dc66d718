"""What the wipe's Python side promises: two pictures of one size, and nothing that is no picture."""

import io

import numpy as np
import pytest
from PIL import Image

from genlib.ui.components import wire
from genlib.ui.components.wipe import png_size, wipe


@pytest.mark.parametrize("shape", [(1, 1), (28, 300), (7, 5, 3)])
def test_the_size_is_the_one_that_the_picture_has(shape: tuple[int, ...]) -> None:
    picture = wire.png_bytes(np.zeros(shape, np.uint8))
    assert png_size(picture) == Image.open(io.BytesIO(picture)).size == shape[1::-1]


@pytest.mark.parametrize("picture", [b"", b"GIF89a" + bytes(40), b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused(picture: bytes) -> None:
    good = wire.png_bytes(np.zeros((4, 4), np.uint8))
    for pair in ((good, picture), (picture, good)):
        with pytest.raises(ValueError, match="PNG"):
            wipe(*pair, names=("a", "b"), key="w")


def test_two_sizes_are_refused() -> None:
    small, large = (wire.png_bytes(np.zeros((side, 4), np.uint8)) for side in (4, 5))
    with pytest.raises(ValueError, match=r"\(4, 4\) and \(4, 5\)"):
        wipe(small, large, names=("a", "b"), key="w")
