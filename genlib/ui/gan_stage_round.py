"""A round of "be the discriminator": real and generated pictures that only their content tells apart, and its score."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlib.data import Dataset
from genlib.data.codings import binarise
from genlib.errors import GenlibError
from genlib.ui.gan_stage_game import shares

PICTURES = 12  # of a round, half of them real
CROWD = 96  # of each kind, by which a critic's scores are placed


@dataclass(frozen=True, eq=False)
class Round:
    """``images`` [12, C, H, W] in [0, 1] on the 256 grey levels of a picture file; ``real`` bool [12], the truth;
    ``verdicts`` [12], what the judge says; ``judge`` bool [12], which of them it takes for real."""

    images: Tensor
    real: np.ndarray
    verdicts: np.ndarray
    judge: np.ndarray

    @property
    def judge_score(self) -> int:
        """How many the judge gets right."""
        return score(self.real, list(self.judge))


def make_round(model: Any, dataset: Dataset, seed: int) -> Round:
    """A round for a model with adversaries: six test images and six generated ones, in an order that the seed draws.

    All are in the same coding: grey levels are rounded to those of a file, and a model that draws zeros and ones gets real
    images drawn as zeros and ones. Raises `GenlibError` for data of another shape.
    """
    if dataset.info.shape != model.config.shape:
        raise GenlibError(
            f"{model.name} draws images of {model.config.shape}, but {dataset.info.name} has {dataset.info.shape}: "
            "choose another model."
        )
    generator = torch.Generator().manual_seed(seed)
    half = PICTURES // 2
    rows = torch.randperm(dataset.size("test"), generator=generator)[: half + CROWD]
    real = _coded(dataset.batch("test", rows), model)
    fake = model.decode(model.noise(half + CROWD, model.generator(seed))).cpu()
    order = torch.randperm(PICTURES, generator=generator)
    images = _file_levels(torch.cat([real[:half], fake[:half]])[order])
    truth = (order < half).numpy()

    def judged(part: Tensor) -> np.ndarray:
        return model.discriminate(part.to(model.device)).float().cpu().numpy()

    verdicts = judged(images)
    share = shares(model, verdicts, judged(real[half:]), judged(fake[half:]))
    return Round(images, truth, verdicts, share >= 0.5)


def score(real: np.ndarray, answers: list[Any]) -> int:
    """How many answers (True: real) are right; what was not answered (None, or missing) is not."""
    return sum(answer is not None and bool(answer) == bool(truth) for truth, answer in zip(real, answers, strict=False))


def _coded(images: Tensor, model: Any) -> Tensor:
    form = getattr(model.config, "binarisation", None)
    return images if form is None else binarise(images, form)


def _file_levels(images: Tensor) -> Tensor:
    return (images.clamp(0, 1) * 255).round() / 255
