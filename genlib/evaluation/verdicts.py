"""Verdicts on what the literature says of the families, one function for each part of a claim (`genlib.evaluation.claims`).

A verdict is computed from the figures of the checkpoints given: the part holds, it does not hold, or the figures do not tell (None).
Two figures are held against each other only on the same scale (`genlib.evaluation.comparison`), and where both have a 95 % interval,
only if they differ by more than the interval of their difference. Whatever stands for a family or an architecture is its best
checkpoint by the figure in question; drawing times are compared by the family's median.
"""

import math
import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from genlib.evaluation.comparison import BOUND, Row
from genlib.evaluation.forms import PLAIN

if TYPE_CHECKING:
    from genlib.evaluation.rate_distortion import Point

AUTOREGRESSIVE, VARIATIONAL, ADVERSARIAL = "autoregressive", "variational", "adversarial"
FASTEST_FIRST = ("pixelcnn", "row-lstm", "diagonal-bilstm")
PIXELRNNS = ("row-lstm", "diagonal-bilstm")
VAES = ("vae", "vae-mlp")
FULL = "full past"

SEEDS = 3  # curves without which nothing is said about stability
STEADY = 0.25  # share of a curve's way that goes up: 0 falls only, 1/2 gets nowhere; this is half-way
EVEN = 2.0  # a class that is so many times rarer or commoner than an even share is badly covered
SMALL = 0.1  # a code of at most so many numbers for each value of the image is low-dimensional
CRISP = 0.9  # precision, as a share of what real images have


@dataclass(frozen=True)
class Contender:
    """A checkpoint with all that bears on the claims. Times are seconds an image, here and now."""

    row: Row
    model: str
    """Its name in the catalogue."""
    values: int
    """In an image: C x H x W."""
    code: int | None = None
    """Numbers in the code of an image; None: it gives none."""
    draw_seconds: float | None = None
    step_seconds: float | None = None
    """Of a training step: forward and backward."""
    sees: str | None = None
    """The form of its receptive field, as measured, in a network so deep that more layers add nothing."""
    curves: tuple[tuple[float, ...], ...] = ()
    """Validation losses of runs of this model that differ in nothing but the seed."""
    distortion: "tuple[Point, ...]" = ()
    """The kept rate-distortion curves of a lossy codec, its own and the standard ones'."""

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def family(self) -> str:
        return self.row.family


@dataclass(frozen=True)
class Verdict:
    """A part of a claim, the figures that bear on it, and whether it holds; None: it cannot be told from them."""

    part: str
    measured: str
    holds: bool | None
    used: tuple[str, ...] = ()
    """The checkpoints whose figures these are."""


# --- whose figures may meet ------------------------------------------------------------------------------------------

Side = Callable[[Contender], bool]


def _of_family(*names: str) -> Side:
    return lambda one: one.family in names


def _of_model(*names: str) -> Side:
    return lambda one: one.model in names


def _together(
    contenders: Sequence[Contender], scale: Callable[[Contender], Hashable | None], sides: Mapping[str, Side]
) -> tuple[list[Contender], str]:
    """The contenders of the sides that share a scale, and what is lacking for a verdict ("" if nothing).

    Of several scales the one on which most sides have a figure, then the one with most checkpoints.
    """
    by_scale: dict[Hashable, list[Contender]] = {}
    for one in contenders:
        key = scale(one)
        if key is not None and any(side(one) for side in sides.values()):
            by_scale.setdefault(key, []).append(one)

    def present(found: list[Contender]) -> list[str]:
        return [name for name, side in sides.items() if any(side(one) for one in found)]

    best = max(by_scale.values(), key=lambda found: (len(present(found)), len(found)), default=[])
    missing = [name for name in sides if name not in present(best)]
    where = " on the same scale" if best else ""
    return best, f"no figure of {' or '.join(missing)}{where}" if missing else ""


def _sample_scale(one: Contender) -> Hashable | None:
    return one.row.quality.scale if one.row.quality else None


def _likelihood_scale(one: Contender) -> Hashable | None:
    return None if one.row.nats is None else (one.row.data, one.row.likelihood_form)


def _verdict(
    part: str, figures: Sequence[tuple[Contender, str]], holds: bool | None, lacking: str = "", unit: str = ""
) -> Verdict:
    """Name each checkpoint with its figure; what is lacking comes last, and leaves the verdict open."""
    said = ", ".join(f"{one.name} {figure}" for one, figure in figures)
    said = f"{said} {unit}".strip()
    measured = "; ".join(text for text in (said, lacking) if text)
    return Verdict(part, measured or "not measured", None if lacking else holds, tuple(one.name for one, _ in figures))


