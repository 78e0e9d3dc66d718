"""What a link carries comes back exactly, and nothing else gets through."""

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from genlib.errors import GenlibError
from genlib.ui import links
from genlib.ui.recent import Recent


@given(some.integers(1, 33), some.integers(1, 33), some.integers(0, 2**32 - 1))
def test_masks_come_back(height: int, width: int, seed: int) -> None:
    known = np.random.default_rng(seed).random((height, width)) < 0.5
    assert np.array_equal(links.unpack_mask(links.pack_mask(known), height, width), known)


def test_a_mask_is_98_bytes_of_address() -> None:
    text = links.pack_mask(np.ones((28, 28), bool))
    assert len(text) == 131
    assert len(base64.urlsafe_b64decode(text + "=")) == 98


@given(some.sampled_from([(28, 28), (32, 32, 3), (5, 7)]), some.integers(0, 2**32 - 1))
def test_pictures_come_back(shape: tuple[int, ...], seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    text = links.pack_picture(picture)
    assert text is not None
    assert np.array_equal(links.unpack_picture(text, shape), picture)


def test_a_picture_that_is_too_long_stays_out() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    assert links.pack_picture(noise) is None


GOOD = links.pack_mask(np.ones((28, 28), bool))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "A" * 132,
        "A" * 10_000,
        GOOD[:-4],
        GOOD[:-1] + "=",
        "é" + GOOD[1:],
        "+" + GOOD[1:],
        GOOD + "\n",
        "../../x",
    ],
)
def test_a_forged_mask_is_one_sentence(text: str) -> None:
    with pytest.raises(GenlibError, match=r"^The link's mask .*\.$"):
        links.unpack_mask(text, 28, 28)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(GenlibError, match="mask"):
        links.unpack_mask(GOOD, 32, 32)
    with pytest.raises(GenlibError, match="does not fit"):  # 25 pixels end within a byte; bits after the last are none
        links.unpack_mask(links.pack_mask(np.ones((1, 32), bool)), 5, 5)


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!",
        "A" * 9_000,
        _packed(b"no zlib"),
        _packed(zlib.compress(bytes(783))),
        _packed(zlib.compress(bytes(785))),
        _packed(zlib.compress(bytes(784))[:-3]),
        _packed(zlib.compress(bytes(784)) + b"more"),
        _packed(zlib.compress(bytes(5_000_000))),  # a bomb: 5 MB in 5 KB
    ],
)
def test_a_forged_picture_is_one_sentence(text: str) -> None:
    with pytest.raises(GenlibError, match=r"^The link's picture .*\.$"):
        links.unpack_picture(text, (28, 28))


def test_recent_forgets_what_was_not_asked_for() -> None:
    recent: Recent[int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (1, None, 3)
