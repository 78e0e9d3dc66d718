"""The quality of what a model draws, by one yardstick for all families: `quality` of a model, `real_quality` of the data.

Pictures are judged by the features of a small classifier of the same data (`genlib.evaluation.classifier`) against the
images of the test split in the model's own form (`genlib.evaluation.forms`). Every figure says in which form, from how many
pictures and by which judge it is: figures that differ in one of them are on different scales.

The *floor* is what real training images score in the place of a model's: no honest model does better, but for noise.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from genlib.data import Dataset
from genlib.errors import GenlibError
from genlib.evaluation import pictures
from genlib.evaluation.distances import GROUPS, Estimate, frechet_distance, neighbours
from genlib.evaluation.forms import check_form, code, sample_form
from genlib.evaluation.judges import Judge, find_judge
from genlib.machine import machine
from genlib.models.contract import Model

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all); a picture drawn is a step."""

SAMPLES = 10_000
LEAST = 20  # pictures that measures of neighbours can do with
PART = 500  # pictures drawn at a time
COMPARED = 1000  # pictures whose nearest training images are looked for
STREAM = 1_000_003  # seeds of two parts are never the same below so many pictures
# 97.5 % points of Student's t for 1, 2, ... degrees of freedom; beyond, the normal value is near enough
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
NORMAL = 1.96


