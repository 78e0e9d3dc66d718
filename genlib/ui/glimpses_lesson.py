"""What the Glimpses page says at its end: what to notice, what to try, the maths, and the code of the current view."""

from genlib.ui import glimpses
from genlib.ui.components import Attention
from genlib.ui.glimpses import Settings

NOTICE = """
* **It does not draw at once.** Each step adds to the canvas; the digit gets sharper as errors are mended. DRAW's orange box is where it writes, the blue one where it reads.
* **A small, sharp box is a pen; a wide, blurred one is a brush.** The box's side is the stride times (N - 1), the thickness of its line the width of the filters.
* **KL per step is what the picture costs.** A step with a high bar took much from the image; steps near zero only polish. The sum of all bars is the price of the code in nats.
* **Generating is the same without reading**: codes come from the prior instead of the image, and the box still follows the strokes.
"""

ATTEMPT = """
* Step through with the arrow keys. At which step do you recognise the digit? How many nats had been taken by then?
* Read the same digit with another seed: the path differs a little, the picture hardly.
* Read a 1 and an 8: compare the sums of KL. Simple pictures are cheap.
* *Generate* with temperature 0: the codes are all zero, and so all pictures are the same. With 1.5 the strokes lose their way.
* *By hand*: make the filters narrow (small σ) with a wide stride, and the glimpse misses the stroke between them. Find the smallest N that still lets you read the digit from the glimpse.
* Save the animation with **GIF** for your slides.
"""

MATHS = r"""
For $t = 1 \dots T$, with $\hat x_t = x - \sigma(c_{t-1})$ the error so far:

$$r_t = \mathrm{read}(x, \hat x_t, h^{dec}_{t-1}) \qquad h^{enc}_t = \mathrm{LSTM}([r_t, h^{dec}_{t-1}]) \qquad z_t \sim \mathcal N(\mu_t, \sigma_t^2)$$
$$h^{dec}_t = \mathrm{LSTM}(z_t) \qquad c_t = c_{t-1} + \mathrm{write}(h^{dec}_t) \qquad p(x \mid z) = \mathrm{Bernoulli}(\sigma(c_T))$$

The loss is the negative evidence lower bound, $-\log p(x \mid z_{1:T}) + \sum_t \mathrm{KL}_t$ with $\mathrm{KL}_t = \tfrac12 \sum_j (\mu_{tj}^2 + \sigma_{tj}^2 - 1 - \log \sigma_{tj}^2)$: the bars.

**Attention** is a grid of $N \times N$ Gaussian filters. Filter $i$ lies at $\mu^i = g + (i - N/2 + 0.5)\,\delta$, $i = 0 \dots N-1$, and weighs pixel $a$ by

$$F[i, a] = \frac{1}{Z_i} \exp\!\Big(-\frac{(a - \mu^i)^2}{2 \sigma^2}\Big), \qquad \mathrm{read} = \gamma\, F_Y\, x\, F_X^\top, \qquad \mathrm{write} = \frac1\gamma\, F_Y^\top w\, F_X .$$

Everything is smooth in $g$, $\delta$, $\sigma$ and $\gamma$, so where to look is learned by gradient descent like everything else.
"""

NOTICE_SHOWN = """
* **The green box looks at the example**, while reading and while generating: another image of the same class, which decides what is written. The codes decide how.
"""

NOTICE_ADVERSARIAL = """
* **Three or five strokes of a whole brush.** Each step may change every pixel: there is no box, and nobody told the model how to share the work among its steps.
* **The discriminator sees the last canvas only.** What stands there half way need not look like anything.
* **Compare the first step with the last**: often the first lays down the digit, and the rest mend its strokes and clear the ground.
"""

ATTEMPT_ADVERSARIAL = """
* Step through with the arrow keys: at which step is the class of the digit decided?
* Temperature 0: without noise all pictures are the same, and their steps, too.
* Train `gran` with one, three and five steps and let them play each other: `genlib.evaluation.gam`.
"""

MATHS_ADVERSARIAL = r"""
For $t = 1 \dots T$, with fresh noise $z_t \sim \mathcal N(0, I)$:

$$h_{z,t} = \tanh(W z_t + b) \qquad h_{c,t} = g(\Delta C_{t-1}),\ h_{c,1} = 0 \qquad \Delta C_t = f([h_{z,t}, h_{c,t}]) \qquad C = \tanh\Big(\sum_{t=1}^T \Delta C_t\Big)$$

$f$ is a decoder of transposed convolutions, $g$ an encoder of convolutions. $G(z_{1:T}) = C$ plays against a discriminator, as in every GAN:
$\min_G \max_D\, \mathbb E_x[\log D(x)] + \mathbb E_z[\log(1 - D(G(z)))]$. There is no code for a given image, no KL and no bound on a likelihood.
"""


def lesson(s: Settings) -> tuple[str, str, str]:
    """What to notice, what to try, and the maths, for the model that is shown."""
    if s.reads:
        return NOTICE.rstrip() + (NOTICE_SHOWN if s.shown else ""), ATTEMPT, MATHS
    return NOTICE_ADVERSARIAL, ATTEMPT_ADVERSARIAL, MATHS_ADVERSARIAL


def code(s: Settings, grid: Attention | None) -> str:
    """The lines that give the current view."""
    if grid is not None:
        return (
            "import torch\nfrom genlib import data\nfrom genlib.layers.attention import GlimpseBox, read, write\n\n"
            f'image = data.load("{s.data}").batch("test", slice({s.index}, {s.index + 1}))[0]  # [C, H, W] in [0, 1]\n'
            f"box = GlimpseBox(*(torch.tensor(v) for v in ({grid.x:.2f}, {grid.y:.2f}, {grid.delta:.2f}, {grid.sigma:.2f}, {grid.gamma:.2f})))  # x, y, delta, sigma, gamma\n"
            f"glimpse = read(image, box, n={grid.n})  # [C, {grid.n}, {grid.n}]\n"
            "back = write(glimpse, box, tuple(image.shape[-2:]))  # [C, H, W]"
        )
    lines = f'import genlib\nfrom genlib import data\n\nmodel = genlib.load("{s.checkpoint}")\n'
    if s.view == glimpses.READ:
        return (
            lines
            + f'image = data.load("{s.data}").batch("test", slice({s.index}, {s.index + 1}))  # [1, C, H, W] in [0, 1]\n'
            + _example(s)
            + f"trace = model.trace(image, seed={s.seed}{', example=example' if s.shown else ''})\n"
            "trace.canvases, trace.read, trace.write, trace.kl  # [1, T, ...]: pictures, boxes, nats"
        )
    return (
        lines
        + f"trace = model.trace(n={1 + glimpses.OTHERS}, seed={s.seed}, temperature={s.temperature:g})\n"
        + (
            "trace.canvases, trace.write  # [N, T, ...]: pictures, boxes"
            if s.reads
            else "trace.canvases  # [N, T, C, H, W]"
        )
    )


def _example(s: Settings) -> str:
    """The line that makes the example, for a model that is shown one."""
    if not s.shown:
        return ""
    index = glimpses.example_index(s)
    return f'example = data.load("{s.data}").batch("test", slice({index}, {index + 1}))  # another one of its class\n'
