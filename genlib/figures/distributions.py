"""What was seen of single images, as overlaid histograms, and of single latents or steps, as bars. Knows nothing of Streamlit."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genlib.figures import palette
from genlib.figures.training import label, unit

BINS = 25
_ACTIVE = re.compile(r"active above ([0-9.]+)")


@dataclass(frozen=True)
class Panel:
    """One plot: histograms of ``names``, which share a unit, or the bars of one of them."""

    names: tuple[str, ...]
    bars: bool


def panels(meanings: Mapping[str, str]) -> list[Panel]:
    """Which arrays share a plot: those of each image that have one unit face each other; those "of each latent" or
    "of each step" stand apart."""
    together: dict[str, list[str]] = {}
    found: list[Panel] = []
    for name, meaning in meanings.items():
        if "of each latent" in meaning or _in_order(meaning):
            found.append(Panel((name,), True))
        else:
            together.setdefault(unit(meaning), []).append(name)
    return [*(Panel(tuple(names), False) for names in together.values()), *found]


def edges(values: Sequence[np.ndarray], bounded: bool) -> np.ndarray:
    """Borders of the bins that all of a plot's histograms share, [BINS + 1]; ``bounded``: from 0 to 1."""
    if bounded:
        return np.linspace(0, 1, BINS + 1)
    every = np.concatenate([np.asarray(each, float) for each in values])
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def distribution_figure(
    values: Mapping[str, Sequence[float]], meanings: Mapping[str, str], *, height: int = 250, ink: str | None = None
) -> dict[str, Any]:
    """A plotly figure, as a dict, with a plot for each of `panels`, side by side. What is missing from ``values`` is left out.

    Histograms show shares of the images; bars of latents are sorted, the largest first, and the number of active ones is told where the meaning says
    from where on a latent is active.
    """
    text = {"color": ink} if ink else {}
    plots = [plot for plot in panels(meanings) if any(len(values.get(name, ())) for name in plot.names)]
    gap = 0.09
    width = (1 - gap * (len(plots) - 1)) / max(len(plots), 1)
    traces: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    layout = palette.layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
        barmode="overlay",
        bargap=0.04,
        showlegend=False,
        annotations=notes,
        font={"size": 15, **text},
    )
    for number, plot in enumerate(plots):
        tag, left = "" if number == 0 else str(number + 1), number * (width + gap)
        drawn = _bars if plot.bars else _histograms
        own, title, x_title, y_title = drawn(plot, values, meanings)
        traces += [{**trace, "xaxis": f"x{tag}", "yaxis": f"y{tag}"} for trace in own]
        notes.append(
            {
                "text": f"<b>{title}</b>", "x": left, "y": 1.0, "xref": "paper", "yref": "paper", "xanchor": "left",
                "yanchor": "bottom", "yshift": 1, "showarrow": False, "font": {"size": 16, **text},
            }
        )  # fmt: skip
        layout[f"xaxis{tag}"] = palette.axis(
            domain=[left, left + width], anchor=f"y{tag}", nticks=6, title={"text": x_title, "standoff": 2, "font": text},
            tickfont={"size": 15, **text},
        )  # fmt: skip
        layout[f"yaxis{tag}"] = palette.axis(
            anchor=f"x{tag}", nticks=4, rangemode="tozero", title={"text": y_title, "standoff": 6, "font": text},
            tickfont={"size": 15, **text},
        )  # fmt: skip
    return {"data": traces or [{"type": "bar", "x": [], "y": []}], "layout": layout}


Drawn = tuple[list[dict[str, Any]], str, str, str]
"""Traces, the plot's title, the titles of both axes."""


def _histograms(plot: Panel, values: Mapping[str, Sequence[float]], meanings: Mapping[str, str]) -> Drawn:
    arrays = {name: np.asarray(values.get(name, ()), float) for name in plot.names}
    meant = unit(meanings[plot.names[0]])
    borders = edges(list(arrays.values()), meant == "probability")
    middles, size = (borders[:-1] + borders[1:]) / 2, float(borders[1] - borders[0])
    traces, names = [], []
    for place, (name, array) in enumerate(arrays.items()):
        colour = palette.CYCLE[place % len(palette.CYCLE)]
        share = np.histogram(array, borders)[0] / max(len(array), 1)
        names.append(f'<span style="color:{colour}">■</span> {label(name, meanings[name])}')
        traces.append(
            {
                "type": "bar", "x": middles.astype(np.float32), "y": share.astype(np.float32), "width": 0.96 * size,
                "name": label(name, meanings[name]), "marker": {"color": colour}, "opacity": 0.65, "hovertemplate": "%{y:.1%}",
            }
        )  # fmt: skip
    x_title = meant or "score"
    return traces, "   ".join(names), x_title, "share of images"


def _bars(plot: Panel, values: Mapping[str, Sequence[float]], meanings: Mapping[str, str]) -> Drawn:
    (name,) = plot.names
    array = np.asarray(values.get(name, ()), float)
    in_order = _in_order(meanings[name])
    order = np.arange(len(array)) if in_order else np.argsort(-array, kind="stable")
    title = label(name, "")
    above = _ACTIVE.search(meanings[name])
    if above:
        title += f": {int((array > float(above[1])).sum())} of {len(array)} active"
    trace = {
        "type": "bar", "x": np.arange(1, len(array) + 1), "y": array[order].astype(np.float32), "name": title,
        "customdata": order, "marker": {"color": palette.CYCLE[0]}, "hovertemplate": ("step %{x}" if in_order else "latent %{customdata}") + ": %{y:.4g}",
    }  # fmt: skip
    return [trace], title, "steps" if in_order else "latents, the largest first", unit(meanings[name])


def _in_order(meaning: str) -> bool:
    """Whether bars stay in the order they come in."""
    return "of each step" in meaning


def description(values: Mapping[str, Sequence[float]], meanings: Mapping[str, str]) -> str:
    """The plot in words: the mean of each array."""
    parts = [
        f"{label(name, meaning)} mean {float(np.mean(values[name])):.3g} of {len(values[name])}"
        for name, meaning in meanings.items()
        if len(values.get(name, ()))
    ]
    return "Distributions. " + ("; ".join(parts) if parts else "None yet.")