@dataclass(frozen=True)
class Quality:
    """Measures of ``samples`` pictures for each of ``seeds``, against ``reference`` images of a split.

    ``intervals`` holds half the width of the 95 % interval of each figure, where it can be told; ``interval`` says where it comes from.
    Times are of this machine, with whatever else it did.
    """

    data: str
    split: str
    form: str
    judge: str
    """Version of the judge."""
    samples: int
    seeds: tuple[int, ...]
    reference: int
    frechet: float
    """Frechet classifier distance; lower is better."""
    precision: float
    recall: float
    density: float
    coverage: float
    class_counts: tuple[int, ...]
    """How many pictures the judge gives to each class, over all seeds."""
    class_entropy: float
    """Nats; ln(classes) where all are equally frequent."""
    class_ratio: float | None
    """The commonest class over the rarest; None where one is missing."""
    sharpness: float
    """Variance of the Laplacian over that of the reference: below 1 blurred, above 1 noisy or jagged."""
    nearest_ratio: float
    copies: float
    memorised: bool
    interval: str
    intervals: dict[str, float]
    seconds: float | None = None
    """To draw all the pictures; None for real ones."""
    samples_per_second: float | None = None
    machine: str = ""
    threads: int = 1

    def as_json(self) -> dict[str, Any]:
        """Every field, in plain types; figures to five significant digits."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Quality":
        """The inverse of `as_json`, for what a card keeps. A foreign value is a `GenlibError`."""
        try:
            values = dict(value)
            values["seeds"], values["class_counts"] = tuple(values["seeds"]), tuple(values["class_counts"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise GenlibError(f"The kept sample measures are damaged ({error}): measure them anew.") from None

    @property
    def scale(self) -> tuple[str, str, str, str, int, int]:
        """What two measures must share to be compared."""
        return self.data, self.split, self.form, self.judge, self.samples, self.reference


MEASURES = ("frechet", "precision", "recall", "density", "coverage", "class_entropy", "sharpness")


def quality(
    model: Model, dataset: Dataset, *, samples: int = SAMPLES, seeds: Sequence[int] = (0,), form: str | None = None,
    split: str = "test", judge: Judge | None = None, progress: Progress | None = None,
) -> Quality:  # fmt: skip
    """Draw ``samples`` pictures with each seed and measure them.

    ``form`` None is the model's own; "dynamic" brings grey values and bits onto one scale. The intervals are over seeds where
    there are several, else a jackknife over groups of the pictures. Raises `GenlibError` for data of another shape, a data set
    without a judge, a form that the pictures cannot take and too few pictures.
    """
    if model.config.shape != dataset.info.shape:
        raise GenlibError(
            f"{model.name} draws images of shape {model.config.shape}, but {dataset.info.name} has "
            f"{dataset.info.shape}: measure it on the data it was trained on."
        )
    own = sample_form(model.config)
    form = own if form is None else check_form(form, model.config.channels)
    if form != own and own in ("dynamic", "threshold"):
        raise GenlibError(
            f"{model.name} draws {own} bits, which cannot be brought into the form {form!r}: use {own!r}."
        )
    bench = _Bench(dataset, split, form, samples, seeds, judge, progress)
    rows = []
    seconds = 0.0
    for seed in seeds:
        drawn = []
        for start in range(0, samples, PART):
            n = min(PART, samples - start)
            began = time.perf_counter()
            with torch.inference_mode(), model.evaluating():
                drawn.append(model.sample(n, seed=seed * STREAM + start).float().cpu())
            seconds += time.perf_counter() - began
            bench.advance(n)
        rows.append(bench.measure(torch.cat(drawn), seed))
    return bench.result(rows, seconds)


def real_quality(
    dataset: Dataset, *, form: str, samples: int = SAMPLES, seeds: Sequence[int] = (0,), split: str = "test",
    judge: Judge | None = None, progress: Progress | None = None,
) -> Quality:  # fmt: skip
    """The floor: the same of training images, other ones for each seed. ``copies`` is 1, as they are in the training set."""
    form = check_form(form, dataset.info.shape[0])
    samples = min(samples, dataset.size("train"))
    bench = _Bench(dataset, split, form, samples, seeds, judge, progress)
    rows = []
    for seed in seeds:
        order = torch.randperm(dataset.size("train"), generator=torch.Generator().manual_seed(seed))
        bench.advance(samples)
        rows.append(bench.measure(dataset.batch("train", order[:samples]), seed))
    return bench.result(rows, None)


class _Bench:
    """What all pictures are held against, and the measuring of one set of them."""

    def __init__(
        self, dataset: Dataset, split: str, form: str, samples: int, seeds: Sequence[int], judge: Judge | None,
        progress: Progress | None,
    ) -> None:  # fmt: skip
        self.m = dataset.size(split)
        if samples < LEAST or self.m < LEAST:
            few = (
                f"{samples} samples"
                if samples < LEAST
                else f"The {split} split of {dataset.info.name}, with {self.m} images,"
            )
            raise GenlibError(f"{few} cannot be measured: at least {LEAST} are needed.")
        if not seeds:
            raise GenlibError("No seed is given: measure with at least one.")
        self.dataset, self.split, self.form, self.samples, self.seeds = dataset, split, form, samples, tuple(seeds)
        self.judge = judge or find_judge(dataset)
        self.progress = progress or (lambda done, total: None)
        # looking at a picture costs about a tenth of drawing one; so the bar moves evenly enough
        self.looking = max(1, samples // 10)
        self.done, self.total = 0, len(self.seeds) * (samples + self.looking)
        self.real = code(dataset.batch(split, slice(None)), form, torch.Generator().manual_seed(0))
        self.real_features = self.judge.network.judge(self.real).features
        self.real_sharpness = pictures.sharpness(self.real).value

    def advance(self, steps: int) -> None:
        self.done += steps
        self.progress(self.done, self.total)

    def measure(self, images: Tensor, seed: int) -> tuple[dict[str, Estimate], Tensor, pictures.Memory]:
        """Figures, class counts in groups, and what training images are near, of images [N, C, H, W]."""
        images = code(images, self.form, torch.Generator().manual_seed(seed + 1))
        seen = self.judge.network.judge(images)
        base = self.done

        def moved(done: int, total: int) -> None:
            self.done = base + self.looking * done // total
            self.progress(self.done, self.total)

        near = neighbours(self.real_features, seen.features, progress=moved)
        counts = pictures.histogram(seen.classes, self.judge.network.architecture.classes)
        sharp = pictures.sharpness(images)
        scale = self.real_sharpness or math.nan
        figures = {
            "frechet": frechet_distance(self.real_features, seen.features),
            **vars(near),
            "class_entropy": pictures.entropy(counts),
            "sharpness": Estimate(sharp.value / scale, None if sharp.error is None else sharp.error / scale),
        }
        some = images[_spread(len(images))]
        memory = pictures.memory(some, self.real[_spread(self.m)], self.dataset)
        return figures, counts.sum(0), memory

    def result(self, rows: list[tuple[dict[str, Estimate], Tensor, pictures.Memory]], seconds: float | None) -> Quality:
        """The average over the seeds, with its intervals."""
        values = {name: [figures[name].value for figures, _, _ in rows] for name in MEASURES}
        if len(rows) > 1:
            degrees = len(rows) - 1
            t = STUDENT[degrees - 1] if degrees <= len(STUDENT) else NORMAL
            interval = f"95 %, Student's t over {len(rows)} seeds"
            errors = {name: t * statistics.stdev(all_) / math.sqrt(len(rows)) for name, all_ in values.items()}
        else:
            interval = f"95 %, one seed, jackknife over {GROUPS} groups or standard error over pictures"
            singles = {name: rows[0][0][name].error for name in MEASURES}
            errors = {name: NORMAL * error for name, error in singles.items() if error is not None}
        counts = torch.stack([counts for _, counts, _ in rows]).sum(0)
        memories = [memory for _, _, memory in rows]
        copies = statistics.fmean(memory.copies for memory in memories)
        return Quality(
            data=self.dataset.info.name, split=self.split, form=self.form, judge=self.judge.version,
            samples=self.samples, seeds=self.seeds, reference=self.m,
            **{name: statistics.fmean(all_) for name, all_ in values.items()},
            class_counts=tuple(counts.tolist()), class_ratio=pictures.class_ratio(counts),
            nearest_ratio=statistics.fmean(memory.nearest_ratio for memory in memories),
            copies=copies, memorised=copies > pictures.COPIES, interval=interval, intervals=errors, seconds=seconds,
            samples_per_second=len(rows) * self.samples / seconds if seconds else None,
            machine=machine(), threads=torch.get_num_threads(),
        )  # fmt: skip


def _spread(n: int) -> Tensor:
    """At most `COMPARED` of n rows, evenly spread."""
    chosen = min(n, COMPARED)
    return torch.arange(chosen) * n // chosen


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
