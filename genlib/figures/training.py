"""Loss curves: every named term of a model, training and validation, with units on the axes. Knows nothing of Streamlit."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from genlib.figures import palette

Curve = tuple[np.ndarray, np.ndarray]
"""Steps int [n] and values float [n], NaN where there is no finite number."""

POINTS = 600  # per curve; a projector has no more columns
SPLITS = ("train", "validation")
SKIPPED = 0.03  # share of the steps at the start that linear axes leave room for only as far as the rest needs it

_UNITS = re.compile(
    r"(nats per image|nats|share|probability|bits/dim|critic score|score per length|length in pixel space)\b"
)
_FUNCTION = re.compile(r"^([A-Z]\([^,]*\)), ")
_ACRONYMS = {"kl", "elbo", "nll", "iwae", "jsd", "emd"}


@dataclass(frozen=True)
class Panel:
    """One plot: its terms share a unit. ``bounded``: the values lie in [0, 1]."""

    terms: tuple[str, ...]
    unit: str
    bounded: bool


def unit(meaning: str) -> str:
    """The unit that a term's meaning names, "" if none."""
    found = _UNITS.findall(meaning)
    return found[-1] if found else ""


def label(term: str, meaning: str = "") -> str:
    """How a term is written on a plot: its formula, if the meaning opens with one such as "D(x), ...", else its name."""
    formula = _FUNCTION.match(meaning)
    if formula:
        return formula[1]
    words = (word.upper() if word in _ACRONYMS else word for word in term.split("_"))
    return " ".join(words)


def panels(terms: Mapping[str, str], adversarial: bool) -> list[Panel]:
    """Which terms share a plot: opponents of one unit face each other; the terms of one loss, which differ in size, stand apart."""
    units = {term: unit(meaning) for term, meaning in terms.items()}
    if not adversarial:
        return [Panel((term,), units[term], units[term] == "probability") for term in terms]
    together: dict[str, list[str]] = {}
    for term in terms:
        together.setdefault(units[term], []).append(term)
    return [Panel(tuple(names), name, name == "probability") for name, names in together.items()]


def thin(steps: np.ndarray, values: np.ndarray, limit: int = POINTS) -> Curve:
    """At most ``limit`` points [n] that look the same: of each bucket of steps the lowest and the highest, so that no spike is lost."""
    n = len(steps)
    if n <= limit:
        return steps, values
    buckets = limit // 2 - 1
    edges = np.linspace(0, n, buckets + 1).astype(int)
    size = int(np.diff(edges).max())
    index = np.minimum(edges[:-1, None] + np.arange(size), edges[1:, None] - 1)  # [buckets, size], the last repeated
    part = values[index]
    missing = np.isnan(part)
    low = np.where(missing, math.inf, part).argmin(1)
    high = np.where(missing, -math.inf, part).argmax(1)
    rows = np.arange(buckets)
    kept = np.unique(np.concatenate([index[rows, low], index[rows, high], [0, n - 1]]))
    return steps[kept], values[kept]


def value_range(curves: list[Curve], bounded: bool, log: bool) -> list[float] | None:
    """The y axis for curves whose first steps would dwarf all the rest; None leaves it to plotly. In powers of ten if ``log``.

    The first steps of a run often lie at ten times what follows. They run out at the top of the plot; the logarithmic axis shows them.
    """
    if bounded:
        return None if log else [-0.03, 1.03]
    if log or not curves:
        return None
    end = max(int(steps[-1]) for steps, _ in curves if len(steps))
    shown = np.concatenate([values[steps > SKIPPED * end] for steps, values in curves])
    shown = shown[np.isfinite(shown)]
    if end < 40 or not len(shown):
        return None
    low, high = float(shown.min()), float(shown.max())
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return [low - margin, high + margin]


