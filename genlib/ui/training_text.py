"""What the Train page says about each family of models: what to notice, what to try, the maths."""

from genlib.models.contract import Family

NOTICE: dict[Family, str] = {
    "adversarial": """
* **The losses do not fall.** G and D pull in opposite directions; a flat loss may hide better and better pictures, a falling one a collapse.
* **D(x) and D(G(z))** are the probabilities of *real* that D gives to real and to generated images. At 0.5 both, D cannot tell;
  near 1 and 0, D is certain, and G learns little. The histograms show every picture of a validation: while they overlap, there is a game.
* **The JSD** is an estimate from below, by a D that is never the best: 0 says that D cannot tell, ln 2 = 0.69 that it always can.
* **A critic** (`wgan-gp`) gives scores, not probabilities. Its earth mover's distance is the one adversarial curve that falls while pictures
  get better, as long as its slope stays near 1.
* **The samples** come from the same noise each time, so every tile is one point of the noise, followed through training. Do neighbours become alike?
""",
    "variational": """
* **Reconstruction and KL trade places.** First the reconstruction falls while the KL rises: the code begins to carry something. Their sum is the loss.
* **The ELBO** is reported with beta = 1 whatever beta was trained: it alone can be compared between runs.
* **The samples** decode the same codes each time: blobs first, then classes, then the strokes.
""",
    "autoregressive": """
* **One loss, and it only falls.** No game, no bound: the plot is the exact negative log-likelihood of the images.
* **Train and validation stay together** until the network is large enough to learn pictures by heart.
* **The samples**: strokes are right within a minute, since neighbours suffice for them; whole digits take much longer.
""",
}

ATTEMPT: dict[Family, str] = {
    "adversarial": """
* Start `quick`, then a preset marked ⚠️ beside it, and compare D(x) and D(G(z)).
* Cure `strong-discriminator`: one field at a time, which one is it?
* Let `dcgan` diverge (preset `diverges`) and save it with **spectral norm**; take the **gradient penalty** from `wgan-gp` and watch the slope.
* In the player, step through the first frames with the arrow keys: when do the first strokes appear?
""",
    "variational": """
* Change **beta** to 0.1, 1 and 10 in three runs and compare where reconstruction and KL settle.
* Switch on **Log steps**: nearly everything happens in the first hundred.
* Stop the run, resume it, and look for the place in the curve. There is none: a resumed run goes on bit for bit.
""",
    "autoregressive": """
* Make the network narrower under **Architecture**: how many parameters does a nat cost?
* Switch on **Log steps**: is the end of learning in sight?
* Stop the run, resume it, and look for the place in the curve. There is none: a resumed run goes on bit for bit.
""",
}

MATHS: dict[Family, str] = {
    "adversarial": r"""
$D$ tells real images from generated ones, $G$ turns noise $z \sim \mathcal N(0, I)$ into images that $D$ takes for real:

$$\min_G \max_D \; V(D, G) = \mathbb E_{x}\big[\log D(x)\big] + \mathbb E_{z}\big[\log(1 - D(G(z)))\big]$$

Against the best $D$ this is $2\,\mathrm{JSD}(p_\text{data} \,\|\, p_G) - \log 4$. Where $D$ is sure, $\log(1 - D(G(z)))$ is flat and $G$ gets no gradient, so in practice $G$
minimises $-\log D(G(z))$ instead (*non-saturating*): the same fixed point, a steep slope where it matters.

A Wasserstein critic $C$ has no sigmoid and a slope of one, held by a penalty at points $\hat x$ between real and generated images; then the first two terms are
the earth mover's distance, with the opposite sign:

$$\min_C \; \mathbb E_{z}\big[C(G(z))\big] - \mathbb E_{x}\big[C(x)\big] + 10 \; \mathbb E_{\hat x}\big[(\lVert \nabla C(\hat x) \rVert - 1)^2\big]$$
""",
    "variational": r"""
Every image has a code $z \sim \mathcal N(0, I)$. The likelihood $p(x) = \int p(x \mid z)\, p(z)\, dz$ cannot be had, a bound on it can:

$$\log p(x) \;\ge\; \underbrace{\mathbb E_{q(z \mid x)}\big[\log p(x \mid z)\big]}_{-\text{reconstruction}} \;-\; \underbrace{\mathrm{KL}\big(q(z \mid x) \,\|\, p(z)\big)}_{\text{KL}}$$

Training minimises reconstruction $+\, \beta\,$KL, in nats per image. The gradient passes through the draw, since $z = \mu + \sigma \epsilon$ with $\epsilon \sim \mathcal N(0, I)$.
""",
    "autoregressive": r"""
The chain rule in raster order, without any approximation:

$$\log p(x) = \sum_{i} \log p(x_i \mid x_1, \dots, x_{i-1})$$

Masked convolutions make all the factors of an image in **one** pass, because in training every $x_j$ is known; drawing takes one pixel after the other.
The loss is $-\log p(x)$ in nats per image. A fair coin for each of 784 binary pixels would cost $784 \ln 2 = 543$ nats.
""",
}
