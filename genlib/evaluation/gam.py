"""The generative adversarial metric: two adversarial models play each other.

Im, Kim, Jiang & Memisevic 2016, "Generating images with recurrent adversarial networks" (arXiv:1602.05110), section 4. Each model's
discriminator judges the test images and the *other* model's samples. With e(...) the share of wrong judgements,

    r_test   = e( D1(x_test) ) / e( D2(x_test) )          do both know real images equally well?
    r_sample = e( D1(G2(z)) )  / e( D2(G1(z)) )           who is fooled by whom?

M1 wins if r_sample < 1 while r_test is about 1, M2 if r_sample > 1 while r_test is about 1; otherwise nothing is decided: a
discriminator that calls everything false is never fooled, and r_test shows it. How near to 1 is near is left open by the paper;
here it is ``tolerance``.

A discriminator that gives probabilities says "real" above 1/2, as in the paper. A critic's scores have no such place, so it says
"real" above the middle between its mean scores of given real images and of its own samples; that is ours.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor

from genlib.errors import GenlibError
from genlib.models import Model, abilities

Winner = Literal["first", "second", "tie"]
TOLERANCE = 0.25  # r_test between 1 / 1.25 and 1.25 counts as about 1
OWN_SAMPLES = 1000  # of a critic's own, to find the middle of its scores


@dataclass(frozen=True)
class Battle:
    """Error rates of (first, second) on the test images and on the other one's samples; the two ratios; who won."""

    test_errors: tuple[float, float]
    sample_errors: tuple[float, float]
    r_test: float
    r_sample: float
    winner: Winner
    images: int
    samples: int

    def as_json(self) -> dict[str, Any]:
        """Plain values; a ratio over no error at all is None."""
        found = asdict(self)
        return {name: None if value == math.inf else value for name, value in found.items()}


def gam(
    first: Model,
    second: Model,
    images: Tensor,
    *,
    samples: int = 10_000,
    seed: int = 0,
    known: Tensor | None = None,
    tolerance: float = TOLERANCE,
) -> Battle:
    """Let two adversarial models play each other.

    Args:
        images: test images [N, C, H, W] in [0, 1].
        samples: how many each generator draws, with ``seed``.
        known: real images [M, C, H, W] that are no test images, for a critic's middle; probabilities need none.
        tolerance: how far r_test, or its inverse, may be above 1.

    Raises `GenlibError` for a model without a judge, for models or images of different shapes, and for a critic without
    ``known``.
    """
    for model in (first, second):
        _check(model, images, known)
    judges = [_Judge(model, known, seed) for model in (first, second)]
    test_errors = tuple(1 - judge.real(images) for judge in judges)
    drawn = [model.sample(samples, seed=seed) for model in (first, second)]
    sample_errors = judges[0].real(drawn[1]), judges[1].real(drawn[0])
    r_test, r_sample = _ratio(*test_errors), _ratio(*sample_errors)
    return Battle(
        test_errors=(test_errors[0], test_errors[1]),
        sample_errors=sample_errors,
        r_test=r_test,
        r_sample=r_sample,
        winner=verdict(r_test, r_sample, tolerance),
        images=len(images),
        samples=samples,
    )


def verdict(r_test: float, r_sample: float, tolerance: float = TOLERANCE) -> Winner:
    """Who wins by the two ratios, as in the paper."""
    comparable = 1 / (1 + tolerance) <= r_test <= 1 + tolerance
    if not comparable or r_sample == 1:
        return "tie"
    return "first" if r_sample < 1 else "second"


def _ratio(a: float, b: float) -> float:
    """a / b; equal if neither errs, infinite if only the first does."""
    if b:
        return a / b
    return math.inf if a else 1.0


class _Judge:
    """A model's discriminator with the place from which on it says "real"."""

    def __init__(self, model: Any, known: Tensor | None, seed: int) -> None:
        self.model = model
        self.threshold = 0.5
        if model.verdict == "critic score":
            assert known is not None
            own = model.sample(OWN_SAMPLES, seed=seed + 1)
            self.threshold = float(self._scores(known).mean() + self._scores(own).mean()) / 2

    def _scores(self, images: Tensor) -> Tensor:
        return self.model.discriminate(images.to(self.model.device)).cpu()

    def real(self, images: Tensor) -> float:
        """The share of images that it takes for real."""
        return float((self._scores(images) > self.threshold).double().mean())


def _check(model: Model, images: Tensor, known: Tensor | None) -> None:
    if "adversaries" not in abilities(model):
        raise GenlibError(
            f"{model.name} has no discriminator, so the adversarial metric does not apply: choose two adversarial models."
        )
    for what in (images, known):
        if what is not None and tuple(what.shape[1:]) != model.config.shape:
            raise GenlibError(
                f"{model.name} is about images of shape {model.config.shape}, but the given ones are "
                f"{tuple(what.shape[1:])}: compare models of one data set, on its images."
            )
    if known is None and getattr(model, "verdict", "") == "critic score":
        raise GenlibError(
            f"{model.name} has a critic, whose scores have no zero: give some real images besides the test images (known)."
        )
