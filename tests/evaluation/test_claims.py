"""A claim is judged by the figures of the checkpoints given, on one scale, and left open without them."""

from dataclasses import replace

import pytest

from genlib.evaluation import Quality
from genlib.evaluation.claims import judge
from genlib.evaluation.comparison import Row
from genlib.evaluation.rate_distortion import Point
from genlib.evaluation.verdicts import Contender, Verdict, rises

GREY = Quality(
    data="mnist", split="test", form="grey", judge="aa", samples=100, seeds=(0,), reference=1000, frechet=20.0,
    precision=0.8, recall=0.8, density=1.0, coverage=0.9, class_counts=(50, 50), class_entropy=0.693, class_ratio=1.0,
    sharpness=1.0, nearest_ratio=1.0, copies=0.01, memorised=False, interval="95 %", intervals={"frechet": 1.0, "sharpness": 0.02},
)  # fmt: skip
BITS = replace(GREY, form="dynamic")
REAL = Row("real images", "data", "mnist", replace(BITS, precision=0.9))
WANDERING, FALLING = (3.0, 2.0, 3.0, 2.0, 3.0), (9.0, 5.0, 4.0, 4.1, 3.0)


def contender(
    model: str, family: str, quality: Quality | None = None, nats: float | None = None, **values
) -> Contender:
    name, exact = (
        "nll_nats" if family == "autoregressive" else "elbo_nats",
        {"binarisation": values.pop("form", "dynamic")},
    )
    row = Row(
        values.pop("name", f"{model}-mnist"),
        family,
        "mnist",
        quality,
        {name: nats, **exact} if nats else {"nll_nats": None},
    )
    return Contender(row, model, 784, **values)


PIXELCNN = contender("pixelcnn", "autoregressive", replace(BITS, frechet=90.0), 84.0, draw_seconds=0.01, step_seconds=0.001,
                     sees="blind spot", curves=(FALLING,) * 3)  # fmt: skip
ROW = contender("row-lstm", "autoregressive", replace(BITS, frechet=60.0, precision=0.85), 83.0, draw_seconds=0.02,
                step_seconds=0.002, sees="triangle")  # fmt: skip
DIAGONAL = contender("diagonal-bilstm", "autoregressive", replace(BITS, frechet=6.0, precision=0.9), 80.5, draw_seconds=0.03,
                     step_seconds=0.003, sees="full past")  # fmt: skip
GATED = contender("gated-pixelcnn", "autoregressive", None, 82.0, draw_seconds=0.02, sees="full past")
GAN = contender(
    "gan",
    "adversarial",
    replace(GREY, class_counts=(90, 10), sharpness=1.05),
    draw_seconds=0.001,
    curves=(WANDERING,) * 3,
)
DCGAN = contender("dcgan", "adversarial", replace(GREY, frechet=40.0, sharpness=1.05), draw_seconds=0.001)
VAE = contender("vae", "variational", replace(GREY, frechet=170.0, sharpness=0.2), 155.0, draw_seconds=0.001, code=2)
DRAW = contender("draw", "variational", replace(GREY, frechet=39.0, sharpness=0.6), 93.0, draw_seconds=0.004)
PLAIN = contender("draw-noattn", "variational", None, 97.0, draw_seconds=0.004)
ALL = (PIXELCNN, ROW, DIAGONAL, GATED, GAN, DCGAN, VAE, DRAW, PLAIN)


def parts(*contenders: Contender) -> dict[str, Verdict]:
    found = [part for claim in judge(contenders, [REAL]) for part in claim.parts]
    return {f"{part.part}{' (GAN)' if 'unstable' in part.part else ''}": part for part in found}


