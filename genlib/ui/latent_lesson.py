"""What the Latent space page says at its end: what to notice, to try, the maths, and the code of the current view."""

import base64
import zlib

import numpy as np

from genlib.ui import latent, latent_many, latent_many_lesson
from genlib.ui.latent import Plane, Settings
from genlib.ui.latent_points import Start, write_point
from genlib.ui.latent_view import FRAMES, SHOWN

NOTICE = """
* **Two numbers make a picture.** Nobody told the model what a digit is, yet each class has its own region: pictures
  that look alike are cheapest to describe by codes that lie side by side. Look-alikes are neighbours: 4, 7 and 9; 3, 5
  and 8.
* **Everything between two digits is something.** Along the path one becomes the other without a jump. Half way the
  picture is blurred: the decoder gives the *average* of all pictures that might lie there.
* **The codes crowd around the origin**, within the circles of the prior: the KL term pulls them there. Without it
  (preset *no-kl*) they fly apart and leave holes; with too much of it (preset *kl-collapse*) they fall together, and
  the code says nothing.
* **The encoder has a place for everything.** A scribble gets a code too, amid the digits. The code does not tell that
  it is none; the ELBO does.
"""

ATTEMPT = """
* Drag the point slowly from a cluster to its neighbour. Where exactly does a 4 stop being a 4?
* Choose two classes as the ends of the **path** and press *Play path*. Which digits does it pass through on the way?
* In **Encode**, draw a 7 with a bar, a mirrored 2, a letter. Where do they land, what are they rebuilt as, how many
  nats do they cost? Draw one digit stroke by stroke and watch its code travel.
* In **Grid**, compare the even steps with those by the prior: the second is what `sample` draws from, each picture
  equally likely.
* Train the presets *kl-collapse* and *no-kl* on the Train page, and look at their planes here.
"""

MATHS = r"""
The prior is $p(z) = \mathcal N(0, I)$ on the plane. The decoder gives the probability of ink at every pixel,
$p_\theta(x \mid z) = \prod_i \mathrm{Bernoulli}(x_i; \pi_i(z))$; what you see at $z$ is $\pi(z)$. The encoder gives an
approximate posterior $q_\phi(z \mid x) = \mathcal N(\mu(x), \mathrm{diag}\, \sigma^2(x))$: the star and its ellipse of
$2\sigma$. Both are trained on the evidence lower bound

$$\log p_\theta(x) \;\ge\;
\underbrace{\mathbb E_{q_\phi(z \mid x)}\big[\log p_\theta(x \mid z)\big]}_{-\text{reconstruction}} \;-\;
\underbrace{\mathrm{KL}\big(q_\phi(z \mid x) \,\|\, p(z)\big)}_{\text{cost of the code}},
\qquad \mathrm{KL} = \tfrac12 \sum_{j=1}^{2} \big(\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2\big)$$

It is about zeros and ones: a grey picture is first turned into one such draw. The gap of the bound is
$\mathrm{KL}(q_\phi(z \mid x) \,\|\, p_\theta(z \mid x))$, so the ELBO judges encoder and decoder together.

**Grid by the prior.** With $\Phi$ the cumulative distribution of $\mathcal N(0, 1)$, the $n \times n$ codes are
$z = \big(\Phi^{-1}(\tfrac{i + 1/2}{n}), \Phi^{-1}(\tfrac{j + 1/2}{n})\big)$: each stands for the same share $1/n^2$ of the
prior (Kingma & Welling 2014, figure 4). If the codes of all images together, $\frac1N \sum_k q_\phi(z \mid x_k)$, were
distributed as the prior, all cells would hold equally many.
"""

Lines = tuple[list[str], list[str]]
"""Imports, and what follows the loading of the model."""


def texts(s: Settings, p: Plane) -> dict[str, str]:
    """What to notice, to try, and the maths, of this kind of space."""
    notice, attempt, formulas = latent_many_lesson.texts(s) or (NOTICE, ATTEMPT, MATHS)
    return {"notice": notice, "attempt": attempt, "maths": formulas + _under_the_pointer(p)}


def _under_the_pointer(p: Plane) -> str:
    """How good what the browser shows under the pointer is."""
    return (
        f"\n**Under the pointer** the browser blends the nearest four of {p.side} × {p.side} true decodes, so that "
        f"nothing has to be sent while you drag. Here a blend differs from the true decode by {p.error:.2f} of 255 grey "
        f"levels on average, and in 999 of 1,000 pixels by no more than {p.worst:.0f}.\n"
    )


