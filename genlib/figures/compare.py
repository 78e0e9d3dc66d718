"""Figures of the comparison: likelihood against drawing time, and which figures may be held against each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genlib.figures.palette import CYCLE, GREY, axis, layout

FAMILY_COLOURS = dict(zip(("autoregressive", "variational", "adversarial"), CYCLE, strict=False))


@dataclass(frozen=True)
class Entry:
    """One checkpoint in the comparison. ``nats``: NLL or its upper bound, per image; None without a likelihood."""

    name: str
    family: str
    form: str | None
    exact: bool
    nats: float | None
    seconds: float
    """To draw one image, here and now."""


def verdicts(entries: Sequence[Entry]) -> list[str]:
    """For each entry, what its likelihood may be compared with: the first form in the list, or the commonest, is the yardstick."""
    forms = [entry.form for entry in entries if entry.nats is not None]
    yardstick = max(dict.fromkeys(forms), key=forms.count, default=None)
    rows = []
    for entry in entries:
        if entry.nats is None:
            rows.append("— no likelihood")
        elif entry.form != yardstick:
            rows.append(f"✗ other data form ({entry.form})")
        elif entry.exact:
            rows.append("✓ exact")
        else:
            rows.append("≤ bound: the truth is lower")
    return rows


def speed_figure(entries: Sequence[Entry]) -> dict[str, Any]:
    """Nats per image against seconds per image (logarithmic), a marker a checkpoint; models without a likelihood lie on a line of their own
    below. Bounds are open markers with an arrow down."""
    rated = [entry.nats for entry in entries if entry.nats is not None]
    floor = min(rated, default=0.0) - 0.12 * (max(rated, default=1.0) - min(rated, default=0.0) or 10.0)
    traces = []
    for family, colour in FAMILY_COLOURS.items():
        own = [entry for entry in entries if entry.family == family]
        if not own:
            continue
        traces.append(
            {
                "type": "scatter",
                "mode": "markers+text",
                "name": family,
                "x": [1000 * entry.seconds for entry in own],
                "y": [floor if entry.nats is None else entry.nats for entry in own],
                "text": [entry.name for entry in own],
                "textposition": "top center",
                "textfont": {"size": 15},
                "cliponaxis": False,
                "hovertemplate": "%{text}: %{customdata}<br>%{x:.3g} ms an image<extra></extra>",
                "customdata": [
                    "no likelihood"
                    if entry.nats is None
                    else f"{'' if entry.exact else '≤ '}{entry.nats:.1f} nats ({entry.form})"
                    for entry in own
                ],
                "marker": {
                    "size": 18,
                    "color": colour,
                    "symbol": [
                        "x" if entry.nats is None else "circle" if entry.exact else "triangle-down-open"
                        for entry in own
                    ],
                    "line": {"width": 3, "color": colour},
                },
            }
        )
    shapes = []
    if any(entry.nats is None for entry in entries):
        shapes.append(
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": floor,
                "y1": floor,
                "line": {"color": GREY, "dash": "dot", "width": 1},
            }
        )
    return {
        "data": traces,
        "layout": layout(
            height=380,
            hovermode="closest",
            showlegend=True,
            legend={"orientation": "h", "y": 1.12, "x": 0, "font": {"size": 15}},
            margin={"l": 8, "r": 40, "t": 36, "b": 8},
            shapes=shapes,
            xaxis=axis(type="log", title={"text": "milliseconds to draw one image (this machine, now)"}),
            yaxis=axis(title={"text": "nats per image, lower is better"}),
        ),
    }
