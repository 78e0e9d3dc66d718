"""What the One shot page says at its end: what to notice, what to try, the maths, and the code of the current view."""

import base64
import zlib

from genlib.ui import one_shot
from genlib.ui.one_shot import Settings, Shown

NOTICE = """
* **One look is enough.** The model has never seen this alphabet. From one drawing it writes twenty others: the strokes stay, their slant, length and curl change.
* **It knows hands, not letters.** What it learned from other alphabets is how people vary what they write; the example says what to write.
* **The same likelihood tells characters apart.** No classifier was trained: of twenty examples it asks which one makes the drawing likeliest.
* *Steps*: **the green box reads the example**, and what it sees there is pasted through the green box on the canvas, moved, stretched or not at all; the orange one writes what is the model's own.
"""

ATTEMPT = """
* *Write*: temperature 0 takes the middle of everything: a plain copy of the character. At 1.5 the strokes lose their way.
* Change a given character: add a stroke, or rub one out. Do the twenty follow?
* *Draw* a letter of your own invention, then a small picture that is no letter at all, such as a face. What does it make of it?
* *Tell apart*: find a drawing that it gets wrong. Would you have known? Draw one of the twenty yourself and see whether it knows yours.
* Raise the number of draws: the bound on log p gets tighter for the right character as for the others, and the bars hardly move.
* `genlib one-shot NAME` gives both scores: 20-way accuracy over Lake's 20 runs, and how often a classifier that knows the held-out characters recognises what was written.
"""

MATHS = r"""
The model is DRAW that is shown an image $x'$ of the same class (Rezende et al. 2016). For $t = 1 \dots T$:

$$v_t = \mathrm{read}(x', h_{t-1}) \qquad z_t \sim \mathcal N(0, I) \qquad h_t = \mathrm{LSTM}([z_t, v_t], h_{t-1}) \qquad c_t = c_{t-1} + \mathrm{write}(h_t) + \mathrm{write}(v_t)$$

(the last term, which pastes, is ours: a state is a narrow passage for a shape that was never met) and $p(x \mid z, x') = \mathrm{Bernoulli}(\sigma(c_T))$. It is trained on pairs $x, x'$ of one character by the bound

$$\log p(x \mid x') \ge \mathbb E_q[\log p(x \mid z_{1:T}, x')] - \sum_t \mathrm{KL}\big(q(z_t \mid x, x', z_{<t}) \,\|\, \mathcal N(0, I)\big).$$

**Classification** needs Bayes' rule and nothing else: with all characters $s$ equally likely before,

$$p(s \mid x) = \frac{p(x \mid x'_s)}{\sum_r p(x \mid x'_r)},$$

and each likelihood is estimated by $k$ importance-weighted draws, $\log \frac1k \sum_i p(x, z_i \mid x'_s) / q(z_i \mid x, x'_s)$, from below; all $s$ get the same noise.
Chance is one in twenty.
"""


def code(s: Settings | None, shown: Shown | None) -> str:
    """The lines that give the current view."""
    if s is None or shown is None:
        return "genlib train one-shot --data omniglot --preset tutorial --threads 1"
    imports, lines = _picture(s, shown)
    model = f'model = genlib.load("{s.checkpoint}")'
    if s.view == one_shot.TELL:
        return "\n".join(
            [
                *sorted({"import genlib", *imports, "from genlib.data.one_shot_runs import one_shot_runs"}, key=_rank),
                "from genlib.evaluation.one_shot import log_likelihoods, posterior",
                "",
                model,
                *lines,
                f"support = one_shot_runs().support[{s.run - 1}]  # [20, 1, 28, 28]",
                f"p = posterior(log_likelihoods(model, picture, support, k={s.draws}, seed={s.seed}))  # [1, 20]",
            ]
        )
    end = (
        f"pictures = model.sample_like(picture, 20, seed={s.seed}, temperature={s.temperature:g})  # [1, 20, C, H, W]"
        if s.view == one_shot.WRITE
        else f"trace = model.trace(n=1, seed={s.seed}, temperature={s.temperature:g}, example=picture)\n"
        "trace.canvases, trace.example, trace.write  # [1, T, ...]: pictures, boxes"
    )
    return "\n".join([*sorted({"import genlib", *imports}, key=_rank), "", model, *lines, end])


def _rank(line: str) -> tuple[bool, str]:
    return line.startswith("from "), line


def _picture(s: Settings, shown: Shown) -> tuple[list[str], list[str]]:
    """Imports and lines that make ``picture``, [1, C, H, W] in [0, 1]."""
    if shown.given and s.source == one_shot.GIVEN:
        if s.view == one_shot.TELL:
            line = f"picture = one_shot_runs().query[{s.run - 1}, {s.query - 1}][None]  # [1, 1, 28, 28]"
            return ["from genlib.data.one_shot_runs import one_shot_runs"], [line]
        split, row = one_shot.place_of(s)
        line = f'picture = load("{s.data}").batch("{split}", slice({row}, {row + 1}))  # {s.character}'
        return ["from genlib.data import load"], [line]
    channels, height, width = s.shape
    packed = base64.b64encode(zlib.compress(shown.picture.tobytes(), 9)).decode()
    return ["import base64", "import torch", "import zlib"], [
        f'pixels = bytearray(zlib.decompress(base64.b64decode("{packed}")))',
        f"picture = torch.frombuffer(pixels, dtype=torch.uint8).reshape(1, {height}, {width}, {channels})",
        "picture = picture.movedim(-1, 1).float() / 255",
    ]
