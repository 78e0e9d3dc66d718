"""How good a picture is after so many bits: a model's lossy files against JPEG, JPEG 2000 and WebP.

Every picture is coded alone, with at most so many bits; where even a format's smallest file has more, that file is taken,
and ``bits`` says how many it had. Two ways of counting:

* headers counted: whole files as they lie on a disk, for all coders;
* headers not counted: of a model the payload alone; of the others what genlib/evaluation/standard_codecs.py calls the picture's
  own coefficients, coded by the standard's tables in a JPEG, so that nothing of the picture is in its header.

A model's file is finished in two ways: steps that are not in it are drawn from the prior (with variance, WPV) or are its
mean (without, WoPV). Measures, each the mean over the pictures:

* ``psnr``: -10 log10 of the mean squared error of values in [0, 1], dB;
* ``ssim``: structural similarity (Wang et al. 2004), windows of 7 x 7, mean over the channels (`skimage.metrics`);
* ``agreement``: share of pictures that the data's judge takes for the same class before and after.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genlib.codec import lossy
from genlib.codec.container import Container
from genlib.codec.stream import same_arithmetic
from genlib.codec.tables import CodeTables, tables_of
from genlib.data import Dataset
from genlib.errors import GenlibError
from genlib.evaluation.judges import find_judge
from genlib.evaluation.standard_codecs import CODECS, at_bits
from genlib.models.contract import Model

PAPER_BITS = (153.0, 307.0, 460.0, 612.0, 1228.0)
"""Of a 32 x 32 picture, in the figures of Gregor et al. 2016."""
CURVE_BITS = (77.0, *PAPER_BITS, 1842.0, 2456.0, 3684.0)
FINISHES = {"WPV": False, "WoPV": True}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Point:
    """A coder at one number of bits."""

    coder: str
    headers: bool
    """Whether headers are counted."""
    budget: float
    """Bits that a picture might have."""
    bits: float
    """That it had, the mean over the pictures."""
    above: float
    """Share of the pictures that had more, as no smaller file is to be had."""
    psnr: float
    ssim: float
    agreement: float


@dataclass(frozen=True)
class RateDistortion:
    """All points, and what they are of. ``header`` is the bytes of a model's file beside its payload."""

    data: str
    images: int
    header: float
    points: tuple[Point, ...]

    def at(self, coder: str, budget: float, *, headers: bool) -> Point:
        """One point."""
        return next(p for p in self.points if (p.coder, p.budget, p.headers) == (coder, budget, headers))

    def curves(self, field: str, *, headers: bool) -> dict[str, dict[float, float]]:
        """A measure of every coder by the bits that its pictures had, ascending. Of budgets below a format's smallest file
        there is one point."""
        found: dict[str, dict[float, float]] = {}
        for point in sorted(self.points, key=lambda p: p.bits):
            if point.headers == headers:
                found.setdefault(point.coder, {})[point.bits] = getattr(point, field)
        return {coder: found[coder] for coder in dict.fromkeys(p.coder for p in self.points) if coder in found}

    def as_json(self) -> dict[str, Any]:
        """Rounded to what is meaningful."""
        digits = {"bits": 1, "above": 4, "psnr": 3, "ssim": 4, "agreement": 4}
        points = [
            {key: round(value, digits[key]) if key in digits else value for key, value in asdict(p).items()}
            for p in self.points
        ]
        return {"data": self.data, "images": self.images, "header": round(self.header, 2), "points": points}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "RateDistortion":
        """What `as_json` gave."""
        return cls(value["data"], value["images"], value["header"], tuple(Point(**point) for point in value["points"]))


@dataclass(frozen=True)
class Kept:
    """What `genlib distortion --keep` keeps: the result, and the command and the machine that it is from."""

    command: str
    machine: str
    result: RateDistortion


