"""Pictures of receptive fields: a pixel's past as tiles, gradients on a logarithmic scale, masks as they lie in memory."""

from typing import Any

import numpy as np

from genlib.figures.images import HEAT, heat, rgb
from genlib.figures.palette import CYCLE, GREY, ORANGE, PURPLE, SKY, VERMILLION, axis, layout

SEEN, LEAK = SKY, PURPLE
BLIND, STRIPE = VERMILLION, "#FFE3CC"
BEYOND = "#DCEBF4"
FUTURE = "#545C64"
PIXEL = ORANGE
DECADES = 4  # of the logarithmic colour scale

STATES = {"later": FUTURE, "seen": SEEN, "blind": BLIND, "deeper": BEYOND, "leak": LEAK}
"""The state of a pixel -> its colour, in the order of the codes 0, 1, 2, ... of `genlib.evaluation.receptive_field`."""

_TABLE = np.stack([rgb(colour) for colour in STATES.values()])

# -- tiles -----------------------------------------------------------------------------------------


def tile(states: np.ndarray) -> np.ndarray:
    """The states of all pixels, int [..., H, W] -> uint8 [..., H, W, 3]. What is blind gets diagonal stripes as well as a hue."""
    pixels = _TABLE[states]
    rows, columns = np.indices(states.shape[-2:])
    blind = states == list(STATES).index("blind")
    pixels[blind & ((rows + columns) % 3 == 0)] = rgb(STRIPE)
    return pixels


def stripes() -> str:
    """The blind spot's look as a CSS background, for legends."""
    return f"repeating-linear-gradient(135deg, {BLIND} 0 4px, {STRIPE} 4px 6px)"


# -- gradients -------------------------------------------------------------------------------------


def logarithmic(gradient: np.ndarray) -> np.ndarray:
    """A map [C, H, W] of sizes of gradients -> uint8 [H, W, 3]: the sum over channels, from a ten-thousandth of the greatest (dark) to
    the greatest (light), in equal steps a decade. A map of zeros is dark."""
    total = gradient.sum(0)
    top = float(total.max())
    if top <= 0:
        return np.broadcast_to(HEAT[0], (*total.shape, 3)).copy()
    share = np.log10(np.maximum(total / top, 10.0**-DECADES)) / DECADES + 1
    return heat(share, 1.0)


def nearness_chart(shares: dict[str, np.ndarray], height: int = 300) -> dict[str, Any]:
    """How much of all gradient lies within a distance: name -> shares at 0, 1, 2, ... pixels."""
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": list(range(len(values))),
            "y": np.round(values, 5).tolist(),
            "line": {"color": CYCLE[i % len(CYCLE)], "width": 3, "dash": "solid" if i < len(CYCLE) else "dot"},
            "marker": {"size": 9, "symbol": i},
            "hovertemplate": "within %{x} pixels: %{y:.1%}<extra>" + name + "</extra>",
        }
        for i, (name, values) in enumerate(shares.items())
    ]
    return {
        "data": traces,
        "layout": layout(
            height=height,
            hovermode="closest",
            showlegend=True,
            legend={"orientation": "h", "y": 1.16, "x": 0, "font": {"size": 15}},
            margin={"l": 8, "r": 16, "t": 30, "b": 8},
            xaxis=axis(title={"text": "pixels away (rows or columns, the larger)"}, range=[0.5, 14.5], dtick=1),
            yaxis=axis(title={"text": "share of all gradient"}, tickformat=".0%", range=[0, 1.04]),
        ),
    }


# -- masks -----------------------------------------------------------------------------------------

CELL = 30  # SVG units
MASKED, ABSENT = f"{GREY}80", f"{GREY}2A"  # in memory and zero; below the middle, not even in memory


def kernel_figure(mask: np.ndarray) -> str:
    """One kernel's mask as it lies in memory, [k // 2 + 1, k], as SVG of the whole k x k kernel.

    A filled cell is a tap in use, a crossed one is masked; the rows below the middle, which are not in memory, are faint. The middle
    has a frame. No colour depends on the page's theme.
    """
    rows, k = mask.shape
    side = k * CELL + 2
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1 -1 {side} {side}" width="{side}" height="{side}">']
    d = CELL / 6
    for r in range(k):
        for c in range(k):
            x, y = c * CELL, r * CELL
            used = r < rows and bool(mask[r, c])
            fill = SEEN if used else MASKED if r < rows else ABSENT
            parts.append(
                f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="{fill}" stroke="{GREY}" stroke-opacity=".7"/>'
            )
            if r < rows and not used:
                parts.append(
                    f'<path d="M{x + CELL / 2 - d:g} {y + CELL / 2 - d:g}l{2 * d:g} {2 * d:g}m0 {-2 * d:g}l{-2 * d:g} {2 * d:g}" '
                    f'stroke="{GREY}" stroke-width="2.5"/>'
                )
    at = k // 2 * CELL + 2
    parts.append(
        f'<rect x="{at}" y="{at}" width="{CELL - 4}" height="{CELL - 4}" fill="none" stroke="{PIXEL}" stroke-width="4"/>'
    )
    return "".join(parts) + "</svg>"
