"""What the GAN stage says at its end: what to notice, what to try, the maths, and the code of the current view."""

from genlib.ui import gan_stage
from genlib.ui.gan_stage import Settings

NOTICE = {
    gan_stage.STAGE: """
* **Two players, and neither loss says how good the pictures are.** Each loss depends on the other player: D's falls when D gets
  better *or* G worse. Look at the wall, and at the two histograms.
* **Step D alone, and the histograms part**: D(x) goes to 1 and D(G(z)) to 0. The wall stands still, since only D has learned.
* **Step G alone, and the bars under the pictures turn blue**: G finds what D believes, which need not look like a digit.
* **A good game is one that nobody wins**: both histograms lie over each other, near a half (for a critic: near each other).
* **The meter says whether G draws many things or one.** Fresh weights draw grey noise whatever the noise z; mode collapse looks
  the same on the meter, but each picture is sharp.
* The bar under a picture is the verdict on that very picture: blue, it is taken for real; orange, it is not. A critic's scores have no
  scale of their own, so its bars are placed between what it says of a crowd of generated and of real ones.
""",
    gan_stage.NOISE: """
* **There are no gaps.** Every point between two noises is a picture; digits melt into each other, and D's verdict often dips half way,
  where the picture is neither.
* **The straight way cuts the corner.** Noise of many dimensions lies on a shell: nearly all z have the same length. The middle of a
  straight line is shorter than any z that G has seen; the arc stays on the shell.
* **Arithmetic**: a - b + c moves c by what makes a differ from b. It works where directions mean the same everywhere, and only there.
""",
    gan_stage.QUIZ: """
* **What gives a picture away?** Strokes that end in nothing, a speck beside the digit, edges that are too soft or too even.
* **D looks with other eyes.** It often knows pictures that fool you, and falls for ones that you would never take for real: it learned
  the marks of *this* G, not what a digit is.
* **The lower your score, the better G.** At 6 of 12 you might as well toss a coin.
""",
}

ATTEMPT = {
    gan_stage.STAGE: """
* Press **Step D** ten times, then **Step G** ten times, and watch the two histograms meet and part.
* Train only D for 100 steps, then only G: does G still learn, now that D is sure? Try it with the loss *minimax* of the preset
  *strong-discriminator*.
* Press **Play**, stop when strokes appear, and drag the player back to the first wall: every place keeps its noise, so you can follow one
  picture.
* Choose the preset **mode-collapse**: its cure runs beside it with the same seed and the same data. Which step does the meter part at?
* Start from a **Checkpoint** with the preset *mode-collapse*, and spoil a good generator within a minute.
* **wgan-gp**: the estimate of the earth mover's distance first rises, as the critic learns to see, and then falls with the pictures.
""",
    gan_stage.NOISE: """
* Switch **Straight** on and look at the middle of each row.
* Take more seeds: where does the way between two digits pass through a third?
* **Arithmetic**: choose a and b to be the same digit, thick and thin, and c another one. Does c become thick?
* Take a = b. The result must be c.
""",
    gan_stage.QUIZ: """
* Play a round with each model. Which one fools you most? Which one fools its own D?
* Play the same seed again a day later, or let your neighbour play it: the pictures are the same.
* Take ten seconds a picture, then one second. What do you lose?
""",
}

GAME = r"""
D gives the probability that an image is real, and climbs, while G moves against it (Goodfellow et al. 2014, eq. 1):

$$V(D, G) = \mathbb E_x[\log D(x)] + \mathbb E_z[\log(1 - D(G(z)))], \qquad
\text{G: minimise } -\mathbb E_z[\log D(G(z))] \text{ or } \mathbb E_z[\log(1 - D(G(z)))]\ \text{(minimax)}.$$

**Step D**: one step of Adam on D's weights down $-V$, with $m$ real images and $m$ fresh $G(z)$. **Step G**: one step on G's weights, D being fixed.
Against the best D, $V = 2\,\mathrm{JSD} - \log 4$, so $(V + \log 4)/2$ estimates the Jensen-Shannon divergence from below; a D that is not the
best gives too little, even less than 0.

A critic has no sigmoid (Arjovsky et al. 2017, eq. 2). It climbs $\mathbb E_x[C(x)] - \mathbb E_z[C(G(z))]$ with its slope held near 1, and this difference
estimates the earth mover's distance.

**The meter** is the mean Euclidean distance of two generated pictures, divided by that of two real ones:

$$\frac{\mathbb E\,\lVert G(z) - G(z') \rVert}{\mathbb E\,\lVert x - x' \rVert}.$$

It is 0 when G draws one picture only, and 1 when pictures differ as real ones do. It looks at pixels: it cannot tell which kinds are missing.
"""

