"""What the Latent space page says of spaces of many numbers, and the code of those views."""

from genlib.ui import latent, latent_many, latent_side
from genlib.ui.latent import Settings
from genlib.ui.latent_points import Start, write_point
from genlib.ui.latent_view import FRAMES, SHOWN

NOTICE_MANY = """
* **Every number has its price.** The KL term makes each number of the code pay for what it tells. One that does not pay is
  switched off: its posterior is the prior, and its strip shows the same picture eleven times.
* **The plane is a slice.** It holds the two directions in which codes vary most, and all else at its mean: so decodes on it
  look more alike, and more blurred, than reconstructions.
* **A number is no idea.** One may change slant, width and class at once: nothing in the loss asks for one meaning each.
"""
NOTICE_NOISE = """
* **Noise becomes pictures, smoothly.** Between two draws everything is a picture, too, though nobody showed the generator
  any path.
* **No way back.** There is no encoder, so no picture has a place here, and no scatter can be drawn. What the generator never
  makes, you cannot find.
* **Draws lie on a sphere.** The straight way between two leads through its inside, where the generator was never trained;
  pictures there are paler or less sure.
"""
ATTEMPT_MANY = """
* In **Traversals**, look for the number that slants the digit, and for one that makes it bold. Go to the last ranks: what do
  unused numbers do?
* Train `vae-mlp` with `latent = 2`, 64 and 512 on the Train page: how many numbers are active?
* Drag along the first axis of the **Plane**. What did the model find most worth telling?
"""
ATTEMPT_NOISE = """
* Press **New noise** until two corners show the same digit. Is everything between them that digit, too?
* In **Interpolate**, compare the sphere with the straight way in the middle.
* Take a model with mode collapse (preset *mode-collapse* of `gan`): how many different pictures does its plane hold?
"""
MATHS_MANY = r"""
Codes are $z \in \mathbb R^n$. With $\mu_k$ the means of $q(z \mid x_k)$, the plane is
$z = \bar\mu + x\,e_1 + y\,e_2$ with $e_1, e_2$ the eigenvectors of the covariance of the $\mu_k$ with the largest eigenvalues
(principal components). The cost of number $i$ is
$\mathrm{KL}_i = \tfrac12\,\mathbb E_x\big[\mu_i^2 + \sigma_i^2 - 1 - \log\sigma_i^2\big]$; it is called *active* where
$\mathrm{Var}_x[\mu_i(x)] > 0.01$ (Burda et al. 2016).
"""
MATHS_NOISE = r"""
Noise is $z \sim \mathcal N(0, I_n)$, so $\lVert z \rVert^2$ is $\chi^2_n$: its length is close to $\sqrt n$, and nearly all draws
lie on that sphere. Between directions $a$ and $b$ at the angle $\omega$, the way along the sphere is

$$\mathrm{slerp}(t) = \frac{\sin((1-t)\,\omega)}{\sin\omega}\,a + \frac{\sin(t\,\omega)}{\sin\omega}\,b$$

while the straight way $(1-t)a + tb$ has length $\lVert z \rVert\cos(\omega/2)$ in its middle: about $0.71\sqrt n$ for two
independent draws. A point of the plane is a mixture $\sum_i w_i z_i$, $\sum_i w_i = 1$, of three draws, stretched to their sphere.
"""

Lines = tuple[list[str], list[str]]
"""Imports, and what follows the loading of the model."""


def texts(s: Settings) -> tuple[str, str, str] | None:
    """Notice, attempt and maths of a space of many numbers or of noise; None for a plane of codes."""
    if s.is_plane:
        return None
    return (NOTICE_MANY, ATTEMPT_MANY, MATHS_MANY) if s.encodes else (NOTICE_NOISE, ATTEMPT_NOISE, MATHS_NOISE)


def lines(s: Settings, now: Start, planes: list[str], first: int) -> Lines:
    """The lines of the current view. ``planes``: the checkpoints side by side; ``first``: the rank of the first strip."""
    base = ["import genlib", "import torch"]
    if s.view == latent.PLANES:
        return [*base, "from genlib.data import load"], [f'data = load("{s.data}")', *latent_side.code(planes)]
    if s.view == latent.TRAVERSALS:
        return [*base, "from genlib.data import load"], _traversal(s, first)
    if s.view == latent.INTERPOLATE:
        return [*base, "from genlib.figures.latent_flat import lerp, slerp"], [
            f"a, b, c = model.noise(3, model.generator({s.seed}))  # [{s.numbers}] each",
            f"sphere = model.decode(slerp(a, b, {latent_many.WAY}))  # [{latent_many.WAY}, C, H, W] in [0, 1]",
            f"straight = model.decode(lerp(a, b, {latent_many.WAY}))",
        ]
    return _plane(s, now)


def _traversal(s: Settings, first: int) -> list[str]:
    r, n, k = latent_many.REACH, latent_many.VALUES, latent_many.STRIPS
    return [
        f'data = load("{s.data}")',
        'mean, log_var = model.encode(data.batch("test", slice(0, None)))',
        "kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).mean(0)  # nats of each number",
        f"shown = kl.argsort(descending=True)[{first - 1}:{first - 1 + k}]",
        f'code = model.encode(data.batch("test", slice({s.index}, {s.index + 1})))[0]',
        f"strips = code.repeat(len(shown), {n}, 1)  # [strips, {n}, {s.numbers}]",
        "for strip, number in zip(strips, shown):",
        f"    strip[:, number] = torch.linspace(-{r:g}, {r:g}, {n})",
        "pictures = model.decode(strips.flatten(0, 1))",
    ]


def _plane(s: Settings, now: Start) -> Lines:
    z, a, b = (", ".join(str(float(part)) for part in write_point(point).split(",")) for point in (now.z, now.a, now.b))
    imports, made, after = ["import genlib", "import torch"], [], []
    if s.encodes:
        imports += ["from genlib.data import load", "from genlib.figures.latent_flat import principal_plane"]
        made = [
            f'data = load("{s.data}")',
            'size = data.size("test")',
            f"rows = torch.cat([torch.arange(k, size, {latent.STRIDE}) for k in range({latent.STRIDE})])[:{latent.CHUNK}]",
            'plane = principal_plane(model.encode(data.batch("test", rows))[0])',
        ]
        after = [f'points = plane.project(model.encode(data.batch("test", slice(0, {SHOWN})))[0])  # the scatter']
    elif s.numbers == 2:
        imports += ["from genlib.figures.latent_flat import whole_plane"]
        made = ["plane = whole_plane()"]
    else:
        imports += ["from genlib.figures.latent_flat import through_three"]
        made = [f"plane = through_three(model.noise(3, model.generator({s.seed})))"]
    return imports, [
        *made,
        f"picture = model.decode(plane.lift(torch.tensor([[{z}]])))  # [1, C, H, W] in [0, 1]",
        f"a, b = torch.tensor([{a}]), torch.tensor([{b}])",
        f"path = model.decode(plane.lift(a + (b - a) * torch.linspace(0, 1, {FRAMES})[:, None]))",
        *after,
    ]
