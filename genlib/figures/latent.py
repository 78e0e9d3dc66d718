"""The plane of a two-number latent code: which codes to decode, the atlas in place of the decoder, and its figures.

Codes are points (x, y) = (z1, z2) of the plane [-extent, extent]^2. A lattice of n x n of them is ordered as one reads
a picture: x rises to the right, y falls from row to row.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlib.figures import images, palette

Decode = Callable[[Tensor], Tensor]
"""Codes [N, 2] -> images [N, C, H, W] in [0, 1]."""

LEAST_EXTENT = 3.0  # three standard deviations of the prior: 99.5 % of its codes lie in that square
SIDES = (33, 41, 49)  # tiles a side; of digits, the largest atlas is 0.7 to 0.8 MB as PNG
TOLERANCE = 6.0  # grey levels of 255 by which a blend may be wrong, but for one pixel in a thousand; nobody sees that
PROBES = 256  # codes where blends are compared with decodes
DECODED_AT_ONCE = 256
SHEET = 1100  # pixels a side of the grid's picture, at least


# -- the plane ---------------------------------------------------------------------------------------------------------


def extent_of(mean: np.ndarray) -> float:
    """Half the side of a plane that holds 99 of 100 codes [N, 2], at least `LEAST_EXTENT`, rounded up to a plain
    number.
    """
    reach = float(np.quantile(np.abs(mean).max(1), 0.99)) if len(mean) else 0.0
    if reach <= LEAST_EXTENT:
        return LEAST_EXTENT
    step = 0.5 * 10 ** max(0, math.floor(math.log10(reach)))  # 0.5 below 10, 5 below 100, ...
    return step * math.ceil(reach / step - 1e-9)


def linear_ticks(n: int, extent: float) -> np.ndarray:
    """n values at equal distances from -extent to extent."""
    return np.linspace(-extent, extent, n)


def quantile_ticks(n: int) -> np.ndarray:
    """The middle of each of n parts of the prior N(0, 1) that are equally likely (Kingma & Welling 2014, figure 4)."""
    return np.array([NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)])


def lattice(ticks: np.ndarray) -> np.ndarray:
    """All pairs of the ticks, float32 [n * n, 2], as one reads: x rises, y falls from row to row."""
    x, y = np.meshgrid(ticks, ticks[::-1])
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def class_centres(mean: np.ndarray, labels: np.ndarray, classes: int) -> list[tuple[float, float] | None]:
    """Each class's median code, (x, y); None for a class without codes."""
    return [
        tuple(np.median(mean[labels == k], axis=0).tolist()) if (labels == k).any() else None for k in range(classes)
    ]


def farthest_pair(centres: Sequence[tuple[float, float] | None], extent: float) -> tuple[int, int] | None:
    """The two classes whose centres lie farthest apart within the plane; None if none are a tenth of it apart."""
    inside = [(k, c) for k, c in enumerate(centres) if c is not None and max(map(abs, c)) <= extent]
    pairs = [(math.dist(p, q), i, j) for i, p in inside for j, q in inside if i < j]
    apart, i, j = max(pairs, default=(0.0, 0, 0))
    return (i, j) if apart > 0.2 * extent else None


def nearest(mean: np.ndarray, at: Sequence[float], count: int) -> np.ndarray:
    """Indices of the ``count`` codes [N, 2] nearest to a point, the nearest first."""
    distance = ((mean - np.asarray(at, np.float32)) ** 2).sum(1)
    count = min(count, len(mean))
    near = np.argpartition(distance, count - 1)[:count] if count < len(mean) else np.arange(len(mean))
    return near[np.argsort(distance[near], kind="stable")]


# -- the atlas ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Atlas:
    """Decodes of ``side`` x ``side`` codes at equal distances over the plane, between which the browser blends.

    ``error``: how far a blend is from the true decode, in grey levels of 255, averaged over the plane and the pixels;
    ``worst``: what 999 of 1,000 pixels do not exceed.
    """

    tiles: np.ndarray  # uint8 [side * side, H, W] or [side * side, H, W, 3]
    side: int
    extent: float
    error: float
    worst: float