SPHERE = r"""
For $z \sim \mathcal N(0, I)$ in $d$ dimensions, $\lVert z \rVert^2$ has mean $d$ and standard deviation $\sqrt{2d}$: nearly all noise lies on a shell of radius $\sqrt d$.
The straight way $(1-t)\,z_0 + t\,z_1$ has length $\sqrt{d\,((1-t)^2 + t^2)}$, in the middle only $\sqrt{d/2}$. The arc (White 2016, arXiv:1609.04468)

$$z_t = \frac{\sin((1-t)\,\omega)}{\sin \omega}\, z_0 + \frac{\sin(t\,\omega)}{\sin \omega}\, z_1, \qquad \cos\omega = \frac{z_0 \cdot z_1}{\lVert z_0 \rVert \lVert z_1 \rVert}$$

keeps to it. The sum $a - b + c$ of three independent noises has length $\sqrt{3 d}$, off the shell, so here it is brought back to $c$'s length.
Radford et al. 2016 (arXiv:1511.06434, section 6.3.2) took the mean of three samples for each of the three; single ones are less steady.
"""

EYE = r"""
With as many real as generated pictures, the best judge says "real" where $p_{data}(x) > p_G(x)$. It is right with probability

$$\tfrac12 + \tfrac12\, \mathrm{TV}(p_{data}, p_G), \qquad \mathrm{TV} = \tfrac12 \int \lvert p_{data}(x) - p_G(x) \rvert \, dx,$$

so a score of a half is what nobody can beat once $p_G = p_{data}$. Twelve pictures say little: by tossing a coin, one round in five has 8 right or more.
D is taken to say "real" where its probability is at least a half, a critic where its score is nearer to what it says of real ones than of generated ones.
"""

MATHS = {gan_stage.STAGE: GAME, gan_stage.NOISE: SPHERE, gan_stage.QUIZ: EYE}


def code(s: Settings, chosen: tuple[int, int, int] = (0, 1, 2)) -> str:
    """The lines that give the current view. ``chosen``: the three samples of the arithmetic."""
    if s.pair is not None:
        return _stage(s)
    lines = f'import genlib\n\nmodel = genlib.load("{s.checkpoint}")\n'
    if s.view == gan_stage.QUIZ:
        return (
            "import genlib\nfrom genlib import data\nfrom genlib.ui.gan_stage_round import make_round\n\n"
            f'model = genlib.load("{s.checkpoint}")\n'
            f'quiz = make_round(model, data.load("{s.data}"), seed={s.seed})\n'
            "quiz.images, quiz.real, quiz.verdicts  # [12, C, H, W] in [0, 1], the truth, what the judge says"
        )
    if s.way == gan_stage.ARITHMETIC:
        a, b, c = chosen
        return (
            lines.replace("import genlib\n", "import genlib\nfrom genlib.ui.gan_stage_noise import GALLERY, combine\n")
            + f"z = model.noise(GALLERY, model.generator({s.seed}))\n"
            f"images = model.decode(combine(z[{a}], z[{b}], z[{c}]))  # [9, C, H, W]: from c to a - b + c\n"
            "model.discriminate(images)  # the verdicts"
        )
    return (
        lines.replace("import genlib\n", "import genlib\nfrom genlib.ui.gan_stage_noise import ANCHORS, between\n")
        + f"z = model.noise(ANCHORS, model.generator({s.seed}))\n"
        "images = model.decode(between(z[0], z[1]))  # [9, C, H, W]: the first row\n"
        "model.discriminate(images)  # the verdicts"
    )


def _stage(s: Settings) -> str:
    pair = s.pair
    assert pair is not None
    head = "from genlib.ui.gan_stage_game import Game, advance\n\n"
    if pair.weights is None:
        made = f'game = Game.fresh("{pair.kind.name}", "{pair.preset}", "{pair.data}", seed={s.seed})\n'
    else:
        base = pair.kind.configure(None, pair.config.shape).model_dump()
        values = {name: value for name, value in pair.config.model_dump().items() if value != base[name]}
        head = (
            "from genlib.models import get\nfrom genlib.training.checkpoint import find\n"
            "from genlib.ui.gan_stage_game import Game, advance\n\n"
        )
        made = (
            f'kind = get("{pair.kind.name}")\nconfig = kind.validate_config({values!r})\n'
            f'game = Game.of(kind, config, "{pair.data}", seed={s.seed}, weights=find("{pair.weights}"))\n'
        )
    lines, games = head + made, "game"
    if pair.beside and pair.weights is None:
        changes = "".join(f", {name}={value!r}" for name, value in pair.beside.values.items())
        lines += f'cured = Game.fresh("{pair.kind.name}", "{pair.preset}", "{pair.data}", seed={s.seed}{changes})\n'
        games = "game, cured"
    elif pair.beside:
        lines += (
            f"cured = Game.of(kind, kind.validate_config({{**config.model_dump(), **{dict(pair.beside.values)!r}}}), "
            f'"{pair.data}", seed={s.seed}, weights=find("{pair.weights}"))\n'
        )
        games = "game, cured"
    return (
        lines + f'advance([{games}], "both", count=10, seconds=60)  # or "D", "G": the buttons\n'
        "game.look()\n"
        "game.frames[-1].fakes, game.frames[-1].on_fakes  # the wall, and D's verdict on each picture\n"
        "game.curves, game.variety  # losses over the steps, the meter"
    )