def _lower(first: float, second: float, halves: tuple[float, float] = (0.0, 0.0)) -> bool | None:
    """Whether the first is the smaller; None where the difference lies within its 95 % interval."""
    if abs(first - second) <= math.hypot(*halves) and any(halves):
        return None
    return first < second


# --- families --------------------------------------------------------------------------------------------------------


def rises(curve: Sequence[float]) -> float:
    """The share of a curve's way that goes up: 0 for one that only falls, 1/2 for one that ends where it began."""
    steps = [after - before for before, after in pairwise(curve)]
    way = sum(abs(step) for step in steps)
    return sum(max(step, 0.0) for step in steps) / way if way else 0.0


def curves(part: str, contenders: Sequence[Contender], family: str, *, steady: bool) -> Verdict:
    """Whether the validation loss wanders, by the median over the seeds of each model's runs."""
    by_model = {one.model: one for one in contenders if one.family == family and len(one.curves) >= SEEDS}
    shares = {model: statistics.median(map(rises, one.curves)) for model, one in by_model.items()}
    figures = [(one, f"{100 * shares[model]:.0f} % ({len(one.curves)} seeds)") for model, one in by_model.items()]
    lacking = "" if shares else f"no model of the family has {SEEDS} runs here that differ only in the seed"
    holds = all((share < STEADY) == steady for share in shares.values())
    unit = "of the loss curve's way goes up" if figures else ""
    return _verdict(part, figures, holds, lacking, unit)


def _bits(one: Contender) -> float:
    """The tightest figure of a checkpoint with a likelihood."""
    bound = one.row.scores.get("iwae_nats")
    assert one.row.nats is not None
    return one.row.nats if bound is None else min(bound, one.row.nats)


def _said_nats(one: Contender) -> str:
    return f"{'≤ ' if one.row.likelihood == BOUND else ''}{_bits(one):.2f}"


def best_likelihood(contenders: Sequence[Contender]) -> Verdict:
    sides = {AUTOREGRESSIVE: _of_family(AUTOREGRESSIVE), VARIATIONAL: _of_family(VARIATIONAL)}
    found, lacking = _together(contenders, _likelihood_scale, sides)
    best = _champions(found, _bits)
    order = sorted(best, key=_bits)
    unit = f"nats ({order[0].row.likelihood_form})" if order else ""
    holds = bool(order) and order[0].family == AUTOREGRESSIVE
    return _verdict("The best likelihood", [(one, _said_nats(one)) for one in order], holds, lacking, unit)


def _champions(contenders: Sequence[Contender], value: Callable[[Contender], float]) -> list[Contender]:
    """Of each family the checkpoint with the smallest value."""
    best: dict[str, Contender] = {}
    for one in contenders:
        if one.family not in best or value(one) < value(best[one.family]):
            best[one.family] = one
    return list(best.values())


def slow(contenders: Sequence[Contender]) -> Verdict:
    times: dict[str, list[float]] = {}
    timed = [one for one in contenders if one.draw_seconds is not None]
    for one in timed:
        times.setdefault(one.family, []).append(one.draw_seconds or 0.0)
    medians = {family: statistics.median(values) for family, values in times.items()}
    others = [value for family, value in medians.items() if family != AUTOREGRESSIVE]
    said = ", ".join(f"{family} {1000 * value:.3g}" for family, value in medians.items())
    told = AUTOREGRESSIVE in medians and bool(others)
    return Verdict(
        "Slow to draw from",
        f"{said} ms an image, median of {len(timed)} checkpoints" if said else "not measured",
        medians[AUTOREGRESSIVE] > max(others) if told else None,
        tuple(one.name for one in timed),
    )


def no_code(contenders: Sequence[Contender]) -> Verdict:
    own = [one for one in contenders if one.family == AUTOREGRESSIVE]
    coded = [f"{one.name} {one.code} numbers" for one in own if one.code is not None]
    said = ", ".join(coded) or f"none in {len(own)} checkpoints"
    return Verdict(
        "No code of an image", said if own else "none shown", not coded if own else None, tuple(one.name for one in own)
    )


def frechet(one: Contender) -> float:
    assert one.row.quality is not None
    return one.row.quality.frechet


def blur(one: Contender) -> float:
    """How far the sharpness is from real images', as a ratio: blurred and jagged pictures alike."""
    assert one.row.quality is not None
    return abs(math.log(max(one.row.quality.sharpness, 1e-9)))


