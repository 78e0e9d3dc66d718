"""One table for all families: scores and sample measures of several checkpoints, sorted, each marked with what it may be compared with.

Two rules of comparison:

* likelihoods: only on the same data and the same form of it (bits of one kind, or the same number of levels); a bound may be held
  against an exact value with care, as the truth is lower;
* sample measures: only on the same data, form, split, judge and numbers of pictures (`Quality.scale`).

The yardstick is what most rows share; rows on another are marked, not left out.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from genlib.evaluation.yardstick import Quality

REAL = "real images"
EXACT, BOUND, NONE, UNKNOWN = "exact", "bound", "no likelihood", "not measured"
SAME = "comparable"


@dataclass(frozen=True)
class Row:
    """A checkpoint in the table, or real images in the place of one (``family`` "data")."""

    name: str
    family: str
    data: str
    quality: Quality | None
    """Of its samples; None: not measured."""
    scores: dict[str, Any] = field(default_factory=dict)
    """As `genlib.evaluation.Scores.as_json` gives them; empty: not measured."""
    parameters: int | None = None
    images_seen: int | None = None
    training_seconds: float | None = None
    machine: str | None = None
    """That trained it."""
    reason: str = ""
    """Why there is no quality."""

    @property
    def nats(self) -> float | None:
        exact = self.scores.get("nll_nats")
        return exact if exact is not None else self.scores.get("elbo_nats")

    @property
    def likelihood(self) -> str:
        """ "exact", "bound", "no likelihood" or "not measured"."""
        if self.nats is not None:
            return EXACT if self.scores.get("nll_nats") is not None else BOUND
        return NONE if self.scores else UNKNOWN

    @property
    def likelihood_form(self) -> str | None:
        """The form of the images that the likelihood is about."""
        if self.nats is None:
            return None
        levels = self.scores.get("levels")
        return f"{levels} levels" if levels else self.scores.get("binarisation") or "real values"


@dataclass(frozen=True)
class Marked:
    """A row with what its two kinds of figures may be compared with."""

    row: Row
    samples_mark: str
    likelihood_mark: str

    @property
    def samples_comparable(self) -> bool:
        return self.samples_mark == SAME

    @property
    def likelihood_comparable(self) -> bool:
        return self.likelihood_mark in (SAME, BOUND)

    def as_json(self) -> dict[str, Any]:
        """Everything there is of the row, the marks included."""
        row = self.row
        return {
            "name": row.name,
            "family": row.family,
            "data": row.data,
            "nats": row.nats,
            "iwae_nats": row.scores.get("iwae_nats"),
            "bits_per_dim": row.scores.get("bits_per_dim"),
            "likelihood": row.likelihood,
            "likelihood_form": row.likelihood_form,
            "likelihood_mark": self.likelihood_mark,
            "likelihood_comparable": self.likelihood_comparable,
            "samples_mark": self.samples_mark,
            "samples_comparable": self.samples_comparable,
            "quality": row.quality.as_json() if row.quality else None,
            "parameters": row.parameters,
            "images_seen": row.images_seen,
            "training_seconds": row.training_seconds,
            "trained_on": row.machine,
        }


def compare(rows: Sequence[Row]) -> list[Marked]:
    """The rows, marked; those on the common scale first, by Frechet distance, then the others, then those without samples.

    Real rows come first of their scale: they are the floor.
    """
    scale = _commonest([row.quality.scale for row in rows if row.quality])
    form = _commonest([(row.data, row.likelihood_form) for row in rows if row.nats is not None])
    marked = [Marked(row, _samples_mark(row, scale), _likelihood_mark(row, form)) for row in rows]

    def order(one: Marked) -> tuple[Any, ...]:
        found = one.row.quality
        if found is None:
            return 2, "", 0, one.row.nats if one.row.nats is not None else float("inf"), one.row.name
        apart = not one.samples_comparable
        return int(apart), found.form if apart else "", int(one.row.family != "data"), found.frechet, one.row.name

    return sorted(marked, key=order)


T = TypeVar("T", bound=Hashable)


def _commonest(values: list[T]) -> T | None:
    """The first of the commonest values."""
    return max(dict.fromkeys(values), key=values.count, default=None)


def _samples_mark(row: Row, scale: tuple[Any, ...] | None) -> str:
    if row.quality is None:
        return row.reason or UNKNOWN
    assert scale is not None
    names = ("data", "split", "form", "judge", "samples", "reference")
    others = [
        f"{name} {value}"
        for name, value, common in zip(names, row.quality.scale, scale, strict=True)
        if value != common
    ]
    return f"other scale: {', '.join(others)}" if others else SAME


def _likelihood_mark(row: Row, common: tuple[str, str | None] | None) -> str:
    if row.family == "data":
        return NONE
    if row.nats is None:
        return row.likelihood
    if (row.data, row.likelihood_form) != common:
        return f"other scale: {row.data}, {row.likelihood_form}"
    return SAME if row.likelihood == EXACT else BOUND


# --- as text ---------------------------------------------------------------------------------------------------------

Cell = Callable[[Marked], str]


def _measure(name: str, digits: int) -> Cell:
    def cell(one: Marked) -> str:
        found = one.row.quality
        if found is None:
            return "-"
        half = found.intervals.get(name)
        around = "" if half is None else f" ± {half:.{digits}f}"
        return f"{getattr(found, name):.{digits}f}{around}"

    return cell


def _nats(one: Marked) -> str:
    row = one.row
    if row.nats is None:
        return "n/a" if row.likelihood == NONE or row.family == "data" else "-"
    return f"{'≤ ' if row.likelihood == BOUND else ''}{row.nats:.2f} ({row.likelihood_form})"


def _copies(one: Marked) -> str:
    found = one.row.quality
    if found is None:
        return "-"
    return f"{100 * found.copies:.1f} %{' (training images)' if one.row.family == 'data' else ' !' if found.memorised else ''}"


def _ratio(one: Marked) -> str:
    found = one.row.quality
    if found is None:
        return "-"
    missing = sum(count == 0 for count in found.class_counts)
    return f"{found.class_ratio:.2f}" if found.class_ratio is not None else f"{missing} missing"


def _speed(one: Marked) -> str:
    found = one.row.quality
    return f"{found.samples_per_second:,.0f}" if found and found.samples_per_second else "-"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


COLUMNS: tuple[tuple[str, Cell], ...] = (
    ("checkpoint", lambda one: one.row.name),
    ("form", lambda one: one.row.quality.form if one.row.quality else "-"),
    ("FCD", _measure("frechet", 2)),
    ("precision", _measure("precision", 3)),
    ("recall", _measure("recall", 3)),
    ("density", _measure("density", 2)),
    ("coverage", _measure("coverage", 3)),
    ("class entropy", _measure("class_entropy", 3)),
    ("max/min class", _ratio),
    ("sharpness", _measure("sharpness", 2)),
    ("copies", _copies),
    ("nats", _nats),
    ("samples/s", _speed),
    ("parameters", lambda one: _count(one.row.parameters)),
    ("images seen", lambda one: _count(one.row.images_seen)),
    ("training, min", lambda one: "-" if one.row.training_seconds is None else f"{one.row.training_seconds / 60:.0f}"),
    ("samples comparable?", lambda one: "yes" if one.samples_comparable else one.samples_mark),
    (
        "nats comparable?",
        lambda one: {SAME: "yes", BOUND: "yes, a bound"}.get(one.likelihood_mark, one.likelihood_mark),
    ),
)


def cells(rows: Sequence[Marked]) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the table."""
    return [name for name, _ in COLUMNS], [[cell(one) for _, cell in COLUMNS] for one in rows]


def markdown(rows: Sequence[Marked]) -> str:
    """The table for a README."""
    header, lines = cells(rows)
    safe = [[_safe(cell) for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *safe))


def _safe(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