def loss_figure(
    history: Mapping[tuple[str, str], Curve],
    terms: Mapping[str, str],
    *,
    adversarial: bool = False,
    log_loss: bool = False,
    log_steps: bool = False,
    height: int = 400,
    ink: str | None = None,
) -> dict[str, Any]:
    """A plotly figure, as a dict, with a plot for each of `panels`: up to two below each other, more in two columns.

    Args:
        history: (split, term) -> curve; what is missing or empty is left out.
        terms: the model's ``terms``.
        adversarial: opponents share their plots.
        log_loss: logarithmic values, where all of a plot's values are positive.
        log_steps: logarithmic steps.
        ink: the colour of the text; None leaves it to the page's theme.
    """
    text = {"color": ink} if ink else {}
    plots = panels(terms, adversarial)
    columns = 1 if len(plots) <= 2 else 2
    rows = -(-len(plots) // columns)
    gap_x, gap_y = 0.14 if columns > 1 else 0.0, 48 / height if rows > 1 else 0.0
    width, tall = (1 - gap_x * (columns - 1)) / columns, (1 - gap_y * (rows - 1)) / rows
    traces: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = [
        _note(_key(any(len(plot.terms) > 1 for plot in plots)), 1.0, 1.0, text, right=True, shift=24)
    ]
    layout = palette.layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 54, "b": 8},
        uirevision=f"{log_loss}{log_steps}",  # a zoom stays when points arrive, and goes when the axes change
        showlegend=False,
        annotations=notes,
        font={"size": 15, **text},
    )
    for number, plot in enumerate(plots):
        row, column = divmod(number, columns)
        tag = "" if number == 0 else str(number + 1)
        left, top = column * (width + gap_x), 1 - row * (tall + gap_y)
        several = len(plot.terms) > 1
        curves: list[Curve] = []
        names = []
        for place, term in enumerate(plot.terms):
            own = palette.CYCLE[place % len(palette.CYCLE)]
            names.append(
                f'<span style="color:{own}">━</span> {label(term, terms[term])}'
                if several
                else label(term, terms[term])
            )
            for split in SPLITS:
                steps, values = history.get((split, term), (np.empty(0), np.empty(0)))
                if len(steps):
                    curves.append((steps, values))
                    colour = own if several else palette.CYCLE[SPLITS.index(split)]
                    name = f"{label(term, terms[term])}, {split}" if several else split
                    traces.append(_trace(*thin(steps, values), name, split, colour, tag, dotted=several))
        log = log_loss and not plot.bounded and all(np.nanmin(values, initial=math.inf) > 0 for _, values in curves)
        scale = value_range([] if log_steps else curves, plot.bounded, log)
        lowest = number + columns >= len(plots)
        layout[f"xaxis{tag}"] = palette.axis(
            domain=[left, left + width], anchor=f"y{tag}", type="log" if log_steps else "linear", nticks=6 // columns + 1, tickangle=0,
            showticklabels=lowest, title={"text": "step" if lowest else "", "standoff": 2, "font": text}, tickfont={"size": 15, **text},
            **({"matches": "x"} if number else {}),
        )  # fmt: skip
        layout[f"yaxis{tag}"] = palette.axis(
            domain=[max(0.0, top - tall), top], anchor=f"x{tag}", type="log" if log else "linear", nticks=5, tickfont={"size": 15, **text},
            title={"text": plot.unit, "standoff": 6, "font": text}, **({"range": scale} if scale else {"autorange": True}),
        )  # fmt: skip
        notes.append(_note(f"<b>{'   '.join(names)}</b>", left, top, text, right=False, shift=1))
    # plotly refuses a figure without a trace; an empty one lets the axes be seen before the first point
    return {"data": traces or [{"type": "scatter", "x": [], "y": []}], "layout": layout}


def _note(text: str, x: float, y: float, font: dict[str, str], *, right: bool, shift: int) -> dict[str, Any]:
    """A text above a point of the figure."""
    return {
        "text": text, "x": x, "y": y, "xref": "paper", "yref": "paper", "xanchor": "right" if right else "left", "yanchor": "bottom",
        "yshift": shift, "showarrow": False, "font": {"size": 16, **font},
    }  # fmt: skip


def _key(rivals: bool) -> str:
    """How the two splits are drawn: by colour, or, where colours tell rivals apart, by the kind of line."""
    if rivals:
        return "━ train   ┅● validation"
    train, validation = palette.CYCLE[:2]
    return f'<span style="color:{train}">━</span> train   <span style="color:{validation}">━●</span> validation'


def _trace(
    steps: np.ndarray, values: np.ndarray, name: str, split: str, colour: str, tag: str, *, dotted: bool
) -> dict[str, Any]:
    """One line. Validation has points, since it is measured seldom, and, beside a rival's line, dots."""
    seldom = split == "validation"
    marked = seldom or len(steps) == 1
    return {
        "type": "scatter",
        "mode": "lines+markers" if marked else "lines",
        "x": steps.astype(np.int32),
        "y": values.astype(np.float32),
        "xaxis": f"x{tag}",
        "yaxis": f"y{tag}",
        "name": name,
        "line": {"color": colour, "width": 2.5 if seldom else 2, "dash": "dot" if seldom and dotted else "solid"},
        "marker": {"size": 6, "color": colour},
        "hovertemplate": "%{y:.4g}",
    }


def description(terms: Mapping[str, str], history: Mapping[tuple[str, str], Curve]) -> str:
    """The plot in words, for people who do not see it: the newest value of each term."""
    parts = []
    for term, meaning in terms.items():
        for split in SPLITS:
            steps, values = history.get((split, term), (np.empty(0), np.empty(0)))
            if len(steps):
                parts.append(f"{label(term, meaning)} ({split}) {values[-1]:.4g} at step {int(steps[-1])}")
    return "Loss curves. " + ("; ".join(parts) if parts else "No point yet.")
