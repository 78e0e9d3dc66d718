"""What the Compare page says at its end: what to notice, what to try, the maths, and the code of the current view."""

NOTICE = """
* **Likelihoods are only comparable on the same form of the data.** Binary MNIST exists in several forms whose figures lie 15 nats and more apart. A cross in the
  column *Comparable?* means: another form, another scale.
* **A bound is not the likelihood.** For a VAE or DRAW the table shows an upper limit of the true nats (marked ≤); a PixelCNN's figure is exact. The IWAE column is a tighter
  limit of the same thing.
* **A GAN has no likelihood at all.** It can still make the sharpest pictures. Likelihood and looks are different things: judge the walls, too.
* **Fast to draw, slow to draw.** One pass of a network for GAN and VAE, one for each step in DRAW, one small step for each pixel in a PixelCNN.
"""

ATTEMPT = """
* Press *New seed* a few times and look for mistakes: broken strokes, blur, digits that are none, the same digit again and again. Which family makes which?
* Sort the table by size, by drawing time, by nats. Does one model win everywhere?
* Train a variant on the Train page (*beta* of a VAE, *steps* of DRAW) and choose its run in the sidebar.
"""

MATHS = r"""
**Nats per image** are $-\log p_\theta(x)$, averaged over the test set; a fair coin for each of 784 pixels would give $784 \ln 2 = 543.4$. **Bits per dimension** are nats $/ (\ln 2 \cdot$ sub-pixels$)$.

| model | figure |
|---|---|
| autoregressive | $-\sum_i \log p_\theta(x_i \mid x_{<i})$, exact |
| variational | $\mathbb E_q[-\log p_\theta(x \mid z)] + \mathrm{KL}(q_\phi(z \mid x) \,\|\, p(z)) \;\ge\; -\log p_\theta(x)$ |
| IWAE, $k$ draws | $-\mathbb E\big[\log \tfrac1k \sum_{j=1}^k p_\theta(x, z_j) / q_\phi(z_j \mid x)\big]$, between the two |
| adversarial | none: $G$ gives pictures, not probabilities |
"""


def code(names: list[str], seed: int) -> str:
    """The lines that give the current view."""
    return (
        "import genlib\nfrom genlib import data, evaluation\n\n"
        f"for name in {names!r}:\n"
        "    model = genlib.load(name)\n"
        f"    images = model.sample(16, seed={seed})  # [16, 1, 28, 28] in [0, 1]\n"
        '    print(name, evaluation.report(model, data.load("mnist")), evaluation.measure(model, 16))'
    )