def code(s: Settings, now: Start, picture: np.ndarray | None, reach: float, planes: list[str]) -> str:
    """The lines that give the current view.

    ``picture``: the one that is encoded, uint8; ``reach``: how far the grid's even steps go; ``planes``: those side by side.
    """
    if s.view == latent.ENCODE:
        imports, lines = _encode_lines(s, picture)
    elif s.view in (latent.TRAVERSALS, latent.INTERPOLATE, latent.PLANES) or not s.is_plane:
        imports, lines = latent_many_lesson.lines(s, now, planes, latent_many.rank_now())
    else:
        imports, lines = _grid_lines(s, reach) if s.view == latent.GRID else _plane_lines(s, now)
    imports = sorted(set(imports), key=lambda line: (line.startswith("from"), line))
    model = [] if s.view == latent.PLANES else [f'model = genlib.load("{s.checkpoint}")']
    return "\n".join([*imports, "", *model, *lines])


def _images(n: int, s: Settings) -> str:
    channels, height, width = s.shape
    return f"[{n}, {channels}, {height}, {width}]"


def _plane_lines(s: Settings, now: Start) -> Lines:
    # as Python writes floats, "0.0": a tensor of 0 and 1 would be one of integers; rounded as in the link
    z, a, b = (", ".join(str(float(part)) for part in write_point(point).split(",")) for point in (now.z, now.a, now.b))
    return ["import genlib", "import torch", "from genlib.data import load"], [
        f"picture = model.decode(torch.tensor([[{z}]]))  # {_images(1, s)} in [0, 1]",
        "",
        f"a, b = torch.tensor([{a}]), torch.tensor([{b}])",
        f"path = model.decode(a + (b - a) * torch.linspace(0, 1, {FRAMES})[:, None])  # {_images(FRAMES, s)}",
        "",
        f'data = load("{s.data}")',
        f'mean, log_var = model.encode(data.batch("test", slice(0, {SHOWN})))  # codes of test images, [{SHOWN}, 2]',
        f'labels = data.labels("test")[:{SHOWN}]',
    ]


def _encode_lines(s: Settings, picture: np.ndarray | None) -> Lines:
    channels, height, width = s.shape
    if s.source == latent.TEST_IMAGE:
        imports = ["import genlib", "from genlib.data import load"]
        rows = f"slice({s.index}, {s.index + 1})"
        lines = [f'image = load("{s.data}").batch("test", {rows})  # {_images(1, s)} in [0, 1]']
    elif picture is None:
        imports = ["import genlib", "import torch"]
        lines = [f"image = torch.zeros(1, {channels}, {height}, {width})"]
    else:
        imports = ["import base64", "import genlib", "import torch", "import zlib"]
        text = base64.b64encode(zlib.compress(picture.tobytes(), 9)).decode()
        lines = [
            f'pixels = torch.tensor(list(zlib.decompress(base64.b64decode("{text}"))))',
            f"image = pixels.reshape(1, {height}, {width}, {channels}).movedim(-1, 1) / 255",
        ]
    return imports, [
        *lines,
        "mean, log_var = model.encode(image)  # q(z | x), [1, 2] each",
        "sigma = (0.5 * log_var).exp()",
        f"rebuilt = model.decode(mean)  # {_images(1, s)}",
        "reconstruction, kl = model.bound(image)  # the two parts of -ELBO, [1] nats each",
    ]


def _grid_lines(s: Settings, reach: float) -> Lines:
    ticks = f"torch.linspace({-reach:g}, {reach:g}, {s.n})"
    if s.spacing == latent.BY_THE_PRIOR:
        ticks = f"torch.special.ndtri((torch.arange({s.n}) + 0.5) / {s.n})  # equally likely under the prior"
    return ["import genlib", "import torch"], [
        f"ticks = {ticks}",
        'x, y = torch.meshgrid(ticks, ticks.flip(0), indexing="xy")  # x rises to the right, y falls from row to row',
        f"pictures = model.decode(torch.stack([x.flatten(), y.flatten()], 1))  # {_images(s.n**2, s)}, row by row",
    ]