def read_kept(path: Path) -> Kept:
    """The result in a file. One that is missing or damaged is a `GenlibError`."""
    try:
        value = json.loads(path.read_text())
        kept = Kept(value["command"], value["machine"], RateDistortion.from_json(value))
        if not kept.result.points:
            raise ValueError("it has no points")
        for point in kept.result.points:
            float(sum((point.budget, point.bits, point.above, point.psnr, point.ssim, point.agreement)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        name = path.name.partition(".")[0]
        raise GenlibError(
            f"The kept curve {path} cannot be read ({error}): measure it again with `genlib distortion {name} --keep`."
        ) from None
    return kept


def rate_distortion(
    model: Model,
    dataset: Dataset,
    name: str,
    *,
    images: int = 200,
    bits: Sequence[float] = CURVE_BITS,
    seed: int = 0,
    progress: Progress | None = None,
) -> RateDistortion:
    """The first ``images`` of the test split at each of ``bits``, by the model and by every one of `CODECS`.

    ``name`` is the checkpoint's: it stands in a file's header. ``seed``: of the prior's draws.
    """
    batch = dataset.batch("test", slice(0, images))
    measure = _Measure(batch, dataset)
    tables = tables_of(model)
    points, header, done = [], 0.0, 0
    total = len(bits) * (2 + 2 * len(CODECS))

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    for budget in bits:
        for headers in (False, True):
            written = _written(model, batch, name, tables, budget, headers)
            header = sum(file.overhead for file in written) / len(written)
            sizes = [8 * (len(file.payload) + headers * file.overhead) for file in written]
            for finish, mean in FINISHES.items():
                decoded = _decoded(model, written, tables, mean, seed)
                points.append(measure(f"{model.name} {finish}", headers, budget, sizes, decoded))
            step()
        for coder in CODECS:
            for headers in (False, True):
                coded = [at_bits(coder, image[None], budget, headers=headers) for image in batch]
                sizes = [8 * one.size(headers=headers) for one in coded]
                points.append(measure(coder, headers, budget, sizes, torch.cat([one.picture for one in coded])))
                step()
    return RateDistortion(dataset.info.name, len(batch), header, tuple(points))


def _written(
    model: Model, batch: Tensor, name: str, tables: CodeTables, budget: float, headers: bool
) -> list[Container]:
    """A file for each picture. The symbols are chosen for many pictures at once, which is as good and quicker."""
    room = int(budget // 8)  # bytes
    if headers:
        room = max(0, room - Container.of("lossy", model, 1, bytes(4), bytes(room)).renamed(name).overhead)
    rate = tables.nearest(8 * room)
    found = []
    with same_arithmetic():
        for part in batch.split(lossy.CHUNK):
            slack = lossy.SLACK
            while True:
                values = lossy.choose(model, part, tables.rates[rate], 8 * room - slack).values
                payloads = [lossy.pack(one[None], tables.rates[rate]) for one in values]
                if all(len(payload) <= room for payload in payloads):
                    break
                slack *= 2
            fields = tables.mark + bytes([rate, values.shape[1]])
            found += [Container.of("lossy", model, 1, fields, payload).renamed(name) for payload in payloads]
    return found


def _decoded(model: Model, files: list[Container], tables: CodeTables, mean: bool, seed: int) -> Tensor:
    """From the bits of each file."""
    symbols = [lossy.read_symbols(model, file, tables) for file in files]
    grid = lossy.rate_of(model, files[0], tables).grid
    with same_arithmetic():
        return lossy.pictures(model, torch.cat(symbols), grid, mean, seed)


def similarity(original: Tensor, other: Tensor) -> float:
    """SSIM of two images [C, H, W] in [0, 1]; see the module docstring."""
    from skimage.metrics import structural_similarity

    return float(structural_similarity(original.numpy(), other.numpy(), channel_axis=0, data_range=1.0))


class _Measure:
    """Measures decoded pictures against the originals."""

    def __init__(self, originals: Tensor, dataset: Dataset) -> None:
        self.originals = originals
        self.judge = find_judge(dataset).network
        self.classes = self.judge.judge(originals).classes

    def __call__(self, coder: str, headers: bool, budget: float, sizes: list[int], decoded: Tensor) -> Point:
        decoded = (decoded.clamp(0, 1) * 255).round() / 255  # as a picture file keeps it
        errors = (decoded - self.originals).square().mean((1, 2, 3)).clamp(min=1e-10)
        ssim = [similarity(a, b) for a, b in zip(self.originals, decoded, strict=True)]
        n = len(sizes)
        return Point(
            coder,
            headers,
            budget,
            sum(sizes) / n,
            sum(size > budget for size in sizes) / n,
            float(-10 / math.log(10) * errors.log().mean()),
            float(sum(ssim) / n),
            float((self.judge.judge(decoded).classes == self.classes).double().mean()),
        )
