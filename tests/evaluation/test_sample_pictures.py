"""Class histograms, sharpness and copies: closed forms and truths."""

import math

import pytest
import torch
from small_judge import bars
from torch.nn import functional as F

from genlib.data import load
from genlib.evaluation import pictures
from genlib.evaluation.pictures import class_ratio, entropy, histogram, memory, nearest, sharpness


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_entropy_of_ten_equal_classes_is_ln_ten() -> None:
    counts = histogram(torch.arange(1000) % 10, 10)
    assert counts.shape == (10, 10)
    found = entropy(counts)
    assert found.value == pytest.approx(math.log(10))
    assert found.error == pytest.approx(0, abs=1e-9)
    assert class_ratio(counts.sum(0)) == 1


def test_entropy_of_one_class_is_zero_and_the_missing_ones_are_noticed() -> None:
    counts = histogram(torch.full((100,), 3), 10)
    assert entropy(counts).value == 0
    assert class_ratio(counts.sum(0)) is None


def test_entropy_of_a_histogram_in_closed_form() -> None:
    classes = torch.tensor([0] * 50 + [1] * 25 + [2] * 25)[torch.randperm(100, generator=generator())]
    counts = histogram(classes, 3)
    assert entropy(counts).value == pytest.approx(1.5 * math.log(2))
    assert class_ratio(counts.sum(0)) == 2


def test_sharpness_of_one_bright_pixel() -> None:
    """The Laplacian is -4 there and 1 at its four neighbours: over n inner pixels its mean is 0 and its variance 20 / n."""
    image = torch.zeros(1, 1, 9, 9)
    image[..., 4, 4] = 1
    assert sharpness(image).value == pytest.approx(20 / 49)


def test_sharpness_falls_under_blur_and_rises_under_noise() -> None:
    images = load("mnist").batch("test", slice(50))
    blurred = F.avg_pool2d(images, 3, 1, 1)
    noisy = (images + 0.3 * torch.rand(images.shape, generator=generator())).clamp(0, 1)
    real = sharpness(images).value
    assert sharpness(F.avg_pool2d(blurred, 3, 1, 1)).value < sharpness(blurred).value < 0.5 * real
    assert sharpness(noisy).value > real
    assert sharpness(torch.full((3, 3, 8, 8), 0.7)).value == pytest.approx(0, abs=1e-9)


def test_nearest_are_the_two_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "TRAIN_STRIP", 17)
    data = bars(60)
    images = data.batch("test", slice(12))
    train = data.batch("train", slice(None)).flatten(1).double()
    expected = torch.cdist(images.flatten(1).double(), train).sort(1).values[:, :2]
    assert torch.allclose(nearest(images, data), expected, atol=1e-5)


def test_a_memorised_set_is_flagged_and_a_new_one_is_not() -> None:
    data = bars()
    unseen = data.batch("test", slice(None))
    copied = memory(data.batch("train", slice(100)), unseen, data)
    assert copied.nearest_ratio == 0
    assert copied.copies == 1
    assert copied.memorised
    fresh = memory(bars(seed=5).batch("test", slice(None)), unseen, data)
    assert fresh.nearest_ratio == pytest.approx(1, abs=0.05)
    assert not fresh.memorised


def test_copies_drawn_as_bits_are_found_too() -> None:
    """A model of bits that learns a grey image by heart draws it anew each time: no drawn copy equals another."""
    data = load("mnist")

    def bits(split: str, seed: int) -> torch.Tensor:
        grey = data.batch(split, slice(60))
        return (torch.rand(grey.shape, generator=generator(seed)) < grey).float()

    unseen = bits("test", 1)
    copied = memory(bits("train", 2), unseen, data)
    assert copied.memorised
    assert copied.copies > 0.5
    assert not memory(bits("validation", 3), unseen, data).memorised


def test_blurred_pictures_are_near_everything_but_no_copies() -> None:
    data = load("mnist")
    unseen = data.batch("test", slice(60))
    mean = data.batch("validation", slice(800)).reshape(40, 20, 1, 28, 28).mean(1)
    found = memory(mean, unseen, data)
    assert found.nearest_ratio < 1.3
    assert not found.memorised
