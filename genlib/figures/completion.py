"""Figures of completion: the completions side by side, what the order of drawing can see, entropy, and one pixel's
distribution.

An autoregressive model's prediction at a pixel depends on what comes before it and on nothing else, so a known pixel
that comes later is ignored, however telling it is. What comes before is a matter of the model's order: an int array
[H, W] of ranks, 0 the first. Without one it is raster order: rows from the top, in a row from left to right.
"""

import numpy as np
import plotly.graph_objects as go
import torch
from torch import Tensor

from genlib.figures import images, palette

DRAWN, UNDRAWN = palette.ORANGE, palette.BLUE  # what the model drew; what is hidden and not drawn yet
IGNORED = palette.VERMILLION  # known pixels that no hidden pixel sees
TILE = 200  # pixels of a picture on which lines are drawn, roughly; the browser enlarges it, and all others, further

# -- numbers ---------------------------------------------------------------------------------------


def entropy_bits(p: Tensor) -> np.ndarray:
    """Entropy of each pixel's distribution, in bits: p [C, levels, H, W] -> [H, W], the sum over the channels."""
    return -(torch.xlogy(p, p).sum((0, 1)) / np.log(2)).cpu().numpy() + 0.0


def tempered(p: Tensor, temperature: float) -> Tensor:
    """What is drawn from at a temperature: p ** (1 / T) made to sum to one over dimension 1; T = 0 is all on the
    likeliest value.
    """
    if temperature == 0:
        return torch.zeros_like(p).scatter_(1, p.argmax(1, keepdim=True), 1.0)
    return (p.clamp(min=1e-30).log() / temperature).softmax(1)


def pixel_ranks(order: Tensor) -> np.ndarray:
    """A model's order of sub-pixels [C, H, W] -> its order of pixels [H, W], 0 .. H W - 1, by their first channel."""
    first = order.amin(0)
    return first.flatten().argsort().argsort().reshape(first.shape).cpu().numpy()


def raster(shape: tuple[int, int]) -> np.ndarray:
    """Raster order, int [H, W]."""
    return np.arange(shape[0] * shape[1]).reshape(shape)


def coarse_stride(order: np.ndarray) -> int:
    """k, if the order [H, W] begins with every k-th pixel of every k-th row, in raster order; else 0."""
    places = np.argsort(order, axis=None)
    row, column = np.unravel_index(places[:2], order.shape)
    stride = int(column[1] - column[0]) if len(places) > 1 and row[0] == row[1] else 0
    if stride < 2:
        return 0
    grid = order[row[0] % stride :: stride, column[0] % stride :: stride]
    return stride if np.array_equal(grid, raster(grid.shape)) else 0


