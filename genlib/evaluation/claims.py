"""What the literature says of the families, held against what is measured here: `judge`.

A claim has parts, each with a verdict that `genlib.evaluation.verdicts` computes from the figures of the checkpoints given. The claims about
PixelCNN and the two PixelRNNs are those of van den Oord et al. 2016 (arXiv:1601.06759, sections 3 and 5).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from genlib.evaluation import verdicts
from genlib.evaluation.comparison import Row
from genlib.evaluation.verdicts import ADVERSARIAL, AUTOREGRESSIVE, PIXELRNNS, Contender, Verdict


@dataclass(frozen=True)
class Claim:
    """What the literature says, and a verdict for each part."""

    text: str
    parts: tuple[Verdict, ...]

    @property
    def holds(self) -> bool | None:
        """False if a part does not hold, True if all do, else None."""
        found = [part.holds for part in self.parts]
        return False if False in found else None if None in found else True


def judge(contenders: Sequence[Contender], floors: Sequence[Row] = ()) -> list[Claim]:
    """The claims, with the verdicts that these checkpoints of one data set allow. ``floors``: rows of real images."""
    return [
        Claim(
            "Autoregressive models: stable training, the best likelihood, slow sampling, no code",
            (
                verdicts.curves("Training is stable", contenders, AUTOREGRESSIVE, steady=True),
                verdicts.best_likelihood(contenders),
                verdicts.slow(contenders),
                verdicts.no_code(contenders),
            ),
        ),
        Claim(
            "GANs: the sharpest pictures, unstable training",
            (
                verdicts.best_of_family("Sharpness nearest to real images'", contenders, verdicts.blur, "sharpness", 2),
                verdicts.best_of_family("Smallest Frechet distance", contenders, verdicts.frechet, "frechet", 1),
                verdicts.curves("Training is unstable", contenders, ADVERSARIAL, steady=False),
                verdicts.modes(contenders),
            ),
        ),
        Claim(
            "VAEs: a low-dimensional code, blurred pictures",
            (verdicts.small_code(contenders), verdicts.blurred(contenders)),
        ),
        Claim(
            "PixelCNN: fastest, worst likelihood; Row LSTM: slow; Diagonal BiLSTM: slowest, best likelihood",
            (
                verdicts.order_of_times("Order of training times", contenders, lambda one: one.step_seconds),
                verdicts.order_of_times("Order of drawing times", contenders, lambda one: one.draw_seconds),
                verdicts.order_of_likelihoods(contenders),
            ),
        ),
        Claim(
            "The dense GAN beats the DCGAN on MNIST; PixelRNN is crisp; the plain PixelCNN is poor",
            (
                verdicts.smaller("Dense GAN: smaller Frechet distance than DCGAN", contenders, ("gan",), ("dcgan",)),
                verdicts.crisp(contenders, floors),
                verdicts.smaller(
                    "PixelCNN: larger Frechet distance than PixelRNN", contenders, PIXELRNNS, ("pixelcnn",)
                ),
            ),
        ),
        Claim("DRAW with attention beats DRAW without", (verdicts.attention(contenders),)),
        Claim("Convolutional DRAW beats JPEG at very low rates", (verdicts.compression(contenders),)),
        Claim(
            "PixelCNN has a blind spot and Row LSTM sees a triangle; Gated PixelCNN and Diagonal BiLSTM see all that is earlier",
            (
                verdicts.sight("PixelCNN: a blind spot, however deep", contenders, "pixelcnn", everything=False),
                verdicts.sight("Row LSTM: never the whole past", contenders, "row-lstm", everything=False),
                verdicts.sight("Gated PixelCNN: the whole past", contenders, "gated-pixelcnn", everything=True),
                verdicts.sight("Diagonal BiLSTM: the whole past", contenders, "diagonal-bilstm", everything=True),
            ),
        ),
    ]
