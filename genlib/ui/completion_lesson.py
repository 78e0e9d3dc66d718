"""What the Completion page says at its end: what to notice, what to try, the maths, the code of the current view."""

import base64
import zlib

import numpy as np

from genlib.ui.completion import Chosen, Settings, Work, mask_name

NOTICE = """
* **One question, many answers.** With the lower half hidden, one upper half becomes a 3, a 5 or an 8. The average
  of the completions is the blur that a model would give that had to choose *one* picture.
* **The entropy map lights up where a stroke must be decided**: at edges, at ends, where two digits part ways.
  Inside a stroke and in the empty border the model is certain. Once the first pixels of a stroke are drawn, the
  rest follows.
* **Raster order is blind to what comes later.** Hide the *upper* half: what you see of the digit plays no part, and
  the join is broken. The model is not weak; it was never shown those pixels. Only the order in which it draws
  decides what it can use.
* The plain PixelCNN has a second blindness: its stack of masked 3 x 3 kernels leaves a wedge above and to the right
  of each pixel that no path reaches, although raster order would allow it.
* **Two models differ where one knows more.** Both get the same random numbers: where they agree on the probabilities they
  draw the same pixel, and they part at the first pixel where they do not.
* **A class is one more thing to go by.** Told which one it is, a model hesitates less; told a wrong one, it bends the known
  half into it, or breaks at the join.
"""

ATTEMPT = """
* Press **upper half**, then **lower half**. Then hide the **left half**: each row looks at the known pixels of the
  rows *above* only.
* Reveal a single pixel in the hidden half with the *Reveal* tool, right below a stroke: only what comes after it
  changes, for the same seed.
* Turn the **temperature** to 0: all completions are the same, the likeliest pixel at each place, and often no good
  digit. At 1.5 the strokes fray.
* Choose **Draw** and invent half a digit, or half of something that is no digit.
* Click a pixel on the entropy map at the tip of a stroke, then the ones below it.
* **Compare with** a second model, and click where their entropies differ most: which of them is right?
* With a class-conditional model, hide the lower half of a 4 and tell it **9**, then **any**.
"""

MATHS = r"""
Every image is a chain of pixels in raster order, rows from the top, each from left to right:

$$p(x) = \prod_{i=1}^{HW} p(x_i \mid x_1, \dots, x_{i-1})$$

To complete a picture, walk along the chain: keep $x_i$ where it is known, and draw $x_i \sim p(x_i \mid x_{<i})$
where it is hidden. That is an exact sample of $p(\text{hidden} \mid \text{known})$ **only if all known pixels come
first**. A known pixel $x_k$ with $k > i$ should change the draw by Bayes' rule,

$$p(x_i \mid x_{<i}, x_k) \propto p(x_i \mid x_{<i}) \, p(x_k \mid x_{\le i}),$$

but the second factor is a sum over everything between $i$ and $k$, which no single pass computes; so it is left
out.

A class-conditional model has $p(x \mid y)$. Told the class $y$, every factor above is given $y$. Told none, it draws one
for each completion from what the known pixels before the first hidden one, $x_{<h}$, tell by Bayes' rule with equally
frequent classes, and keeps to it:

$$p(y \mid x_{<h}) = \frac{p(x_{<h} \mid y)}{\sum_{y'} p(x_{<h} \mid y')}$$

The entropy of a pixel, in bits, is $H_i = -\sum_v p(x_i = v \mid x_{<i}) \log_2 p(x_i = v \mid x_{<i})$: at most 1
for ink or no ink. At temperature $T$ the value is drawn from $p(x_i = v \mid x_{<i})^{1/T}$, made to sum to one.
"""


def code(s: Settings, work: Work, look: str, pixel: tuple[int, int]) -> str:
    """The lines that give the current view: ``look`` names the picture whose distributions are shown, at ``pixel``."""
    imports, picture = _picture(s, work)
    more, mask = _mask(work.known)
    modules = sorted({line for line in imports + more if line.startswith("import ")} | {"import genlib"})
    names = sorted({line for line in imports + more if line.startswith("from ")})
    lines = [*modules, *names, "", *picture, *mask]
    for chosen, model, prefix in zip(s.chosen, ("model", "other"), ("", "other_"), strict=False):
        lines += ["", *_of_model(s, chosen, model, prefix, look, pixel)]
    return "\n".join(lines)


def _of_model(s: Settings, chosen: Chosen, model: str, prefix: str, look: str, pixel: tuple[int, int]) -> list[str]:
    """The lines for one model; ``prefix`` begins the names of its results."""
    channels, height, width = s.shape
    place = "images" if look == "original" else f"{prefix}completions[:, {int(look.split()[-1]) - 1}]"
    row, column = pixel
    label = "" if chosen.label is None else f", label={chosen.label}"
    p = f"{prefix}p"
    settings = f"seed={s.seed}{label}, temperature={s.temperature:g}"
    return [
        f'{model} = genlib.load("{chosen.checkpoint}")',
        f"{prefix}completions = {model}.complete(images, known, {s.n}, {settings})",
        f"{prefix}average = {prefix}completions.mean(1)  # of [1, {s.n}, {channels}, {height}, {width}]",
        f"{p} = {model}.pixel_distribution({place}{label})  # [1, {channels}, levels, {height}, {width}]",
        f"{prefix}entropy = -({p} * {p}.clamp(min=1e-30).log2()).sum((1, 2))  # bits, [1, {height}, {width}]",
        f"print({p}[0, :, :, {row}, {column}])  # the distribution at row {row}, column {column}",
    ]


def _picture(s: Settings, work: Work) -> tuple[list[str], list[str]]:
    """Imports and lines that make ``images``."""
    channels, height, width = s.shape
    if work.given:
        load = f'images = load("{s.data}").batch("test", slice({s.index}, {s.index + 1}))'
        return ["from genlib.data import load"], [f"{load}  # [1, {channels}, {height}, {width}] in [0, 1]"]
    if not work.picture.any():
        return ["import torch"], [f"images = torch.zeros(1, {channels}, {height}, {width})"]
    packed = base64.b64encode(zlib.compress(work.picture.tobytes(), 9)).decode()
    return ["import base64", "import torch", "import zlib"], [
        f'pixels = bytearray(zlib.decompress(base64.b64decode("{packed}")))',
        f"images = torch.frombuffer(pixels, dtype=torch.uint8).reshape(1, {height}, {width}, {channels})",
        "images = images.movedim(-1, 1).float() / 255",
    ]


def _mask(known: np.ndarray) -> tuple[list[str], list[str]]:
    """Imports and lines that make ``known``."""
    height, width = known.shape
    name = mask_name(known)
    if name is not None:
        line = f'known = occlusion("{name}", {height}, {width})  # bool, False where hidden'
        return ["from genlib.data.occlusions import occlusion"], [line]
    packed = base64.b64encode(np.packbits(known).tobytes()).decode()
    return ["import base64", "import numpy as np", "import torch"], [
        f'bits = np.unpackbits(np.frombuffer(base64.b64decode("{packed}"), np.uint8), count={known.size})',
        f"known = torch.from_numpy(bits).reshape({height}, {width}) > 0  # False where hidden",
    ]
