"""Pictures of compression: what each pixel costs, how large files are, how quality grows with bits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from genlib.figures import images
from genlib.figures.palette import CYCLE, GREY, axis, layout

SMALLEST = float(np.finfo(np.float32).tiny)  # a probability that the model's arithmetic rounds to 0 counts as this
PAYLOAD, HEADER = CYCLE[0], CYCLE[1]


def pixel_bits(p: Tensor, values: Tensor) -> np.ndarray:
    """What each pixel costs, bits [N, H, W]: -log2 of the probability of its values, summed over the channels.

    ``p`` is a model's `pixel_distribution` [N, C, levels, H, W], ``values`` are 0 .. levels - 1, [N, C, H, W].
    """
    chance = p.double().gather(2, values[:, :, None]).squeeze(2)
    return chance.clamp(min=SMALLEST).log2().neg().sum(1).cpu().numpy()


def bits_top(levels: int, channels: int) -> float:
    """Where the heat scale of a pixel's bits ends: somewhat above those of values picked blindly."""
    return channels * (math.log2(levels) + 2)


def sheet(tiles: np.ndarray, width: int = 560) -> np.ndarray:
    """Tiles uint8 [N, H, W, 3] as a square sheet about ``width`` pixels wide, RGBA."""
    columns = math.ceil(math.sqrt(len(tiles)))
    gap = 6 if len(tiles) < 10 else 2
    scale = max(1, (width // columns - gap) // tiles.shape[2])
    return images.sheet(tiles, columns, scale=scale, gap=gap)


@dataclass(frozen=True)
class File:
    """A file's bar: ``size`` bytes, of which ``header`` say who wrote it (where that is known)."""

    name: str
    size: int | None
    header: int = 0


def file_bars(files: Sequence[File]) -> dict[str, Any]:
    """A plotly figure: each file a bar of bytes, the first on top; what is not installed has none."""
    shown = [file for file in files if file.size is not None]
    names = [file.name for file in shown]
    payload = [(file.size or 0) - file.header for file in shown]
    headers = [file.header for file in shown]
    most = max((file.size or 0) for file in shown)

    def bars(label: str, values: list[int], colour: str, text: list[str]) -> dict[str, Any]:
        return {
            "type": "bar", "orientation": "h", "y": names, "x": values, "name": label, "text": text,
            "textposition": "outside", "cliponaxis": False, "textfont": {"size": 16},
            "marker": {"color": [colour if file.header else GREY for file in shown] if label == "picture" else colour},
            "hovertemplate": "%{x:,} bytes<extra>" + label + "</extra>", "showlegend": False,
        }  # fmt: skip

    totals = [f" {file.size:,} B" for file in shown]
    return {
        "data": [
            bars("picture", payload, PAYLOAD, ["" if file.header else total for file, total in zip(shown, totals, strict=True)]),
            bars("header", headers, HEADER, [total if file.header else "" for file, total in zip(shown, totals, strict=True)]),
        ],
        "layout": layout(
            barmode="stack",
            height=64 + 52 * len(shown),
            hovermode="closest",
            xaxis=axis(title="bytes", range=[0, most * 1.28]),
            yaxis=axis(autorange="reversed", showgrid=False),
        ),
    }  # fmt: skip


def rate_curves(curves: Sequence["Curve"], measure: str, at: float | None = None) -> dict[str, Any]:
    """A plotly figure of quality against bits for each picture, both of every coder; ``at``: a line at these bits."""
    traces = [
        {
            "type": "scatter", "mode": "lines+markers", "x": list(curve.bits), "y": list(curve.quality), "name": curve.name,
            "line": {"color": CYCLE[i % len(CYCLE)], "width": 3, "dash": "solid" if i < len(CYCLE) else "dot"},
            "marker": {"size": 8}, "hovertemplate": "%{x:,.0f} bits: %{y:.3g}<extra>" + curve.name + "</extra>",
        }
        for i, curve in enumerate(curves)
    ]  # fmt: skip
    shapes = [] if at is None else [
        {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": GREY, "dash": "dash"}}
    ]  # fmt: skip
    return {
        "data": traces,
        "layout": layout(
            height=380,
            hovermode="closest",
            shapes=shapes,
            xaxis=axis(title="bits for each picture", type="log"),
            yaxis=axis(title=measure),
            legend={"orientation": "h", "y": 1.12},
        ),
    }


@dataclass(frozen=True)
class Curve:
    """One coder's quality at some numbers of bits, ascending."""

    name: str
    bits: Sequence[float]
    quality: Sequence[float]


def psnr(original: Tensor, other: Tensor) -> float:
    """Peak signal-to-noise ratio of two images in [0, 1], dB; infinite for equal ones."""
    error = float((original - other).square().mean())
    return math.inf if error == 0 else -10 * math.log10(error)
