"""A visitor's picture: read exactly where it can be, upright, the right way round, and never trusted."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from genlib.data import pictures
from genlib.data.pictures import read_picture
from genlib.errors import GenlibError

DIGIT = (1, 28, 28)


def encoded(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def grey(pixels: np.ndarray, form: str = "PNG") -> bytes:
    return encoded(Image.fromarray(pixels.astype(np.uint8)), form)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_a_picture_of_the_models_size_is_read_exactly(tmp_path: Path) -> None:
    pixels = noise(28, 28)
    wanted = torch.from_numpy(pixels.astype(np.float32) / 255)
    assert read_picture(grey(pixels), DIGIT).shape == (1, *DIGIT)
    assert torch.allclose(read_picture(grey(pixels), DIGIT)[0, 0], wanted, atol=1e-6)
    path = tmp_path / "digit.png"
    path.write_bytes(grey(pixels))
    assert torch.allclose(read_picture(path, DIGIT)[0, 0], wanted, atol=1e-6)
    colour = noise(32, 32, 3)
    wanted = torch.from_numpy(colour.astype(np.float32) / 255).permute(2, 0, 1)
    assert torch.allclose(read_picture(grey(colour), (3, 32, 32))[0], wanted, atol=1e-6)


def test_an_enlarged_picture_gives_back_the_original() -> None:
    pixels = noise(28, 28)
    enlarged = pixels.repeat(10, 0).repeat(10, 1)
    assert torch.equal(read_picture(grey(enlarged), DIGIT), read_picture(grey(pixels), DIGIT))


@pytest.mark.parametrize("form", pictures.FORMATS)
def test_formats(form: str) -> None:
    pixels = np.full((56, 56), 40, dtype=np.uint8)
    pixels[16:40, 16:40] = 220
    found = read_picture(grey(pixels, form), DIGIT)
    assert torch.allclose(found, read_picture(grey(pixels), DIGIT), atol=0.15)


def test_the_centre_is_cut_out() -> None:
    pixels = np.full((30, 90), 255, dtype=np.uint8)
    pixels[:, 30:60] = 51
    assert torch.allclose(read_picture(grey(pixels), (1, 10, 10)), torch.tensor(0.2))
    assert torch.allclose(read_picture(grey(pixels.T.copy()), (1, 10, 10)), torch.tensor(0.2))


def test_a_model_that_is_not_square_keeps_proportions() -> None:
    pixels = np.zeros((40, 40), dtype=np.uint8)
    pixels[10:30] = 255
    assert torch.equal(read_picture(grey(pixels), (1, 2, 4)), torch.ones(1, 1, 2, 4))


def test_a_camera_held_sideways() -> None:
    """EXIF orientation 6: the camera's top is on the right, so the picture is to be turned clockwise."""
    pixels = np.zeros((28, 28), dtype=np.uint8)
    pixels[:, :9] = 255  # bright on the left as stored
    exif = Image.Exif()
    exif[0x0112] = 6
    found = read_picture(encoded(Image.fromarray(pixels), exif=exif), DIGIT)
    assert torch.equal(found[0, 0, :9], torch.ones(9, 28))  # bright at the top once upright
    assert not found[0, 0, 9:].any()


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    pixels = np.linspace(0, 65535, 28 * 28).reshape(28, 28).astype(np.uint16)
    found = read_picture(encoded(Image.fromarray(pixels)), DIGIT)[0, 0]
    assert torch.allclose(found, torch.from_numpy((pixels / 65535).astype(np.float32)), atol=1 / 255)


def test_grey_is_luma_and_grey_becomes_colour() -> None:
    red = np.zeros((4, 4, 3), dtype=np.uint8)
    red[..., 0] = 255
    assert torch.allclose(read_picture(grey(red), (1, 4, 4)), torch.tensor(0.299), atol=1e-4)
    found = read_picture(grey(noise(4, 4)), (3, 4, 4))
    assert torch.equal(found[:, 0], found[:, 1])
    assert torch.equal(found[:, 0], found[:, 2])


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("L", (28, 28), value) for value in (0, 255)]
    assert not read_picture(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), DIGIT).any()


