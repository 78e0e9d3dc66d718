"""What the Pixel by pixel page says at its end: what to notice, what to try, the maths, the code of the current view."""

import base64
import zlib

from genlib.figures.pixel_by_pixel import Walk
from genlib.ui.pixel_by_pixel import DRAWING, SAMPLE, Settings

_NOTICE = """
* **Most steps decide nothing.** In the border and inside a stroke one bar is full: the entropy is near 0, and the value
  costs next to nothing. The curve of the sum rises at edges, at ends of strokes, where two figures part ways.
* **A few steps decide everything.** The bright cells of the entropy map are the places where the model could have gone
  another way. Each decision is final: nothing that is drawn is ever mended.
* **Entropy is the surprise that the model expects.** Over a whole sample the two sums are much the same, if what it
  predicts is true. In a picture that it did not draw, the surprise may be far higher.
* **The sum at the last step is the likelihood.** No bound, no estimate: -ln p(picture) is the sum of these numbers.
"""

_COLOUR = """* **A pixel takes three steps**: red, then green knowing red, then blue knowing both. Green and blue are often surer,
  for the three go together.
"""

ATTEMPT = """
* Press play, or hold the **right arrow**; **down** goes on by a row. Click a bright cell of the map: how close was it?
* Turn the **temperature** to 0: the likeliest value everywhere. Is a picture of likeliest values a likely picture?
  Compare its nats with those at temperature 1, and look at it.
* Temperature 1.5: the filled bars (drawn from) are flatter than the outline (the model). The nats show how soon it is
  in a place where it has never been.
* **Test image** with the *Surprise* map: which part of a handwritten digit did the model not see coming?
* **Drawing**: write a digit, then add a single dot far from it. How many nats does the dot cost? Draw a straight line
  across: where does the model stop being surprised?
"""

MATHS = r"""
The chain rule turns a distribution over images into one over single values, one step after another:

$$p(x) = \prod_{t=1}^{T} p(x_t \mid x_1, \dots, x_{t-1}), \qquad T = C \cdot H \cdot W$$

**To draw**, take $x_t \sim p(x_t \mid x_{<t})$ in turn. **To judge** a picture, look each of its values up: what
surprised the model there is $-\ln p(x_t \mid x_{<t})$ nats, and

$$-\ln p(x) = \sum_{t=1}^{T} -\ln p(x_t \mid x_{<t}) \quad \text{nats}, \qquad 1 \text{ bit} = \ln 2 \text{ nats}.$$

The entropy $H_t = -\sum_v p(v \mid x_{<t}) \log_2 p(v \mid x_{<t})$ is the surprise that the model expects before it
sees $x_t$. For its own samples (temperature 1) it is right on average: $\mathbb E\big[\sum_t H_t\big] = \mathbb
E\big[-\log_2 p(x)\big]$.

At temperature $\tau$ a value is drawn from

$$q(v) = \frac{p(v \mid x_{<t})^{1/\tau}}{\sum_{v'} p(v' \mid x_{<t})^{1/\tau}},$$

step by step. That is not $p(x)^{1/\tau}$ made to sum to one, for the sum in the denominator differs from way to way.

Each prediction depends on what comes before it and on nothing else. So **one** pass of the network over the finished
picture gives all $T$ predictions of the way to it: that is how this page computes them, and how such a model is trained.
"""


def notice(s: Settings, w: Walk) -> str:
    """What to notice, with what holds for the present model only."""
    return _NOTICE + (_COLOUR if s.shape[0] == 3 else "")


def code(s: Settings, w: Walk, step: int) -> str:
    """The lines that give the current view; ``step`` counts from 0."""
    channel, row, column = w.places[step].tolist()
    channels, height, width = s.shape
    label = "" if s.label is None else f", label={s.label}"
    imports, picture = _picture(s, label)
    here = f"0, {channel}, :, {row}, {column}"
    lines = [
        *imports,
        "",
        f'model = genlib.load("{s.checkpoint}")',
        *picture,
        f"p = model.pixel_distribution(images{label})  # [1, {channels}, levels, {height}, {width}], given all before it",
        f"values = (model.code(images) * {w.levels - 1}).round().long()  # 0 .. {w.levels - 1}",
        "surprise = -p.gather(2, values.unsqueeze(2)).squeeze(2).log()  # nats, [1, C, H, W]",
        "entropy = -(p * p.clamp(min=1e-30).log2()).sum(2)  # bits, [1, C, H, W]",
        f"print(surprise.sum(), -model.log_prob(images{label}))  # the same",
        "",
        f"now = p[{here}]  # the prediction at step {step + 1}: row {row}, column {column}"
        + (f", channel {channel}" if channels > 1 else ""),
    ]
    if s.temperature > 0 and s.temperature != 1:
        lines.append(f"drawn_from = now ** (1 / {s.temperature:g}) / (now ** (1 / {s.temperature:g})).sum()")
    return "\n".join(lines)


def _picture(s: Settings, label: str) -> tuple[list[str], list[str]]:
    """Imports and lines that make ``images``."""
    channels, height, width = s.shape
    if s.source == SAMPLE:
        line = f"images = model.sample(1, seed={s.seed}{label}, temperature={s.temperature:g})"
        return ["import genlib"], [f"{line}  # [1, {channels}, {height}, {width}] in [0, 1]"]
    if s.source == DRAWING and s.drawing is not None:
        packed = base64.b64encode(zlib.compress(s.drawing.tobytes(), 9)).decode()
        return ["import base64", "import zlib", "", "import torch", "", "import genlib"], [
            f'pixels = bytearray(zlib.decompress(base64.b64decode("{packed}")))',
            f"images = torch.frombuffer(pixels, dtype=torch.uint8).reshape(1, {height}, {width}, {channels})",
            "images = images.movedim(-1, 1).float() / 255",
        ]
    load = f'images = load("{s.data}").batch("test", slice({s.index}, {s.index + 1}))'
    return ["import genlib", "from genlib.data import load"], [
        f"{load}  # [1, {channels}, {height}, {width}] in [0, 1]"
    ]
