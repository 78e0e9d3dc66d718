"""Quality against bits as one picture to print: the curves of all coders, in panels side by side, on white.

The pages draw such curves with plotly, which needs a browser to become a picture; a file for a README or a slide is drawn
here with Pillow, larger than it will be, so that its lines are smooth once it has been made smaller.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from genlib.figures.compression import Curve
from genlib.figures.palette import CYCLE

WIDTH, HEIGHT = 600, 400  # of a panel, pixels of the finished picture
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 16, 52  # between its edges and its axes
LEGEND, FOOT = 44, 34  # heights above and below the panels
LARGER = 3  # the factor that it is drawn at
INK, FAINT, PALE = "#1F2933", "#55606A", "#DDE2E6"
MOST_MARKS = 7  # values that the vertical axis names
ROUND = (1.0, 2.0, 5.0)  # times powers of ten: distances between them


@dataclass(frozen=True)
class Panel:
    """One measure: what its axis is called, and a curve for each coder (each panel the same coders, in the same order)."""

    title: str
    curves: Sequence[Curve]


def rate_plot(panels: Sequence[Panel], foot: str) -> bytes:
    """The panels as a PNG; bits are on a logarithmic axis. ``foot``: a line of text below, e.g. where the figures are from."""
    canvas = _Canvas(WIDTH * len(panels), LEGEND + HEIGHT + FOOT)
    _legend(canvas, [curve.name for curve in panels[0].curves])
    for i, panel in enumerate(panels):
        _panel(canvas, panel, WIDTH * i, LEGEND)
    canvas.text(LEFT, LEGEND + HEIGHT + FOOT / 2, foot, FAINT, "lm", 13)
    return canvas.png()


def marks(low: float, high: float) -> list[float]:
    """Round values from the last at or below ``low`` to the first at or above ``high``, at most about `MOST_MARKS`."""
    least = max(high - low, 1e-9) / (MOST_MARKS - 1)
    power = 10.0 ** math.floor(math.log10(least))
    step = next((each * power for each in ROUND if each * power >= least), 10 * power)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _panel(canvas: "_Canvas", panel: Panel, x: float, y: float) -> None:
    bits = [float(each) for curve in panel.curves for each in curve.bits]
    quality = [float(each) for curve in panel.curves for each in curve.quality]
    rows = marks(min(quality), max(quality))
    first, last = math.log2(min(bits)) - 0.15, math.log2(max(bits)) + 0.15
    left, right, top, bottom = x + LEFT, x + WIDTH - RIGHT, y + TOP, y + HEIGHT - BOTTOM

    def place(bit: float, value: float) -> tuple[float, float]:
        across, up = (math.log2(bit) - first) / (last - first), (value - rows[0]) / (rows[-1] - rows[0])
        return left + across * (right - left), bottom - up * (bottom - top)

    for value in rows:
        height = place(bits[0], value)[1]
        canvas.line([(left, height), (right, height)], PALE, 1)
        canvas.text(left - 8, height, f"{value:g}", FAINT, "rm", 14)
    for power in range(math.ceil(first), math.floor(last) + 1):
        across = place(2.0**power, rows[0])[0]
        canvas.line([(across, top), (across, bottom)], PALE, 1)
        canvas.text(across, bottom + 8, f"{2**power:,}", FAINT, "ma", 14)
    canvas.text((left + right) / 2, bottom + 30, "bits for each picture", INK, "ma", 15)
    for i, curve in enumerate(panel.curves):
        points = [place(*each) for each in zip(curve.bits, curve.quality, strict=True)]
        canvas.line(points, _colour(i), 2.5)
        for point in points:
            canvas.dot(point, 4, _colour(i))
    canvas.text(left + 8, top + 6, panel.title, INK, "la", 17)


def _legend(canvas: "_Canvas", names: Sequence[str]) -> None:
    x = float(LEFT)
    for i, name in enumerate(names):
        canvas.line([(x, LEGEND / 2), (x + 26, LEGEND / 2)], _colour(i), 2.5)
        canvas.dot((x + 13, LEGEND / 2), 4, _colour(i))
        x = canvas.text(x + 34, LEGEND / 2, name, INK, "lm", 15) + 28


def _colour(i: int) -> str:
    return CYCLE[i % len(CYCLE)]


class _Canvas:
    """Draws in pixels of the finished picture."""

    def __init__(self, width: float, height: float) -> None:
        self.size = round(width), round(height)
        self.image = Image.new("RGB", (self.size[0] * LARGER, self.size[1] * LARGER), "white")
        self.draw = ImageDraw.Draw(self.image)

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        scaled = [(x * LARGER, y * LARGER) for x, y in points]
        self.draw.line(scaled, colour, round(width * LARGER), "curve")

    def dot(self, at: tuple[float, float], radius: float, colour: str) -> None:
        (x, y), r = at, radius * LARGER
        self.draw.ellipse((x * LARGER - r, y * LARGER - r, x * LARGER + r, y * LARGER + r), colour)

    def text(self, x: float, y: float, text: str, colour: str, anchor: str, size: int) -> float:
        """Returns where it ends on the right."""
        font = ImageFont.load_default(size * LARGER)
        self.draw.text((x * LARGER, y * LARGER), text, colour, font, anchor)
        return self.draw.textbbox((x * LARGER, y * LARGER), text, font, anchor)[2] / LARGER

    def png(self) -> bytes:
        buffer = io.BytesIO()
        self.image.resize(self.size, Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
        return buffer.getvalue()