def tiles_of(pictures: Tensor) -> np.ndarray:
    """Images [N, C, H, W] in [0, 1] -> uint8 [N, H, W], or [N, H, W, 3] for colour."""
    pixels = images.to_pixels(pictures)
    return np.ascontiguousarray(pixels[..., 0]) if pictures.shape[1] == 1 else pixels


def decode_all(decode: Decode, codes: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """Decodes of codes [N, 2], some at a time, on the CPU: [N, C, H, W]."""
    parts = torch.from_numpy(codes).split(DECODED_AT_ONCE)
    return torch.cat([decode(part.to(device)).cpu() for part in parts])


def make_atlas(decode: Decode, extent: float, device: torch.device | str = "cpu") -> Atlas:
    """An atlas whose blends are within `TOLERANCE` of the decodes, or the largest of `SIDES`."""
    codes = np.random.default_rng(0).uniform(-extent, extent, (PROBES, 2)).astype(np.float32)
    true = tiles_of(decode_all(decode, codes, device)).astype(float)

    def made(side: int) -> Atlas:
        tiles = tiles_of(decode_all(decode, lattice(linear_ticks(side, extent)), device))
        apart = np.abs(blend(tiles, side, extent, codes) - true)
        return Atlas(tiles, side, extent, float(apart.mean()), float(np.quantile(apart, 0.999)))

    first = made(SIDES[0])
    if first.worst <= TOLERANCE:
        return first
    # A bilinear blend's error falls with the square of the distance between the tiles.
    needed = (SIDES[0] - 1) * math.sqrt(first.worst / TOLERANCE) + 1
    return made(next((side for side in SIDES[1:] if side >= needed), SIDES[-1]))


def blend(tiles: np.ndarray, side: int, extent: float, codes: np.ndarray) -> np.ndarray:
    """What the browser shows at codes [N, 2] of the plane, float [N, H, W(, 3)]: bilinear blends of the four tiles
    around each.
    """
    table = tiles.reshape(side, side, *tiles.shape[1:]).astype(float)
    at = (np.asarray(codes, float) * (1, -1) / extent + 1) / 2 * (side - 1)  # [N, 2]: column, row
    low = np.clip(at.astype(int), 0, side - 2)
    part = (at - low).reshape(*at.shape, *[1] * (tiles.ndim - 1))
    column, row, right, below = low[:, 0], low[:, 1], part[:, 0], part[:, 1]
    upper = (1 - right) * table[row, column] + right * table[row, column + 1]
    lower = (1 - right) * table[row + 1, column] + right * table[row + 1, column + 1]
    return (1 - below) * upper + below * lower


# -- the grid of decodes and how the codes cover it --------------------------------------------------------------------


def cell_edges(ticks: np.ndarray, quantiles: bool) -> np.ndarray:
    """The n + 1 borders of the cells around n ticks.

    By quantiles the outer ones are infinite, and each cell has the prior mass 1 / n.
    """
    if quantiles:
        n = len(ticks)
        return np.array([-np.inf, *(NormalDist().inv_cdf(i / n) for i in range(1, n)), np.inf])
    half = (ticks[1] - ticks[0]) / 2
    return np.append(ticks - half, ticks[-1] + half)


def coverage(codes: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """How many codes [N, 2] lie in each cell, int [n, n]; row 0 is the top."""
    n = len(edges) - 1
    column = np.searchsorted(edges, codes[:, 0], side="right") - 1
    row = n - np.searchsorted(edges, codes[:, 1], side="right")
    inside = (column >= 0) & (column < n) & (row >= 0) & (row < n)
    counts = np.zeros((n, n), int)
    np.add.at(counts, (row[inside], column[inside]), 1)
    return counts


def prior_mass(edges: np.ndarray) -> np.ndarray:
    """The probability of each cell under the prior N(0, I), [n, n]."""
    mass = np.diff([NormalDist().cdf(edge) if math.isfinite(edge) else float(edge > 0) for edge in edges])
    return np.outer(mass[::-1], mass)


def grid_figure(tiles: np.ndarray, ticks: np.ndarray) -> dict[str, Any]:
    """The decodes of ``lattice(ticks)``, uint8 [n * n, H, W(, 3)], as one picture with the codes on its axes."""
    n = len(ticks)
    pixels = tiles if tiles.ndim == 4 else np.repeat(tiles[..., None], 3, -1)
    scale = max(1, math.ceil(SHEET / (n * pixels.shape[1])))  # enlarged here: the browser would blur it
    sheet = images.sheet(pixels, n, scale=scale, gap=0)[..., :3]
    picture = {
        "source": images.data_url(sheet),
        "layer": "below", "sizing": "stretch", "xref": "x", "yref": "y", "x": -0.5, "y": n - 0.5, "sizex": n, "sizey": n,
    }  # fmt: skip
    hover = _cells(np.zeros((n, n)), ticks, "z = (%{customdata[0]:.2f}, %{customdata[1]:.2f})<extra></extra>")
    return {"data": [{**hover, "opacity": 0, "showscale": False}], "layout": {**_square(ticks), "images": [picture]}}


def coverage_figure(counts: np.ndarray, expected: np.ndarray, ticks: np.ndarray) -> dict[str, Any]:
    """The cells of the same grid, coloured by how many codes they hold, int [n, n].

    The hover text says how many the prior would put there, ``expected`` [n, n].
    """
    scale = [[k / 8, "rgb({}, {}, {})".format(*images.HEAT[round(k / 8 * 255)])] for k in range(9)]
    cells = _cells(counts, ticks, "%{z} codes; the prior would put %{customdata[2]:.1f} here<extra></extra>", expected)
    bar = {
        "orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.14, "yanchor": "top", "len": 1, "thickness": 16,
        "outlinewidth": 0, "tickfont": {"size": 15}, "title": {"text": "codes in a cell", "side": "bottom"},
    }  # fmt: skip
    top = max(
        1.0, float(np.quantile(counts, 0.98))
    )  # a few cells at the border hold many; they may not darken the others
    return {
        "data": [{**cells, "colorscale": scale, "zmin": 0, "zmax": top, "colorbar": bar}],
        "layout": _square(ticks, below=70),
    }


def _cells(values: np.ndarray, ticks: np.ndarray, hover: str, *more: np.ndarray) -> dict[str, Any]:
    """A heat map of values [n, n], row 0 at the top; ``hover`` finds each cell's code, and ``more``, in customdata."""
    n = len(ticks)
    codes = lattice(ticks).reshape(n, n, 2)
    custom = np.concatenate([codes, *(extra[..., None] for extra in more)], axis=2)
    return {
        "type": "heatmap",
        "z": values[::-1].tolist(),
        "customdata": custom[::-1].tolist(),
        "hovertemplate": hover,
    }


def _square(ticks: np.ndarray, below: int = 0) -> dict[str, Any]:
    """A square plot whose axes count cells and name the codes of some; ``below``: pixels kept free under it."""
    n = len(ticks)
    # an even number of cells has no middle one
    left = np.linspace(0, (n - 1) / 2, 4).astype(int)[: None if n % 2 else -1]
    named = np.unique(np.append(left, n - 1 - left))
    text = [f"{ticks[i]:.2f}".replace("-", "−") for i in named]
    common = {
        "range": [-0.5, n - 0.5], "tickvals": named.tolist(), "ticktext": text, "showgrid": False, "ticks": "outside",
        "constrain": "domain",
    }  # fmt: skip
    return palette.layout(
        xaxis=palette.axis(**common, title={"text": "z<sub>1</sub>", "standoff": 4}),
        yaxis=palette.axis(
            **common, title={"text": "z<sub>2</sub>", "standoff": 4}, scaleanchor="x", constraintoward="top"
        ),
        hovermode="closest",
        dragmode=False,
        margin={"l": 8, "r": 8, "t": 8, "b": 8 + below},
    )
