"""Pictures of compression: bits add up, bars are as long as their files."""

import math

import numpy as np
import pytest
import torch

from genlib.figures import compression as figures


def test_a_pixel_s_bits_are_those_of_its_channels() -> None:
    p = torch.rand(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    p /= p.sum(2, keepdim=True)
    values = torch.randint(4, (2, 3, 5, 6), generator=torch.Generator().manual_seed(1))
    bits = figures.pixel_bits(p, values)
    assert bits.shape == (2, 5, 6)
    want = -sum(math.log2(p[1, c, values[1, c, 2, 3], 2, 3]) for c in range(3))
    assert bits[1, 2, 3] == pytest.approx(want, rel=1e-6)
    even = torch.full((1, 1, 2, 2, 2), 0.5)
    assert (figures.pixel_bits(even, torch.zeros(1, 1, 2, 2, dtype=torch.long)) == 1).all()
    impossible = torch.tensor([0.0, 1.0]).view(1, 1, 2, 1, 1)
    assert np.isfinite(figures.pixel_bits(impossible, torch.zeros(1, 1, 1, 1, dtype=torch.long))).all()


def test_bars_are_as_long_as_their_files() -> None:
    files = [figures.File("ours", 58, 44), figures.File("PNG", 141), figures.File("JPEG XL", None)]
    figure = figures.file_bars(files)
    payload, header = figure["data"]
    assert payload["y"] == ["ours", "PNG"], "what is not installed has no bar"
    assert [a + b for a, b in zip(payload["x"], header["x"], strict=True)] == [58, 141]
    assert (payload["x"][0], header["x"][0]) == (14, 44)
    assert [a or b for a, b in zip(payload["text"], header["text"], strict=True)] == [" 58 B", " 141 B"]
    assert figure["layout"]["xaxis"]["range"][1] > 141


def test_curves_hold_every_point() -> None:
    curves = [figures.Curve("JPEG", [100, 200], [20.0, 25.0]), figures.Curve("WPV", [50, 90], [18.0, 19.0])]
    figure = figures.rate_curves(curves, "PSNR (dB)", at=307)
    assert [(trace["name"], trace["x"], trace["y"]) for trace in figure["data"]] == [
        ("JPEG", [100, 200], [20.0, 25.0]), ("WPV", [50, 90], [18.0, 19.0]),
    ]  # fmt: skip
    assert figure["layout"]["shapes"][0]["x0"] == 307
    assert not figures.rate_curves(curves, "PSNR (dB)")["layout"]["shapes"]


def test_psnr_is_in_decibels() -> None:
    a = torch.zeros(1, 3, 4, 4)
    assert figures.psnr(a, a) == math.inf
    assert figures.psnr(a, a + 0.1) == pytest.approx(20, abs=1e-4)
    assert figures.psnr(a, a + 1) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("n", [1, 9, 100])
def test_a_sheet_is_as_wide_as_asked_for(n: int) -> None:
    sheet = figures.sheet(np.zeros((n, 28, 28, 3), np.uint8))
    assert sheet.shape[0] == sheet.shape[1]
    assert 280 < sheet.shape[1] <= 560
