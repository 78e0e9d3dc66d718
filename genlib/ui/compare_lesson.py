"""What the Compare page says at its end: what to notice, what to try, the maths, and the code of the current view."""

from genlib.ui.compare_rows import OWN

NOTICE = """
* **Likelihoods are only comparable on the same form of the data.** Binary MNIST exists in several forms whose figures lie 15 nats and more apart. A cross in the
  column *Comparable?* means: another form, another scale.
* **A bound is not the likelihood.** For a VAE or DRAW the table shows an upper limit of the true nats (marked ≤); a PixelCNN's figure is exact. The IWAE column is a tighter
  limit of the same thing.
* **A GAN has no likelihood at all.** It can still make the sharpest pictures. So all families are also measured by what they draw: *Samples*, one yardstick for all.
* **Real images are the floor.** Training images in the place of a model's pictures have a small Frechet distance, but not zero: so much is chance.
* **One number hides which mistake it was.** Low precision: pictures that are no digits. Low recall or coverage: digits that never come. Low class entropy: whole classes are rare.
  Sharpness below 1: blur.
* **Fast to draw, slow to draw.** One pass of a network for GAN and VAE, one for each step in DRAW, one small step for each pixel in a PixelCNN.
* **A claim is as good as its figures.** The verdicts are computed from the models shown. These have not had the same training: *Cost* says how much each had.
"""

ATTEMPT = """
* Press *New seed* a few times and look for mistakes: broken strokes, blur, digits that are none, the same digit again and again. Which family makes which?
* Put a model over the real images and drag the divider, or move it with the arrow keys. Can you say without the names which side is real?
* Sort the tables by one column, then by another. Does one model win everywhere?
* In the scatter, choose *Nats* and then *Frechet distance*: does the better likelihood make the better pictures?
* Take models away in the sidebar: which claims still have a verdict, and does it change?
* Train a variant on the Train page (*beta* of a VAE, *steps* of DRAW) and choose its run in the sidebar. With three seeds of it, stability gets a verdict.
"""

MATHS = r"""
**Nats per image** are $-\log p_\theta(x)$, averaged over the test set; a fair coin for each of 784 pixels would give $784 \ln 2 = 543.4$. **Bits per dimension** are nats $/ (\ln 2 \cdot$ sub-pixels$)$.

| model | figure |
|---|---|
| autoregressive | $-\sum_i \log p_\theta(x_i \mid x_{<i})$, exact |
| variational | $\mathbb E_q[-\log p_\theta(x \mid z)] + \mathrm{KL}(q_\phi(z \mid x) \,\|\, p(z)) \;\ge\; -\log p_\theta(x)$ |
| IWAE, $k$ draws | $-\mathbb E\big[\log \tfrac1k \sum_{j=1}^k p_\theta(x, z_j) / q_\phi(z_j \mid x)\big]$, between the two |
| adversarial | none: $G$ gives pictures, not probabilities |

**Samples** are judged by the features $f$ of a small classifier of the same data, with mean $\mu$ and covariance $\Sigma$ over real images ($r$) and over drawn ones ($g$):

| measure | |
|---|---|
| Frechet distance | $\lVert\mu_r - \mu_g\rVert^2 + \mathrm{tr}\big(\Sigma_r + \Sigma_g - 2(\Sigma_r\Sigma_g)^{1/2}\big)$ |
| precision, recall | share of drawn features within the $k$-nearest-neighbour balls of real ones, and the other way round |
| density, coverage | how many such balls hold a drawn feature, over $k$; the share of real balls that hold one at all |
| class entropy | $-\sum_c p_c \ln p_c$ of the classes that the judge gives; $\ln 10 = 2.303$ where all are even |
| sharpness | variance of the Laplacian, over that of real images |

A distance of another classifier, of fewer pictures or of another form of them is on another scale.
"""


def code(names: list[str], data: str, seed: int, form: str) -> str:
    """The lines that give the current view, and the command that measures its table again."""
    option = "" if form == OWN else f" --form {form}"
    return (
        "import genlib\nfrom genlib import data, evaluation\n\n"
        f"dataset = data.load({data!r})\n"
        f"for name in {names!r}:\n"
        "    model = genlib.load(name)\n"
        f"    images = model.sample(16, seed={seed})  # [16, C, H, W] in [0, 1]\n"
        "    print(name, evaluation.report(model, dataset), evaluation.measure(model, 16))\n\n"
        f"# the table: genlib compare {' '.join(names)}{option}"
    )