class TestDarkBackground:
    """Digits are bright on dark, however they were drawn."""

    STROKE = np.zeros((28, 28), dtype=np.uint8)
    STROKE[8:20, 12:16] = 255
    WANTED = torch.from_numpy(STROKE / 255).float()

    def test_ink_on_paper_is_inverted(self) -> None:
        assert torch.equal(read_picture(grey(255 - self.STROKE), DIGIT, dark_background=True)[0, 0], self.WANTED)

    def test_chalk_on_a_board_is_left_alone(self) -> None:
        assert torch.equal(read_picture(grey(self.STROKE), DIGIT, dark_background=True)[0, 0], self.WANTED)

    def test_only_where_asked(self) -> None:
        assert torch.equal(read_picture(grey(255 - self.STROKE), DIGIT)[0, 0], 1 - self.WANTED)

    @pytest.mark.parametrize("ink", [0, 255])
    def test_strokes_on_nothing(self, ink: int) -> None:
        pixels = np.full((28, 28, 4), ink, dtype=np.uint8)
        pixels[..., 3] = self.STROKE
        found = read_picture(encoded(Image.fromarray(pixels)), DIGIT, dark_background=True)
        assert torch.equal(found[0, 0], self.WANTED)


def test_transparency_lies_on_white() -> None:
    pixels = np.zeros((2, 2, 4), dtype=np.uint8)
    assert torch.equal(read_picture(encoded(Image.fromarray(pixels)), (3, 2, 2)), torch.ones(1, 3, 2, 2))


def giant(width: int, height: int) -> bytes:
    """A PNG that claims to be huge; hardly any bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


WHOLE = grey(noise(64, 64))
BAD = {
    "text": (b"This is not a picture.", "not a picture"),
    "empty": (b"", "not a picture"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
    "tiff": (encoded(Image.new("L", (4, 4)), "TIFF"), "not a picture"),
    "truncated png": (WHOLE[: len(WHOLE) // 2], "not a picture"),
    "truncated jpeg": (grey(noise(64, 64), "JPEG")[:400], "not a picture"),
    "header only": (WHOLE[:20], "not a picture"),
    "large": (giant(6000, 6000), "6000 x 6000"),
    "huge": (giant(11_000, 11_000), "too large"),
    "bomb": (giant(60_000, 60_000), "too large"),
    "wide": (giant(2**31 - 1, 1), "too large"),
    "many bytes": (bytes(pictures.MAX_BYTES + 1), "too large"),
}


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")  # as the module asks; pytest resets filters
@pytest.mark.parametrize("kind", BAD)
def test_bad_pictures_end_in_one_sentence(kind: str) -> None:
    data, said = BAD[kind]
    with pytest.raises(GenlibError, match=said) as caught:
        read_picture(data, DIGIT, name="holiday.png")
    assert str(caught.value).startswith("holiday.png")
    assert "\n" not in str(caught.value)


def test_pixels_are_counted_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(GenlibError, match="too large"):
        read_picture(giant(6000, 6000), DIGIT)


@pytest.mark.parametrize("path", ["missing.png", ".", "null\0.png", "x" * 300 + ".png"])
def test_bad_paths_end_in_one_sentence(path: str, tmp_path: Path) -> None:
    with pytest.raises(GenlibError, match="give a picture file"):
        read_picture(tmp_path / path, DIGIT)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(GenlibError, match=r"pipe\.png is not a file"):
        read_picture(tmp_path / "pipe.png", DIGIT)


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=20), st.booleans())
@settings(max_examples=150, deadline=None)
def test_damaged_files_give_a_picture_or_a_sentence(changes: list[tuple[int, int]], dark: bool) -> None:
    data = bytearray(WHOLE)
    for at, value in changes:
        data[at] = value
    try:
        found = read_picture(bytes(data), DIGIT, dark_background=dark)
    except GenlibError:
        return
    assert found.shape == (1, *DIGIT)
    assert bool(((found >= 0) & (found <= 1)).all())
