"""What the GAN stage shows: walls of pictures with a verdict under each, loss curves, the two histograms of verdicts.

Knows nothing of Streamlit. Verdicts come with their share, 0 to 1: how far the judge takes the picture for real.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genlib.figures import palette
from genlib.figures.images import rgb

REAL, FAKE = palette.SKY, palette.ORANGE
GAP = 3  # pixels between tiles
BAR = 3  # rows of the bar under a picture
BINS = 20
POINTS = 400  # of a curve on the screen

# Digits of 5 x 7, a row a number whose bits are the pixels, the highest at the left
_GLYPHS: dict[str, tuple[int, ...]] = {
    "0": (14, 17, 17, 17, 17, 17, 14),
    "1": (4, 12, 4, 4, 4, 4, 14),
    "2": (14, 17, 1, 2, 4, 8, 31),
    "3": (14, 17, 1, 6, 1, 17, 14),
    "4": (2, 6, 10, 18, 31, 2, 2),
    "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14),
    "7": (31, 1, 2, 4, 8, 8, 8),
    "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12),
    "e": (0, 0, 14, 17, 31, 16, 14),
}
_NARROW: dict[str, tuple[int, ...]] = {".": (0, 0, 0, 0, 0, 0, 1), "-": (0, 0, 0, 7, 0, 0, 0)}
_WIDTHS = {".": 1, "-": 3}
_ROWS = 7


def number(value: float) -> str:
    """A verdict in at most five signs, so that it fits under its picture: 0.87, -12.3, 1234, 2e6."""
    if abs(value) < 10:
        text = f"{value:.2f}" if value >= 0 else f"{value:.1f}"
    elif abs(value) < 1000:
        text = f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"
    else:
        text = f"{value:.0f}" if abs(value) < 1e4 else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    return text


def written(text: str) -> np.ndarray:
    """A number in small digits, bool [7, width]."""
    parts = []
    for sign in text:
        rows = _GLYPHS[sign] if sign in _GLYPHS else _NARROW[sign]
        width = _WIDTHS.get(sign, 5)
        parts.append([[bool(row >> (width - 1 - x) & 1) for x in range(width)] + [False] for row in rows])
    return np.concatenate([np.array(part) for part in parts], 1)[:, :-1]


def tile_height(height: int) -> int:
    """Rows of a tile whose picture has ``height``: the picture, its bar, its number."""
    return height + 1 + BAR + 2 + _ROWS


def wall(
    pixels: np.ndarray,
    verdicts: np.ndarray,
    shares: np.ndarray,
    columns: int,
    *,
    dark: bool = False,
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """Pictures uint8 [N, H, W, 3] in rows of ``columns``; under each a bar as long as its share, and the verdict.

    The bar is blue where the judge takes the picture for real (share of at least a half), else orange. ``dark``: for a
    dark page. ``names``: numbers to write in place of the verdicts. Returns uint8 [h, w, 3].
    """
    n, height, width = pixels.shape[:3]
    ground, ink = (rgb("#11151B"), rgb("#EDF1F6")) if dark else (rgb("#FFFFFF"), rgb("#17202B"))
    down, right = tile_height(height) + GAP, width + GAP
    rows = -(-n // columns)
    sheet = np.empty((rows * down, columns * right - GAP, 3), np.uint8)
    sheet[:] = ground
    track = (ground.astype(int) * 3 + ink) // 4
    for i in range(n):
        top, left = i // columns * down, i % columns * right
        tile = sheet[top : top + tile_height(height), left : left + width]
        tile[:height] = pixels[i]
        bar = tile[height + 1 : height + 1 + BAR]
        bar[:] = track
        share = float(np.clip(np.nan_to_num(shares[i]), 0, 1))
        bar[:, : max(1, round(share * width))] = rgb(REAL if share >= 0.5 else FAKE)
        text = names[i] if names else number(float(verdicts[i])) if math.isfinite(verdicts[i]) else ""
        if text:
            sign = written(text)[:, :width]
            start = (width - sign.shape[1]) // 2
            tile[height + BAR + 3 :, start : start + sign.shape[1]][sign] = ink
    return sheet


Curve = tuple[Sequence[int], Sequence[float]]
"""Moves and values of one term."""


def curves_figure(
    curves: Mapping[str, Curve], names: Mapping[str, str], rows: Sequence[Sequence[str]], height: int, ink: str
) -> dict[str, Any]:
    """A plotly figure, as a dict: a plot for each row of terms, below each other, over the moves.

    ``names``: how a term is called on the plot.
    """
    rows = [row for row in rows if row]
    traces: list[dict[str, Any]] = []
    notes = []
    gap = 44 / height
    tall = (1 - gap * (len(rows) - 1)) / len(rows)
    layout = palette.layout(
        height=height, margin={"l": 8, "r": 8, "t": 26, "b": 8}, showlegend=False, font={"size": 15, "color": ink}
    )
    for place, row in enumerate(rows):
        tag = "" if place == 0 else str(place + 1)
        top = 1 - place * (tall + gap)
        labels = []
        for term, colour in zip(row, _colours(place), strict=False):
            moves, values = curves.get(term, ((), ()))
            pick = slice(None, None, max(1, len(moves) // POINTS))
            labels.append(f'<span style="color:{colour}">━</span> {names[term]}')
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines" if len(moves) > 1 else "markers",
                    "x": np.asarray(moves, np.int32)[pick],
                    "y": np.asarray(values, np.float32)[pick],
                    "xaxis": f"x{tag}",
                    "yaxis": f"y{tag}",
                    "name": names[term],
                    "line": {"color": colour, "width": 2},
                    "marker": {"color": colour, "size": 6},
                    "hovertemplate": "%{y:.3g}",
                }
            )
        last = place == len(rows) - 1
        font = {"size": 15, "color": ink}
        layout[f"xaxis{tag}"] = palette.axis(
            anchor=f"y{tag}", showticklabels=last, rangemode="tozero", nticks=6, tickfont=font,
            title={"text": "steps of D and G" if last else "", "standoff": 2, "font": font},
            **({"matches": "x"} if place else {}),
        )  # fmt: skip
        layout[f"yaxis{tag}"] = palette.axis(
            domain=[max(0.0, top - tall), top], anchor=f"x{tag}", nticks=4, tickfont=font
        )
        notes.append(_note("   ".join(labels), top, ink))
    layout["annotations"] = notes
    return {"data": traces or [{"type": "scatter", "x": [], "y": []}], "layout": layout}


def _colours(row: int) -> tuple[str, ...]:
    return (palette.SKY, palette.ORANGE) if row == 0 else (palette.GREEN, palette.PURPLE)


def _note(text: str, y: float, ink: str) -> dict[str, Any]:
    return {
        "text": f"<b>{text}</b>", "x": 0, "y": y, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom",
        "showarrow": False, "font": {"size": 15, "color": ink},
    }  # fmt: skip


def verdicts_figure(
    real: np.ndarray, fake: np.ndarray, labels: tuple[str, str], *, probability: bool, height: int, ink: str
) -> dict[str, Any]:
    """Two overlaid histograms of verdicts, [N] each, in shares of the pictures; as a plotly dict.

    ``probability``: verdicts lie in [0, 1]; otherwise the axis runs from the lowest to the highest. ``labels``: what
    real and generated ones are called.
    """
    both = np.concatenate([real, fake])
    both = both[np.isfinite(both)]
    low, high = (0.0, 1.0) if probability or not len(both) else (float(both.min()), float(both.max()))
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    traces = []
    for values, name, colour in ((real, labels[0], REAL), (fake, labels[1], FAKE)):
        counts = np.histogram(values[np.isfinite(values)], edges)[0] / max(1, len(values))
        traces.append(
            {
                "type": "bar",
                "x": (edges[:-1] + edges[1:]) / 2,
                "y": counts,
                "width": float(edges[1] - edges[0]),
                "name": name,
                "marker": {"color": colour, "opacity": 0.65},
                "hovertemplate": "%{y:.0%}",
            }
        )
    font = {"size": 15, "color": ink}
    words = "   ".join(
        f'<span style="color:{colour}">■</span> {name}' for name, colour in zip(labels, (REAL, FAKE), strict=True)
    )
    layout = palette.layout(
        height=height, barmode="overlay", bargap=0, showlegend=False, margin={"l": 8, "r": 8, "t": 26, "b": 8}, font=font,
        annotations=[_note(words, 1.0, ink)],
        xaxis=palette.axis(range=[edges[0], edges[-1]], nticks=6, tickfont=font),
        yaxis=palette.axis(tickformat=".0%", nticks=4, rangemode="tozero", tickfont=font),
    )  # fmt: skip
    return {"data": traces, "layout": layout}
