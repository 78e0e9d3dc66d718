"""The picture of the comparison: each checkpoint a mark, its quality against what it costs, families by colour and shape."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from genlib.figures.palette import CYCLE, GREY, axis, layout

FAMILY_COLOURS = dict(zip(("autoregressive", "variational", "adversarial"), CYCLE, strict=False))
FAMILY_SHAPES = {"autoregressive": "circle", "variational": "square", "adversarial": "diamond"}

HEIGHT = 440
# The plot's ground on the narrowest screen, in CSS pixels; on a wider one the labels have more room
GROUND = (760.0, 320.0)
MARK, LETTER, LINE, AWAY = (
    18.0,
    7.8,
    19.0,
    12.0,
)  # a mark's side, a letter's width, a label's height, its distance to the mark
PAD = 0.07  # of an axis on each side


@dataclass(frozen=True)
class Axis:
    """A figure that the picture can show: its words, and whether its scale is logarithmic."""

    title: str
    log: bool = False


@dataclass(frozen=True)
class Spot:
    """A checkpoint in the picture. ``values`` by the names of axes, None where not measured; ``apart``: the names of those that
    are on another scale than most, or bounds, and ``notes`` what to say of a value."""

    name: str
    family: str
    values: Mapping[str, float | None]
    apart: frozenset[str] = frozenset()
    notes: Mapping[str, str] = field(default_factory=dict)


class Place(NamedTuple):
    """A mark's middle on the ground, CSS pixels from the lower left."""

    x: float
    y: float


def scatter(
    spots: Sequence[Spot], x: tuple[str, Axis], y: tuple[str, Axis], floor: tuple[float, str] | None = None
) -> dict[str, Any]:
    """A plotly figure of ``y`` against ``x``, each the name of a value and its axis.

    Checkpoints without one of the two values are left out; what is apart is a hollow mark. Labels that would lie on one another are left
    to the pointer. ``floor``: a value of ``y`` that real images have, and its words.
    """
    x_name, x_axis = x
    y_name, y_axis = y
    shown = [spot for spot in spots if _has(spot, x_name, x_axis) and _has(spot, y_name, y_axis)]
    across = _span([_value(spot, x_name) for spot in shown], x_axis.log)
    up = _span([_value(spot, y_name) for spot in shown] + ([floor[0]] if floor else []), y_axis.log)
    places = [
        Place(
            _share(_value(spot, x_name), across, x_axis.log) * GROUND[0],
            _share(_value(spot, y_name), up, y_axis.log) * GROUND[1],
        )
        for spot in shown
    ]
    labelled = list(zip(shown, place_labels(places, [spot.name for spot in shown]), strict=True))
    traces = [
        _family(family, [one for one in labelled if one[0].family == family], (x_name, y_name), (x_axis, y_axis))
        for family in FAMILY_COLOURS
        if any(spot.family == family for spot in shown)
    ]
    return {
        "data": traces,
        "layout": layout(
            height=HEIGHT,
            hovermode="closest",
            showlegend=True,
            legend={"orientation": "h", "y": 1.12, "x": 0, "font": {"size": 15}},
            margin={"l": 8, "r": 16, "t": 36, "b": 8},
            shapes=_floor_line(floor),
            annotations=_floor_words(floor, y_axis.log),
            xaxis=_axis(x_axis, across),
            yaxis=_axis(y_axis, up),
        ),
    }


def missing(spots: Sequence[Spot], x: tuple[str, Axis], y: tuple[str, Axis]) -> list[str]:
    """The names of the checkpoints that have no place in the picture."""
    return [spot.name for spot in spots if not (_has(spot, *x) and _has(spot, *y))]


def _has(spot: Spot, name: str, which: Axis) -> bool:
    value = spot.values.get(name)
    return value is not None and math.isfinite(value) and (value > 0 or not which.log)


def _value(spot: Spot, name: str) -> float:
    value = spot.values[name]
    assert value is not None
    return value


