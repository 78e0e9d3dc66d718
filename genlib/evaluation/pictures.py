"""Measures of pictures that need no distance between features: classes covered, sharpness, copies of training images."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from genlib.data import Dataset
from genlib.evaluation.distances import Estimate, average, cut, jackknife

TRAIN_STRIP = 2500  # training images compared at a time
COMMON = 0.01  # share of unseen images that stand as near to one training image as what we call a copy
COPIES = 0.05  # a larger share of copies is called memorisation
CANDIDATES = 3


def entropy(counts: Tensor) -> Estimate:
    """Entropy in nats of the histogram ``counts`` [G, classes] of G groups together; ln(classes) where all are equally frequent."""
    whole = counts.sum(0)
    left_out = [_entropy(whole - group) for group in counts] if len(counts) > 1 else []
    return Estimate(_entropy(whole), jackknife(left_out))


def _entropy(counts: Tensor) -> float:
    share = counts.double() / counts.sum()
    return abs(float(-torch.xlogy(share, share).sum()))


def histogram(classes: Tensor, n: int) -> Tensor:
    """Classes [N] -> how often each occurs in each group of the jackknife, int64 [G, n]."""
    return torch.stack([part.bincount(minlength=n) for part in cut(classes)])


def class_ratio(counts: Tensor) -> float | None:
    """The commonest class over the rarest, from counts [classes]; None (infinite) where one is missing."""
    return float(counts.max() / counts.min()) if int(counts.min()) else None


def sharpness(images: Tensor) -> Estimate:
    """Mean over images [N, C, H, W] of the variance of the Laplacian, the four neighbours less four times the pixel (Pech-Pacheco et
    al. 2000, Diatom autofocusing in brightfield microscopy). Blur takes it down, noise up: only a value near that of real
    images in the same form is good.
    """
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    values = []
    for part in images.split(1000):
        flat = part.cpu().float().flatten(0, 1)[:, None]  # [n C, 1, H, W]
        edges = F.conv2d(flat, kernel[None, None], padding=0) if min(flat.shape[2:]) > 2 else torch.zeros_like(flat)
        values.append(edges.flatten(1).var(1, correction=0).reshape(len(part), -1).mean(1))
    return average(torch.cat(values).double())


@dataclass(frozen=True)
class Memory:
    """What the nearest training images say. A picture's *standing out* is its distance to the nearest training image over that to
    the second: a copy is near one of them and no other.
    """

    nearest_ratio: float
    """Median distance of the pictures to their nearest training image, over the same of test images. Below 1 says little by itself:
    blurred pictures are near everything."""
    copies: float
    """Share of pictures that stand out more than 99 % of the test images do: about 0.01 for new pictures, 1 for copies."""

    @property
    def memorised(self) -> bool:
        return self.copies > COPIES


def memory(images: Tensor, unseen: Tensor, dataset: Dataset) -> Memory:
    """Compare pictures [N, C, H, W] and unseen real images [M, C, H, W], both in one form, with all training images.

    The training images stay in grey: bits are drawn anew at each training step, so no drawn image is ever trained on twice, and
    what a model can learn by heart is the grey one behind.
    """
    own, test = nearest(images, dataset), nearest(unseen, dataset)
    limit = (test[:, 0] / test[:, 1].clamp_min(1e-9)).quantile(COMMON)
    standing = own[:, 0] / own[:, 1].clamp_min(1e-9)
    median = float(test[:, 0].median())
    return Memory(
        float(own[:, 0].median()) / median if median > 0 else math.inf, float((standing <= limit).double().mean())
    )


def nearest(images: Tensor, dataset: Dataset) -> Tensor:
    """Euclidean distances (pixels in [0, 1]) of images [N, C, H, W] to the nearest and second training image, [N, 2].

    Candidates come from |a|^2 + |b|^2 - 2 a.b; their distances are then taken without the cancellation of that sum.
    """
    flat = images.cpu().float().flatten(1)  # [N, D]
    size = dataset.size("train")
    best = flat.new_full((len(flat), 0), math.inf)
    where = torch.zeros(len(flat), 0, dtype=torch.int64)
    for start in range(0, size, TRAIN_STRIP):
        train = dataset.batch("train", slice(start, start + TRAIN_STRIP)).flatten(1)
        scores = torch.addmm(train.square().sum(1), flat, train.T, alpha=-2)  # less the constant |a|^2
        values, rows = scores.topk(min(CANDIDATES, len(train)), 1, largest=False)
        both, places = torch.cat([best, values], 1), torch.cat([where, rows + start], 1)
        best, chosen = both.topk(min(CANDIDATES, both.shape[1]), 1, largest=False)
        where = places.gather(1, chosen)
    apart = [
        (dataset.batch("train", rows).flatten(1) - picture).norm(dim=1).sort().values[:2]
        for rows, picture in zip(where, flat, strict=True)
    ]
    return torch.stack(apart).double()
