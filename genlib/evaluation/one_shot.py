"""What a model can do with a character that it is shown once: tell it from others, and write it again.

**Classification** (Lake et al. 2015; Rezende et al. 2016): of 20 characters that each were drawn once, which one is another
person's drawing? The model takes the support that makes the drawing likeliest,

    argmax_s log p(query | support_s),      chance 1 in 20

with the importance-weighted bound of k draws in the place of the likelihood, under the same noise for all supports.

**Samples** of characters of the held-out alphabets, judged by a classifier that knows those characters. The model has never
seen them; the classifier is trained on the drawings of some people, and it is shown examples of the others. Beside the
share of samples (in the form of the model's images, as the real ones) that are taken for the character of their example stands the *floor*: the share of the other people's own drawings
that are recognised, as no sample need do better. A model that copied its example would do well here, so the
``spread`` stands beside: how far samples lie from their example (mean square over the pixels), in units of how far other people's
drawings of the same character lie from it.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from genlib.data import Dataset
from genlib.data.one_shot_runs import CHARACTERS, RUNS, one_shot_runs
from genlib.errors import GenlibError
from genlib.evaluation import classifier
from genlib.evaluation.forms import code
from genlib.evaluation.likelihood import form_of
from genlib.models import abilities
from genlib.models.contract import Model

Progress = Callable[[int, int], None]

K = 20  # draws of the bound by which a drawing is classified
DRAWERS, TRAINED = 20, 15  # people that drew each character; those that the classifier learns from
EPOCHS = 60  # of its training, over 15 drawings of each character
SAMPLES = 20  # for each example


@dataclass(frozen=True)
class Classified:
    """The 20 runs. ``by_run``: the accuracy of each; ``standard_error`` is over the runs."""

    accuracy: float
    standard_error: float
    by_run: list[float]
    chance: float
    k: int


@dataclass(frozen=True)
class Judged:
    """The samples. ``recognised`` is the share that the classifier takes for the character of their example, ``floor`` the same for
    other people's own drawings, ``spread`` see the module docstring."""

    recognised: float
    standard_error: float
    """Over the characters."""
    floor: float
    chance: float
    over_chance: float
    spread: float
    characters: int
    examples: int
    samples: int


@dataclass(frozen=True)
class OneShotScores:
    classification: Classified
    samples: Judged
    seed: int

    def as_json(self) -> dict[str, Any]:
        """Plain values, rounded to four digits."""
        return _rounded(asdict(self))


def scores(
    model: Any, dataset: Dataset, *, k: int = K, seed: int = 0, progress: Progress | None = None
) -> OneShotScores:
    """Both measures; ``dataset`` is that with whole alphabets held out. Raises `GenlibError` for a model that takes no
    example, and for other data."""
    check(model, dataset)
    classified = classify_runs(model, k=k, seed=seed, progress=progress)
    return OneShotScores(classified, judge_samples(model, dataset, seed=seed), seed)


def check(model: Model, dataset: Dataset) -> None:
    """Raise the sentence for a model or data that one-shot scores are not about."""
    if "conditioning by example" not in abilities(model):
        raise GenlibError(f"{model.name} takes no example, so it has no one-shot scores: choose a one-shot checkpoint.")
    if not dataset.info.unseen or model.config.shape != dataset.info.shape:
        raise GenlibError(
            f"One-shot scores are about whole alphabets that were held out, of images of {model.config.shape}, and "
            f"{dataset.info.name} has none: choose a model that is trained on omniglot."
        )


# Classification


def log_likelihoods(model: Any, queries: Tensor, supports: Tensor, *, k: int = K, seed: int = 0) -> Tensor:
    """The bound on log p(query | support) in nats: queries [Q, C, H, W], supports [S, C, H, W] -> [Q, S].

    Query by query, all supports are weighed with the same noise, so that it is the support that makes the difference.
    """
    with torch.inference_mode(), model.evaluating():
        device = model.device
        columns = [
            model.iwae_given(queries.to(device), support[None].to(device), k, seed=seed).cpu() for support in supports
        ]
    return torch.stack(columns, 1)


def posterior(log_p: Tensor) -> Tensor:
    """p(support | query) with all supports alike before: log p(query | support) [..., S] -> [..., S], sums to one."""
    return log_p.double().softmax(-1)


