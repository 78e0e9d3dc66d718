"""Colours that people with any kind of colour vision can tell apart, on light and on dark grounds.

The eight of Okabe & Ito 2008, "Color Universal Design". Black and yellow vanish on one of the two grounds, so `CYCLE` leaves them out;
grey takes their place where a neutral line is wanted.
"""

from typing import Any

BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#8A949E"

CYCLE = (SKY, ORANGE, GREEN, PURPLE, VERMILLION, BLUE)
"""For lines on either ground, the most different first."""

GRID = "rgba(128, 140, 152, 0.28)"
CLEAR = "rgba(0, 0, 0, 0)"


def layout(**values: Any) -> dict[str, Any]:
    """A plotly layout that suits a projector and both themes: large type, no ground of its own. ``values`` are added."""
    base: dict[str, Any] = {
        "font": {"size": 15},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "hovermode": "x unified",
    }
    return {**base, **values}


def axis(**values: Any) -> dict[str, Any]:
    """A plotly axis with a faint grid. ``values`` are added."""
    base: dict[str, Any] = {"gridcolor": GRID, "zeroline": False, "automargin": True, "tickfont": {"size": 15}}
    return {**base, **values}