def sight(known: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
    """The share of hidden pixels that come after each known pixel and so depend on it, float [H, W]; NaN where hidden.

    1: every hidden pixel sees it. 0: the model ignores it. With nothing hidden every pixel gets 1.
    """
    ranks = raster(known.shape) if order is None else order
    hidden = np.sort(ranks[~known])
    after = len(hidden) - np.searchsorted(hidden, ranks, "right")
    return np.where(known, after / len(hidden) if len(hidden) else 1.0, np.nan)


def later(shape: tuple[int, int], pixel: tuple[int, int], order: np.ndarray | None = None) -> np.ndarray:
    """bool [H, W]: what comes after ``pixel`` (row, column)."""
    ranks = raster(shape) if order is None else order
    return ranks > ranks[pixel]


def known_first(known: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
    """bool [H, W]: what comes before the first hidden pixel; everything, if none is hidden."""
    ranks = raster(known.shape) if order is None else order
    return ranks < ranks[~known].min(initial=known.size)


def drawn_with(row: int, known: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
    """bool [H, W]: what is drawn or passed when the last hidden pixel of a row is drawn.

    From coarse to fine, the coarse pixels of the rows below are among it.
    """
    ranks = raster(known.shape) if order is None else order
    return ranks <= ranks[row][~known[row]].max(initial=-1)


def default_pixel(entropy: np.ndarray, known: np.ndarray) -> tuple[int, int]:
    """The hidden pixel (of all pixels, if none is hidden) that the model is least sure of."""
    hidden = ~known if (~known).any() else np.ones_like(known)
    row, column = np.unravel_index(np.where(hidden, entropy, -1).argmax(), known.shape)
    return int(row), int(column)


# -- pictures --------------------------------------------------------------------------------------


def completion_tiles(
    pictures: Tensor, known: np.ndarray, *, drawn: np.ndarray | None = None, colours: bool = True
) -> np.ndarray:
    """Completions [n, C, H, W], of which ``drawn`` [H, W] is finished (None: all), as uint8 [n, H, W, 3].

    What is not drawn yet is blue. With ``colours`` what the model drew on a grey picture is orange, what it was given
    is white.
    """
    tiles = images.to_pixels(pictures)
    if colours and pictures.shape[-3] == 1:
        tiles = images.dye(tiles, ~known, DRAWN)
    return tiles if drawn is None else images.blend(tiles, ~known & ~drawn, UNDRAWN, 1.0)


def completion_sheet(tiles: np.ndarray, aspect: float = 1.9) -> np.ndarray:
    """Tiles [n, H, W, 3] as one small RGBA picture, a pixel apart, arranged for a space with that width / height."""
    return images.sheet(tiles, images.best_columns(len(tiles), aspect), scale=1, gap=1)


def sight_picture(picture: np.ndarray, known: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
    """The picture uint8 [H, W, 3], enlarged: hidden pixels hatched blue, known ones the redder the fewer hidden ones
    see them.
    """
    share = sight(known, order)
    shown = images.blend(picture, ~known, UNDRAWN, 0.85)
    shown = images.blend(shown, known, IGNORED, 0.65 * (1 - np.nan_to_num(share)))
    scale = max(1, TILE // 2 // max(known.shape))
    return images.hatch(images.enlarge(shown, scale), ~known, scale)


def past_picture(
    picture: np.ndarray, known: np.ndarray, pixel: tuple[int, int], order: np.ndarray | None = None
) -> np.ndarray:
    """What one pixel's prediction rests on, enlarged: earlier pixels as they are, later hidden ones blue, later known
    ones red.

    ``picture`` uint8 [H, W, 3] is the whole picture as the model has drawn it; ``pixel`` (row, column) gets a frame.
    """
    after = later(known.shape, pixel, order)
    shown = images.blend(picture, after & ~known, UNDRAWN, 1.0)
    shown = images.blend(shown, after & known, IGNORED, 0.6)
    scale = max(1, -(-TILE // max(known.shape)))
    return images.frame(images.enlarge(shown, scale), pixel, scale)


# -- plotly ----------------------------------------------------------------------------------------


def distribution_chart(p: np.ndarray, drawn_from: np.ndarray | None = None, height: int = 330) -> go.Figure:
    """The predictive distribution of one pixel, p [C, levels], as bars.

    ``drawn_from``: the same at the sampling temperature, shown beside it. Transparent, so that the page's theme shows
    through.
    """
    channels, levels = p.shape
    names = ["grey"] if channels == 1 else ["red", "green", "blue"]
    inks = [palette.ORANGE] if channels == 1 else [palette.VERMILLION, palette.GREEN, palette.BLUE]
    values = ["no ink", "ink"] if levels == 2 and channels == 1 else list(range(levels))
    traces = []
    for name, ink, row in zip(names, inks, p, strict=True):
        label = "the model" if channels == 1 else name
        traces.append(_bars(values, row, label, ink))
    if drawn_from is not None:
        for name, ink, row in zip(names, inks, drawn_from, strict=True):
            label = "drawn from" if channels == 1 else f"{name}, drawn from"
            traces.append(_bars(values, row, label, ink, pattern="/"))
    top = {"range": [0, 1.09], "tickvals": [0, 0.25, 0.5, 0.75, 1]} if levels == 2 else {}
    layout = palette.layout(
        height=height,
        hovermode="closest",
        bargap=0.25 if levels <= 16 else 0,
        showlegend=len(traces) > 1,
        legend={"orientation": "h", "y": 1.14, "x": 0},
        xaxis=palette.axis(title={"text": "" if levels == 2 else "value"}, fixedrange=True),
        yaxis=palette.axis(title={"text": "probability"}, tickformat=".0%", fixedrange=True, **top),
    )
    return go.Figure({"data": traces, "layout": layout})


def _bars(values: list, heights: np.ndarray, name: str, colour: str, pattern: str = "") -> dict:
    few = len(heights) <= 4
    return {
        "type": "bar",
        "x": values,
        "y": heights.round(6).tolist(),
        "name": name,
        "text": [f"{h:.0%}" for h in heights] if few else None,
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {
            "color": colour,
            "line": {"width": 0},
            "pattern": {"shape": pattern, "fillmode": "overlay", "fgcolor": "#FFFFFF", "size": 9},
        },
        "hovertemplate": "%{x}: %{y:.2%}<extra>" + name + "</extra>",
    }
