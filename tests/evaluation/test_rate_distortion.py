"""Rate and distortion: sizes are those of real files, within the budget, and the measures are what they are called."""

import io
import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from genlib.codec import lossy
from genlib.data import Dataset, describe
from genlib.data.few import load_few
from genlib.errors import GenlibError
from genlib.evaluation import rate_distortion as module
from genlib.evaluation.rate_distortion import RateDistortion, rate_distortion, read_kept
from genlib.evaluation.standard_codecs import CODECS, at_bits
from genlib.models.conv_draw import ConvDRAW

N = 3


@cache
def model() -> ConvDRAW:
    size = {"levels": 256, "steps": 2, "hidden": 4, "latent": 2, "read": 4, "patch": 8}
    return ConvDRAW.from_config(ConvDRAW.configure(None, (3, 32, 32), **size), 0).eval()


@cache
def dataset() -> Dataset:
    pixels = load_few("cifar10").images("test")[:8].permute(0, 2, 3, 1).numpy()
    labels = np.zeros(8, np.int64)
    arrays = {"train_images": pixels, "train_labels": labels, "test_images": pixels, "test_labels": labels}
    return Dataset(describe("cifar10"), arrays)


@cache
def found() -> RateDistortion:
    return rate_distortion(model(), dataset(), "a-name", images=N, bits=(400.0, 3000.0))


def test_all_coders_at_all_bits_both_ways() -> None:
    coders = {"conv-draw WPV", "conv-draw WoPV", *CODECS}
    wanted = {(coder, bits, headers) for coder in coders for bits in (400.0, 3000.0) for headers in (False, True)}
    assert {(p.coder, p.budget, p.headers) for p in found().points} == wanted
    assert len(found().points) == len(wanted)
    for point in found().points:
        assert 0 <= point.agreement <= 1
        assert point.above == 0 or point.bits > point.budget / N
        if point.coder not in CODECS:
            assert point.above == 0
            assert point.bits <= point.budget


def test_a_models_bits_are_those_of_its_files() -> None:
    """With headers: whole files; the payload has the rest."""
    for bits in (400.0, 3000.0):
        with_headers, without = (found().at("conv-draw WoPV", bits, headers=headers) for headers in (True, False))
        files = [lossy.compress(model(), image[None], bits=bits) for image in dataset().batch("test", slice(0, N))]
        assert with_headers.bits <= bits
        assert without.bits <= bits
        overheads = [len(file) - len(lossy.Container.from_bytes(file).payload) for file in files]
        assert found().header == pytest.approx(np.mean(overheads), abs=8)  # the name in it is another


def test_a_formats_point_is_that_of_its_files() -> None:
    batch = dataset().batch("test", slice(0, N))
    coded = [at_bits("JPEG", image[None], 3000, headers=True) for image in batch]
    point = found().at("JPEG", 3000, headers=True)
    assert point.bits == pytest.approx(sum(8 * len(one.data) for one in coded) / N)
    pictures = [np.asarray(Image.open(io.BytesIO(one.data))) for one in coded]
    originals = [(image * 255).round().byte().permute(1, 2, 0).numpy() for image in batch]
    psnr = [peak_signal_noise_ratio(a, b) for a, b in zip(originals, pictures, strict=True)]
    ssim = [structural_similarity(a, b, channel_axis=2) for a, b in zip(originals, pictures, strict=True)]
    assert point.psnr == pytest.approx(np.mean(psnr), abs=1e-3)
    assert point.ssim == pytest.approx(np.mean(ssim), abs=1e-3)


def test_a_perfect_copy_agrees_with_itself() -> None:
    batch = dataset().batch("test", slice(0, N))
    point = module._Measure(batch, dataset())("copy", True, 8.0, [8, 8, 16], batch)
    assert (point.agreement, point.above) == (1.0, pytest.approx(1 / 3))
    assert point.ssim == pytest.approx(1.0)
    assert point.psnr == pytest.approx(100.0)  # errors are taken to be 1e-10 at least
    worse = module._Measure(batch, dataset())("grey", True, 8.0, [8, 8, 16], torch.full_like(batch, 0.5))
    grey = (batch - 128 / 255).square().mean((1, 2, 3)).log10().mean()
    assert worse.psnr == pytest.approx(-10 * float(grey), abs=1e-3)
    assert worse.ssim < 0.8


def test_json_and_back() -> None:
    again = RateDistortion.from_json(found().as_json())
    assert [p.coder for p in again.points] == [p.coder for p in found().points]
    assert math.isclose(again.points[0].psnr, found().points[0].psnr, abs_tol=1e-3)


def test_curves_rise_with_the_bits() -> None:
    curves = found().curves("psnr", headers=False)
    assert list(curves) == list(dict.fromkeys(p.coder for p in found().points))
    for coder, curve in curves.items():
        assert list(curve) == sorted(curve)
        wanted = {p.bits: p.psnr for p in found().points if p.coder == coder and not p.headers}
        assert curve == wanted


def test_a_kept_result_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "some-model.distortion.json"
    value = {"command": "c", "machine": "m", **found().as_json()}
    path.write_text(json.dumps(value))
    kept = read_kept(path)
    assert (kept.command, kept.machine) == ("c", "m")
    assert kept.result.as_json() == found().as_json()
    wrong = {**value["points"][0], "psnr": "high"}
    for damaged in (
        "{",
        "[]",
        json.dumps({**value, "points": [wrong]}),
        json.dumps({**value, "points": [{"coder": "x"}]}),
    ):
        path.write_text(damaged)
        with pytest.raises(
            GenlibError, match=r"kept curve .* cannot be read .*`genlib distortion some-model --keep`\.$"
        ):
            read_kept(path)
    path.unlink()
    with pytest.raises(GenlibError, match="cannot be read"):
        read_kept(path)