def test_what_the_literature_says_holds_for_figures_like_its_own() -> None:
    claims = judge(ALL, [REAL])
    assert [claim.holds for claim in claims] == [True] * 6 + [None, True]
    assert len(claims) == 8  # the seven of the model book, and what the architectures see
    assert "conv-draw" in claims[6].parts[0].measured


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("Training is stable", replace(PIXELCNN, curves=(WANDERING,) * 3)),
        ("The best likelihood", contender("draw", "variational", None, 70.0)),
        ("Slow to draw from", replace(GAN, draw_seconds=9.0)),
        ("No code of an image", replace(GATED, code=10)),
        ("Sharpness nearest to real images'", contender("draw", "variational", replace(GREY, sharpness=1.0))),
        ("Smallest Frechet distance", contender("draw", "variational", replace(GREY, frechet=3.0))),
        ("Training is unstable (GAN)", replace(GAN, curves=(FALLING,) * 3)),
        ("Classes get lost", contender("gan", "adversarial", GREY)),
        ("A low-dimensional code", replace(VAE, code=400)),
        ("Blurred pictures", contender("vae", "variational", replace(GREY, sharpness=0.99))),
        ("Order of training times", replace(ROW, step_seconds=0.01)),
        ("Order of drawing times", replace(PIXELCNN, draw_seconds=1.0)),
        ("Order of likelihoods", contender("row-lstm", "autoregressive", None, 70.0)),
        ("Dense GAN: smaller Frechet distance than DCGAN", contender("dcgan", "adversarial", replace(GREY, frechet=4.0))),
        ("PixelRNN: crisp (precision near real images')", contender("row-lstm", "autoregressive", replace(BITS, precision=0.4))),
        ("PixelCNN: larger Frechet distance than PixelRNN", contender("pixelcnn", "autoregressive", replace(BITS, frechet=9.0))),
        ("Attention lowers the bound", contender("draw-noattn", "variational", None, 90.0)),
        ("PixelCNN: a blind spot, however deep", replace(PIXELCNN, sees="full past")),
        ("Diagonal BiLSTM: the whole past", replace(DIAGONAL, sees="quadrant")),
    ],
)  # fmt: skip
def test_other_figures_refute_a_part_and_with_it_the_claim(part: str, changed: Contender) -> None:
    given = [changed if one.model == changed.model else one for one in ALL]
    assert parts(*ALL)[part].holds is True
    found = parts(*given)[part]
    assert found.holds is False, found
    assert changed.name in found.used
    assert [claim.holds for claim in judge(given, [REAL]) if found in claim.parts] == [False]


def test_without_figures_everything_is_open() -> None:
    assert {verdict.holds for verdict in parts().values()} == {None}
    assert all(claim.holds is None for claim in judge([]))
    bare = [contender(one.model, one.family) for one in ALL]
    found = parts(*bare)
    assert {name for name, verdict in found.items() if verdict.holds is not None} == {"No code of an image"}


def test_figures_on_two_scales_are_not_held_against_each_other() -> None:
    easier = contender(
        "pixelcnn", "autoregressive", replace(GREY, form="threshold", frechet=1.0), 67.0, form="threshold"
    )
    found = parts(easier, ROW, DIAGONAL)
    assert found["Order of likelihoods"].holds is None
    assert "67" not in found["Order of likelihoods"].measured
    assert "pixelcnn-mnist: another form" in found["Order of likelihoods"].measured
    assert found["PixelCNN: larger Frechet distance than PixelRNN"].holds is None
    both = parts(easier, replace(PIXELCNN, row=replace(PIXELCNN.row, name="pixelcnn-mnist-dynamic")), ROW, DIAGONAL)
    assert both["Order of likelihoods"].holds is True
    assert "pixelcnn-mnist" not in both["Order of likelihoods"].used


def test_a_difference_within_its_interval_decides_nothing() -> None:
    near = contender("dcgan", "adversarial", replace(GREY, frechet=21.3))
    part = "Dense GAN: smaller Frechet distance than DCGAN"
    assert parts(GAN, near)[part].holds is None  # 1.3 apart, each known to 1: the difference to 1.41
    far = contender("dcgan", "adversarial", replace(GREY, frechet=21.5))
    assert parts(GAN, far)[part].holds is True


def test_the_tighter_bound_stands_for_a_variational_model() -> None:
    tight = replace(DRAW, row=replace(DRAW.row, scores={**DRAW.row.scores, "iwae_nats": 79.0}))
    found = parts(DIAGONAL, tight)["The best likelihood"]
    assert found.holds is False
    assert "≤ 79.00" in found.measured


def test_two_curves_say_nothing_about_stability() -> None:
    assert parts(replace(PIXELCNN, curves=(FALLING,) * 2))["Training is stable"].holds is None


def test_the_share_of_a_way_that_goes_up() -> None:
    assert rises((5.0, 4.0, 2.0)) == 0
    assert rises((1.0, 2.0, 1.0, 2.0, 1.0)) == 0.5
    assert rises((4.0, 1.0, 2.0)) == pytest.approx(0.25)
    assert rises((3.0,)) == rises((3.0, 3.0)) == 0


def point(coder: str, budget: float, psnr: float, above: float = 0.0) -> Point:
    return Point(coder, False, budget, budget, above, psnr, 0.5, 0.5)


@pytest.mark.parametrize(("ours", "holds"), [(18.0, True), (16.0, False)])
def test_jpeg_is_beaten_or_not_at_the_fewest_bits_that_it_can_do_with(ours: float, holds: bool) -> None:
    curve = (
        point("conv-draw WoPV", 153, 15.0), point("JPEG", 153, 17.0, above=1.0),  # none of JPEG's files is so small
        point("conv-draw WoPV", 307, ours), point("JPEG", 307, 17.0),
        point("conv-draw WoPV", 612, 30.0 - ours), point("JPEG", 612, 20.0),
    )  # fmt: skip
    found = parts(contender("conv-draw", "variational", distortion=curve))["Less distortion at equal bits"]
    assert found.holds is holds
    assert "at 307 bits" in found.measured
    assert parts(contender("conv-draw", "variational"))["Less distortion at equal bits"].holds is None