def classify_runs(model: Any, *, k: int = K, seed: int = 0, progress: Progress | None = None) -> Classified:
    """All of Lake et al.'s runs."""
    runs = one_shot_runs()
    shares = []
    for run in range(RUNS):
        log_p = log_likelihoods(model, runs.query[run], runs.support[run], k=k, seed=seed * 1_000_003 + run)
        shares.append(float((log_p.argmax(1) == runs.answers[run]).double().mean()))
        if progress is not None:
            progress(run + 1, RUNS)
    mean, error = _mean(torch.tensor(shares, dtype=torch.float64))
    return Classified(mean, error, shares, 1 / CHARACTERS, k)


# Samples


def by_drawer(dataset: Dataset, split: str) -> tuple[Tensor, list[int]]:
    """A split's pictures, character by character and in each in the order of the people who drew them: uint8 [characters,
    20, C, H, W] and the characters' labels. Person d of an alphabet drew the d-th picture of all its characters."""
    labels = dataset.labels(split)
    found = labels.unique().tolist()
    rows = [dataset.images(split)[labels == label] for label in found]
    if any(len(row) != DRAWERS for row in rows):
        raise GenlibError(
            f"The {split} split of {dataset.info.name} has not {DRAWERS} drawings of each character, so they cannot be "
            "split by the people who drew them: fetch it again."
        )
    return torch.stack(rows), found


def held_out_judge(dataset: Dataset, split: str = "test", *, seed: int = 0) -> tuple[classifier.Classifier, Dataset]:
    """A classifier of the held-out characters, and its data: in the part ``train`` the drawings of 15 people, in ``test`` those
    of the other five. It takes about a minute of one core."""
    pictures, labels = by_drawer(dataset, split)
    names = tuple(dataset.classes[label] for label in labels)
    info = replace(dataset.info, name=f"{dataset.info.name}_{split}", classes=names, unseen=False)
    numbers = torch.arange(len(labels))

    def part(drawers: slice) -> tuple[Any, Any]:
        rows = pictures[:, drawers].transpose(0, 1)  # person by person, so that any stretch has all characters
        return rows.flatten(0, 1)[:, 0].numpy(), numbers.repeat(len(rows)).numpy()

    known, others = part(slice(TRAINED)), part(slice(TRAINED, DRAWERS))
    arrays = {"train_images": known[0], "train_labels": known[1], "test_images": others[0], "test_labels": others[1]}
    arrays |= {"validation_images": others[0], "validation_labels": others[1]}
    held = Dataset(info, arrays)
    return classifier.train(held, epochs=EPOCHS, seed=seed), held


def judge_samples(
    model: Any,
    dataset: Dataset,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
    judge: tuple[classifier.Classifier, Dataset] | None = None,
) -> Judged:
    """The model is shown, one at a time, the drawings of the people whom the classifier has not learned from."""
    network, held = judge or held_out_judge(dataset, seed=seed)
    form = form_of(model.config) or "grey"
    generator = torch.Generator().manual_seed(seed)
    real = code(held.batch("test", slice(None)), form, generator)
    labels, characters = held.labels("test"), len(held.classes)
    floor = float((network.judge(real).classes == labels).double().mean())
    with torch.inference_mode(), model.evaluating():
        drawn = torch.cat(
            [
                model.sample_like(real[label == labels].to(model.device), samples, seed=seed * 1_000_003 + label).cpu()
                for label in range(characters)
            ]
        )  # [characters x examples, samples, C, H, W]
    drawn = code(drawn, form, generator)
    examples = DRAWERS - TRAINED
    right = network.judge(drawn.flatten(0, 1)).classes == torch.arange(characters).repeat_interleave(examples * samples)
    share, error = _mean(right.view(characters, -1).double().mean(1))
    shown = torch.stack([real[labels == label] for label in range(characters)])  # [characters, examples, C, H, W]
    return Judged(
        recognised=share,
        standard_error=error,
        floor=floor,
        chance=1 / characters,
        over_chance=share * characters,
        spread=_spread(drawn.view(characters, examples, samples, *real.shape[1:]), shown),
        characters=characters,
        examples=examples,
        samples=samples,
    )


def _spread(drawn: Tensor, shown: Tensor) -> float:
    """Mean square from example to sample, over that from example to another person's drawing of the character."""
    samples = (drawn - shown[:, :, None]).square().mean()
    pairs = (shown[:, :, None] - shown[:, None]).square().flatten(3).mean(3)  # [characters, examples, examples]
    n = shown.shape[1]
    return float(samples / (pairs.sum() / (len(shown) * n * (n - 1))))


def _mean(values: Tensor) -> tuple[float, float]:
    """Mean of [N] and its standard error."""
    return float(values.mean()), float(values.std() / math.sqrt(len(values)))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value
