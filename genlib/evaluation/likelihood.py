"""The likelihood that a model gives to images it has never seen, in nats per image.

Every figure is an average over the images of a split, with its standard error, and is only comparable with figures on
the same form of the data (see `genlib.data.codings`): the form is part of the result. Figures are positive, lower is
better:

* exact likelihood: ``nll`` = -log p(x). Of a model that knows `levels` values of a sub-pixel it is that of the images
  rounded to so many: bits/dim of 4 levels are at most 2 and say nothing beside bits/dim of 256, which are at most 8.
* bounded likelihood: ``elbo`` = reconstruction + KL, the *negative* evidence lower bound, which is an upper bound of
  the NLL whatever the model was trained with (beta = 1, one draw of the code per image); and ``iwae``, the tighter
  bound with k draws (Burda et al. 2016, eq. 8).
* no likelihood (GANs): none, with the reason. A density fitted around samples (Parzen) says little about a model, so we
  give no such number. Nor do we of a model whose nats are on a scale of their own (`Model.no_likelihood`).

The IWAE bound needs k passes per image, so it is computed on ``iwae_images`` images spread evenly over the split, and
what is averaged on them is the *gap* to the ELBO of the same images: ``iwae`` = ELBO of all images - mean gap. The
gap varies far less from image to image than the bound itself (a double-sampling difference estimate, Cochran 1977,
chapter 12), and with every image taken the result is the plain average.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from genlib.data import BINARISATIONS, Dataset
from genlib.data.codings import to_levels
from genlib.data.pairs import next_of_class
from genlib.errors import GenlibError
from genlib.models import abilities
from genlib.models.contract import Bound, Config, Model

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""

BATCH = 128  # images per pass; part of what makes a score reproducible, as each batch has its own noise
IWAE_PASSES = 4096  # images x draws per pass of the IWAE bound: bounds the memory
PROBABILITIES = 1 << 24  # at a time, where every value of every sub-pixel has one: 64 MB
IWAE_IMAGES = 1000
K = 50
NO_LIKELIHOOD = "no likelihood"


@dataclass(frozen=True)
class Scores:
    """Averages over ``images`` images of a split, in nats per image except where said. None: it does not apply."""

    split: str
    binarisation: str | None
    """Form of the binary images; None if they are not binarised."""
    images: int
    likelihood: Literal["exact", "bound"] | None
    levels: int | None = None
    """Values of a sub-pixel that the likelihood is about, where they are more than two: part of the form of the data."""
    reason: str | None = None
    """Why there is no likelihood."""
    nll_nats: float | None = None
    elbo_nats: float | None = None
    reconstruction_nats: float | None = None
    kl_nats: float | None = None
    standard_error: float | None = None
    """Of ``nll_nats`` or ``elbo_nats``."""
    iwae_nats: float | None = None
    iwae_standard_error: float | None = None
    k: int | None = None
    """Draws of that bound: the largest k that was asked for."""
    iwae_images: int | None = None
    iwae_by_k: dict[str, float] | None = None
    """The bound for each k, where several were asked for."""
    nll_given_class_nats: float | None = None
    """-log p(x | class of x): what papers on conditional models often give. At most ln(classes) nats below ``nll_nats``
    where the classes are equally frequent, as the sum over them holds this one."""
    elbo_given_example_nats: float | None = None
    """Negative bound on log p(x | x') of a model that is given an example: for each image, the next one of its class. Without an
    example such a model takes one of another class, so its ``elbo_nats`` are many more."""
    bits_per_dim: float | None = None
    """nll or elbo / (ln 2 x sub-pixels)."""
    nats_per_pixel: float | None = None
    """nll or elbo / sub-pixels; for models that predict pixel by pixel."""
    per_pixel_accuracy: float | None = None
    """Share of sub-pixels whose likeliest value, given the pixels before, is the true one."""

    def as_json(self) -> dict[str, Any]:
        """The figures that apply to this model, rounded to what the arithmetic supports; never NaN.

        A model without a likelihood has ``nll_nats`` and ``bits_per_dim`` null.
        """
        kept = {name for name, value in vars(self).items() if value is not None} | {"binarisation", "bits_per_dim"}
        kept |= {"nll_nats"} if self.likelihood is None else set()
        return {name: _rounded(name, value) for name, value in vars(self).items() if name in kept}


def evaluate(
    model: Model, dataset: Dataset, *, split: str = "test", images: int | None = None, k: int | Sequence[int] = K,
    iwae_images: int = IWAE_IMAGES, seed: int = 0, progress: Progress | None = None,
) -> Scores:  # fmt: skip
    """Score ``model`` on the first ``images`` of a split (None: all of it), in 32-bit arithmetic. ``k``: one or several.

    ``seed`` drives the draws of the code; the binary form of the images is drawn with the fixed seed of
    `Dataset.binary`. The same call gives the same figures. Raises `GenlibError` for data of another shape and for an
    empty split.
    """
    if model.config.shape != dataset.info.shape:
        raise GenlibError(
            f"{model.name} works on images of shape {model.config.shape}, but {dataset.info.name} has "
            f"{dataset.info.shape}: evaluate it on the data it was trained on."
        )
    size = dataset.size(split)
    n = min(images or size, size)
    if n == 0:
        raise GenlibError(f"The {split} split of {dataset.info.name} has no images.")
    can = abilities(model)
    form = form_of(model.config)
    kind: Literal["exact", "bound"] | None = (
        "exact" if "exact likelihood" in can else "bound" if "bounded likelihood" in can else None
    )
    if kind is None or model.no_likelihood:
        return Scores(split, None, n, None, reason=model.no_likelihood or NO_LIKELIHOOD)
    progress = progress or (lambda done, total: None)
    draws = _Draws(model, seed)
    x = dataset.binary(split, form, n) if form else dataset.batch(split, slice(n))
    scores = Scores(split, form, n, kind, levels_of(model.config))
    with torch.inference_mode(), model.evaluating():
        if kind == "exact":
            labels = dataset.labels(split)[:n] if model.classes == len(dataset.classes) else None
            return _exact(model, x, labels, scores, "pixel prediction" in can, progress)
        ks = sorted({k} if isinstance(k, int) else set(k))
        found = _bounded(model, x, scores, ks, min(iwae_images, n), draws, progress)
        if "conditioning by example" in can:
            given = _given_example(model, x, dataset.labels(split)[:n], draws)
            return replace(found, elbo_given_example_nats=given)
        return found


def form_of(config: Config) -> str | None:
    """The form of binary images that a model with this config is judged on; None: grey or colour values as they are.

    Models that take grey values as probabilities have no likelihood of their own: they are judged on `dynamic`.
    """
    if getattr(config, "levels", 2) > 2:
        return None
    form = getattr(config, "binarisation", None)
    return form if form is None or form in BINARISATIONS else "dynamic"


def levels_of(config: Config) -> int | None:
    """How many values of a sub-pixel a model with this config tells apart; None: it is about binary or real values."""
    levels = getattr(config, "levels", 2)
    return levels if levels > 2 else None


class _Draws:
    """A seed of its own for every batch: the same noise for all would be one draw used again and again."""

    def __init__(self, model: Any, seed: int) -> None:
        self.model, self.first = model, seed * 1_000_003

    def bound(self, x: Tensor, start: int) -> Bound:
        return self.model.bound(x, seed=self.first + 2 * start)

    def iwae(self, x: Tensor, k: int, start: int) -> Tensor:
        return self.model.iwae(x, k, seed=self.first + 2 * start + 1)


def _exact(
    model: Any, x: Tensor, labels: Tensor | None, scores: Scores, predicts: bool, progress: Progress
) -> Scores:  # fmt: skip
    """A class-conditional model takes a pass for each class, so its nll is read off the predictions it makes anyway."""
    nll, right = [], 0.0
    from_predictions = predicts and model.classes > 0
    for start, batch in _batches(x, BATCH, model.device):
        if not from_predictions:
            nll.append(-model.log_prob(batch).double().cpu())
        if predicts:
            for part in batch.split(max(1, PROBABILITIES // (batch[0].numel() * (scores.levels or 2)))):
                chances = model.pixel_distribution(part)  # [n, C, levels, H, W]
                truth = to_levels(part, chances.shape[2])
                right += float((chances.argmax(2) == truth).double().sum())
                if from_predictions:
                    nll.append(-chances.gather(2, truth.unsqueeze(2)).double().log().sum((1, 2, 3, 4)).cpu())
        progress(start + len(batch), len(x))
    mean, error = _mean(torch.cat(nll))
    values: dict[str, Any] = {**vars(scores), "nll_nats": mean, "standard_error": error}
    values["bits_per_dim"] = mean / (math.log(2) * x[0].numel())
    if predicts:
        values |= {"nats_per_pixel": mean / x[0].numel(), "per_pixel_accuracy": right / x.numel()}
    if model.classes and labels is not None:
        values["nll_given_class_nats"] = _given_class(model, x, labels)
    return Scores(**values)


def _given_class(model: Any, x: Tensor, labels: Tensor) -> float:
    """Mean of -log p(x | class of x) over the images."""
    total = 0.0
    for label in labels.unique().tolist():
        for _, batch in _batches(x[labels == label], BATCH, model.device):
            total -= float(model.log_prob(batch, label=label).double().sum())
    return total / len(x)


def _given_example(model: Any, x: Tensor, labels: Tensor, draws: _Draws) -> float:
    """Mean of the negative bound on log p(x | x') over the images that have another of their class."""
    partner = next_of_class(labels)
    kept = (partner != torch.arange(len(x))).nonzero()[:, 0]
    total = 0.0
    for start in range(0, len(kept), BATCH):
        rows = kept[start : start + BATCH]
        images, examples = x[rows].to(model.device), x[partner[rows]].to(model.device)
        total += float(sum(model.bound_given(images, examples, seed=draws.first + 2 * start)).double().sum())
    return total / len(kept)


def _bounded(
    model: Any, x: Tensor, scores: Scores, ks: list[int], m: int, draws: _Draws, progress: Progress
) -> Scores:  # fmt: skip
    n = len(x)
    total = n + m * sum(ks)
    bounds = []
    for start, batch in _batches(x, BATCH, model.device):
        bounds.append(torch.stack(draws.bound(batch, start)).double().cpu())
        progress(start + len(batch), total)
    parts = torch.cat(bounds, 1)  # [2, N]: reconstruction and KL
    elbo = parts.sum(0)  # [N]
    mean, error = _mean(elbo)
    values: dict[str, Any] = {**vars(scores), "elbo_nats": mean, "standard_error": error}
    values |= {"reconstruction_nats": float(parts[0].mean()), "kl_nats": float(parts[1].mean())}
    values["bits_per_dim"] = mean / (math.log(2) * x[0].numel())
    if not m:
        return Scores(**values)
    chosen = torch.arange(m) * n // m
    done = n
    by_k: dict[int, float] = {}
    for k in ks:  # ascending: the last is the tightest
        iwae = []
        for start, batch in _batches(x[chosen], max(1, min(BATCH, IWAE_PASSES // k)), model.device):
            iwae.append(-draws.iwae(batch, k, start).double().cpu())
            done += len(batch) * k
            progress(done, total)
        tight = torch.cat(iwae)  # [m]
        gap, gap_error = _mean(elbo[chosen] - tight)
        error = math.hypot(gap_error * math.sqrt(1 - m / n), _mean(tight)[1] * math.sqrt(m / n))
        by_k[k] = mean - gap
    values |= {"iwae_nats": by_k[ks[-1]], "iwae_standard_error": error, "k": ks[-1], "iwae_images": m}
    if len(ks) > 1:
        values["iwae_by_k"] = {str(k): round(nats, 4) for k, nats in by_k.items()}
    return Scores(**values)


def _batches(x: Tensor, size: int, device: torch.device) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(x), size):
        yield start, x[start : start + size].to(device)


def _mean(values: Tensor) -> tuple[float, float]:
    """Mean of [N] and its standard error (0 where one value leaves it unknown)."""
    mean = float(values.mean())
    return mean, float(values.std() / math.sqrt(len(values))) if len(values) > 1 else 0.0


def _rounded(name: str, value: Any) -> Any:
    """Sums in 32-bit arithmetic agree to about 1e-5 nats from one number of threads to another: more digits would be
    noise.
    """
    if not isinstance(value, float):
        return value
    nats = name.endswith(("_nats", "standard_error"))
    return round(value, 4 if nats else 6) if math.isfinite(value) else None