def _family(
    family: str,
    labelled: Sequence[tuple[Spot, str | None]],
    names: tuple[str, str],
    axes: tuple[Axis, Axis],
) -> dict[str, Any]:
    """A family's trace, of its spots with the positions of their labels."""
    colour, shape = FAMILY_COLOURS[family], FAMILY_SHAPES[family]
    spots = [spot for spot, _ in labelled]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": family,
        "x": [_value(spot, names[0]) for spot in spots],
        "y": [_value(spot, names[1]) for spot in spots],
        "text": [spot.name if position else "" for spot, position in labelled],
        "textposition": [position or "top center" for _, position in labelled],
        "textfont": {"size": 14},
        "cliponaxis": False,
        "hovertext": [_hover(spot, names, axes) for spot in spots],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {
            "size": MARK - 2,
            "color": colour,
            "symbol": [f"{shape}-open" if spot.apart & set(names) else shape for spot in spots],
            "line": {"width": 3, "color": colour},
        },
    }


def _hover(spot: Spot, names: tuple[str, str], axes: tuple[Axis, Axis]) -> str:
    lines = [f"<b>{spot.name}</b>"]
    for name, which in zip(names, axes, strict=True):
        note = spot.notes.get(name)
        lines.append(f"{which.title}: {_value(spot, name):,.4g}{f' ({note})' if note else ''}")
    return "<br>".join(lines)


# --- axes ------------------------------------------------------------------------------------------------------------

Span = tuple[float, float]
"""The ends of an axis, in decades where it is logarithmic."""


def _span(values: Sequence[float], log: bool) -> Span:
    found = [math.log10(value) if log else value for value in values if value > 0 or not log]
    low, high = min(found, default=0.0), max(found, default=1.0)
    width = (high - low) or (1.0 if log else abs(high) or 1.0)
    return low - PAD * width, high + PAD * width


def _share(value: float, span: Span, log: bool) -> float:
    place = math.log10(value) if log else value
    return (place - span[0]) / (span[1] - span[0])


def _axis(which: Axis, span: Span) -> dict[str, Any]:
    found = axis(title={"text": which.title}, range=list(span))
    if which.log:
        ticks = log_ticks(*span)
        found |= {"type": "log", "tickvals": ticks, "ticktext": [_tick(value) for value in ticks]}
    return found


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two decades; over a wide span the powers only."""
    steps = (1, 2, 5) if high - low < 3 else (1,)
    ticks = [step * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for step in steps]
    return [tick for tick in ticks if low <= math.log10(tick) <= high]


def _tick(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {letter}"
    return f"{value:g}"


def _floor_line(floor: tuple[float, str] | None) -> list[dict[str, Any]]:
    if floor is None:
        return []
    line = {"color": GREY, "dash": "dot", "width": 2}
    return [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": floor[0], "y1": floor[0], "line": line}]


def _floor_words(floor: tuple[float, str] | None, log: bool) -> list[dict[str, Any]]:
    if floor is None:
        return []
    height = math.log10(floor[0]) if log else floor[0]
    where = {"xref": "paper", "x": 1, "xanchor": "right", "y": height, "yanchor": "bottom", "showarrow": False}
    return [{**where, "text": floor[1], "font": {"size": 14, "color": GREY}}]


# --- labels ----------------------------------------------------------------------------------------------------------

Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""

POSITIONS = {  # what plotly calls them: where the label's middle lies, as shares of its own size and of the distance
    "top center": (0, 1),
    "bottom center": (0, -1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top right": (1, 1),
    "top left": (-1, 1),
    "bottom right": (1, -1),
    "bottom left": (-1, -1),
}


def label_box(place: Place, name: str, position: str) -> Box:
    """The ground that a label takes."""
    width, right, up = LETTER * len(name), *POSITIONS[position]
    x = place.x + right * (width / 2 + AWAY)
    y = place.y + up * (LINE / 2 + (AWAY if right == 0 else AWAY / 2))
    return x - width / 2, y - LINE / 2, x + width / 2, y + LINE / 2


def place_labels(places: Sequence[Place], names: Sequence[str]) -> list[str | None]:
    """For each mark a position of its label that touches no mark, no other label and no border; None if there is none."""
    marks = [(x - MARK / 2, y - MARK / 2, x + MARK / 2, y + MARK / 2) for x, y in places]
    taken: list[Box] = []
    found: list[str | None] = []
    for number, (place, name) in enumerate(zip(places, names, strict=True)):
        others = [*marks[:number], *marks[number + 1 :], *taken]
        for position in POSITIONS:
            box = label_box(place, name, position)
            if box[0] >= 0 and box[2] <= GROUND[0] and not any(overlap(box, other) for other in others):
                taken.append(box)
                found.append(position)
                break
        else:
            found.append(None)
    return found


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes share ground."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