def _half(one: Contender, measure: str) -> float:
    assert one.row.quality is not None
    return one.row.quality.intervals.get(measure, 0.0)


def best_of_family(
    part: str, contenders: Sequence[Contender], value: Callable[[Contender], float], measure: str, digits: int
) -> Verdict:
    """Whether an adversarial model has the smallest value among the families' best, on a scale where they meet."""
    sides = {ADVERSARIAL: _of_family(ADVERSARIAL), "another family": _of_family(AUTOREGRESSIVE, VARIATIONAL)}
    found, lacking = _together(contenders, _sample_scale, sides)
    order = sorted(_champions(found, value), key=value)
    figures = [(one, _with_interval(one, measure, digits)) for one in order]
    if lacking or not order:
        return _verdict(part, figures, None, lacking)
    own = next(one for one in order if one.family == ADVERSARIAL)
    rival = next(one for one in order if one is not own)
    halves = (_half(own, measure), _half(rival, measure)) if measure == "frechet" else (0.0, 0.0)
    return _verdict(part, figures, _lower(value(own), value(rival), halves))


def _with_interval(one: Contender, measure: str, digits: int) -> str:
    half = _half(one, measure)
    return f"{getattr(one.row.quality, measure):.{digits}f}{f' ± {half:.{digits}f}' if half else ''}"


def modes(contenders: Sequence[Contender]) -> Verdict:
    """Whether some adversarial model covers a class badly."""
    figures, bad = [], False
    for one in contenders:
        if one.family == ADVERSARIAL and one.row.quality:
            counts = one.row.quality.class_counts
            even = sum(counts) / len(counts)
            low, high = min(counts) / even, max(counts) / even
            bad |= low < 1 / EVEN or high > EVEN
            figures.append((one, f"{low:.2f} to {high:.2f}"))
    unit = "of an even share, rarest to commonest class" if figures else ""
    return _verdict("Classes get lost", figures, bad, "" if figures else "not measured", unit)


def small_code(contenders: Sequence[Contender]) -> Verdict:
    own = [one for one in contenders if one.model in VAES and one.code is not None]
    figures = [(one, f"{one.code} numbers for {one.values:,} values") for one in own]
    holds = all((one.code or 0) <= SMALL * one.values for one in own)
    return _verdict("A low-dimensional code", figures, holds, "" if own else "no VAE shown")


def blurred(contenders: Sequence[Contender]) -> Verdict:
    """Below 1, the sharpness of real images, by more than the interval. On bits, blur would show as noise, so only grey or colour counts."""
    own = [one for one in contenders if one.model in VAES and one.row.quality and one.row.quality.form in PLAIN]
    figures = [(one, _with_interval(one, "sharpness", 2)) for one in own]
    below = [one.row.quality.sharpness + _half(one, "sharpness") < 1 for one in own if one.row.quality]
    unit = "sharpness (real images: 1)" if own else ""
    lacking = "" if own else "no sharpness of a VAE's grey or colour pictures"
    return _verdict("Blurred pictures", figures, all(below), lacking, unit)


# --- architectures ---------------------------------------------------------------------------------------------------


def _best_each(
    contenders: Sequence[Contender], models: Sequence[str], value: Callable[[Contender], float | None]
) -> dict[str, Contender]:
    """Of each model the checkpoint with the smallest value, in the order of ``models``."""
    found: dict[str, Contender] = {}
    for model in models:
        rated = [(value(one), one) for one in contenders if one.model == model]
        known = [(figure, one) for figure, one in rated if figure is not None]
        if known:
            found[model] = min(known, key=lambda pair: pair[0])[1]
    return found


def order_of_times(part: str, contenders: Sequence[Contender], seconds: Callable[[Contender], float | None]) -> Verdict:
    found = _best_each(contenders, FASTEST_FIRST, seconds)
    times = {model: seconds(one) or 0.0 for model, one in found.items()}
    figures = [(one, f"{1000 * times[model]:.3g}") for model, one in found.items()]
    lacking = _ends_lacking(found)
    holds = not lacking and list(times.values()) == sorted(times.values())
    return _verdict(part, figures, holds, lacking, "ms an image" if figures else "")


def _ends_lacking(found: Mapping[str, Contender]) -> str:
    missing = [model for model in (FASTEST_FIRST[0], FASTEST_FIRST[-1]) if model not in found]
    return f"no figure of {' or '.join(missing)}" if missing else ""


def order_of_likelihoods(contenders: Sequence[Contender]) -> Verdict:
    """PixelCNN worst, Diagonal BiLSTM best, where they are on one form of the data."""
    sides = {model: _of_model(model) for model in FASTEST_FIRST}
    together, _ = _together(contenders, _likelihood_scale, sides)
    found = _best_each(together, FASTEST_FIRST, lambda one: one.row.nats)
    lacking = _ends_lacking(found)
    apart = [
        one.name for one in contenders if one.model in FASTEST_FIRST and _likelihood_scale(one) and one not in together
    ]
    if lacking and apart:
        lacking = f"{lacking} on the same form of the data ({', '.join(apart)}: another form)"
    values = [_bits(one) for one in found.values()]
    holds = not lacking and values == sorted(values, reverse=True)
    unit = f"nats ({together[0].row.likelihood_form})" if together else ""
    return _verdict("Order of likelihoods", [(one, _said_nats(one)) for one in found.values()], holds, lacking, unit)


def smaller(part: str, contenders: Sequence[Contender], better: Sequence[str], worse: Sequence[str]) -> Verdict:
    """Whether every model of ``better`` that is measured has a smaller Frechet distance than all of ``worse``."""
    sides = {" or ".join(better): _of_model(*better), " or ".join(worse): _of_model(*worse)}
    found, lacking = _together(contenders, _sample_scale, sides)
    best = _best_each(found, [*better, *worse], frechet)
    figures = [(one, _with_interval(one, "frechet", 1)) for one in best.values()]
    pairs = [
        _lower(frechet(best[one]), frechet(best[other]), (_half(best[one], "frechet"), _half(best[other], "frechet")))
        for one in better for other in worse if one in best and other in best
    ]  # fmt: skip
    return _verdict(part, figures, False if False in pairs else None if None in pairs else True, lacking)


def crisp(contenders: Sequence[Contender], floors: Sequence[Row]) -> Verdict:
    """Precision of the PixelRNNs' pictures near that of real images on the same scale."""
    part = "PixelRNN: crisp (precision near real images')"
    real = {floor.quality.scale: floor.quality.precision for floor in floors if floor.quality}
    own = [one for one in contenders if one.model in PIXELRNNS and one.row.quality and _sample_scale(one) in real]
    figures, good = [], []
    for one in own:
        assert one.row.quality is not None
        share = one.row.quality.precision / real[one.row.quality.scale]
        good.append(share >= CRISP)
        figures.append((one, f"{100 * share:.0f} %"))
    unit = "of real images' precision" if own else ""
    return _verdict(part, figures, all(good), "" if own else "no precision of a PixelRNN beside real images'", unit)


def attention(contenders: Sequence[Contender]) -> Verdict:
    sides = {"draw": _of_model("draw"), "draw-noattn": _of_model("draw-noattn")}
    found, lacking = _together(contenders, _likelihood_scale, sides)
    best = _best_each(found, ("draw", "draw-noattn"), lambda one: one.row.nats)
    figures = [(one, f"≤ {one.row.nats:.2f}") for one in best.values()]
    values = [one.row.nats or 0.0 for one in best.values()]
    unit = f"nats ({found[0].row.likelihood_form}, ELBO)" if found else ""
    return _verdict("Attention lowers the bound", figures, len(values) == 2 and values[0] < values[1], lacking, unit)


def compression(contenders: Sequence[Contender]) -> Verdict:
    """PSNR at the fewest bits at which JPEG, its headers not counted, has a file for every picture; below it has none."""
    own = [one for one in contenders if one.model == "conv-draw" and one.distortion]
    if not own:
        return _verdict("Less distortion at equal bits", [], None, "no conv-draw with a rate-distortion curve is shown")
    figures, better = [], []
    for one in own:
        curves = {
            name: {point.budget: point for point in one.distortion or () if point.coder == name and not point.headers}
            for name in ("conv-draw WoPV", "JPEG")
        }
        common = [
            budget for budget, point in curves["JPEG"].items() if not point.above and budget in curves["conv-draw WoPV"]
        ]
        if common:
            ours, theirs = (curve[min(common)].psnr for curve in curves.values())
            figures.append((one, f"{ours:.2f} dB against JPEG's {theirs:.2f} at {min(common):g} bits"))
            better.append(ours > theirs)
    return _verdict("Less distortion at equal bits", figures, all(better), "" if figures else "no bits in common")


def sight(part: str, contenders: Sequence[Contender], model: str, *, everything: bool) -> Verdict:
    own = [one for one in contenders if one.model == model and one.sees is not None]
    figures = [(one, f"({one.sees})") for one in own]
    return _verdict(part, figures, all((one.sees == FULL) == everything for one in own), "" if own else "not measured")
