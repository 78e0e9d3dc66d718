"""The generative adversarial metric: its ratios by hand, its verdicts as in the paper, and what it refuses."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from genlib.errors import GenlibError
from genlib.evaluation.gam import gam, verdict
from genlib.models import create
from genlib.models.gan import GAN
from genlib.models.wgan_gp import WGANGP

SHAPE = {"channels": 1, "height": 4, "width": 4}
IMAGES = torch.linspace(0, 1, 101)[:, None, None, None].expand(-1, 1, 4, 4)  # grey values 0, 0.01, ... 1


class Painter(GAN):
    """G paints one grey value, D calls real what is lighter than another one."""

    def __init__(self, grey: float, from_on: float) -> None:
        super().__init__(GAN.Config(**SHAPE, latent=2, generator_width=2, discriminator_width=2))
        self.grey, self.from_on = grey, from_on

    def sample(self, n: int, **_: Any) -> Tensor:
        return torch.full((n, 1, 4, 4), self.grey)

    def discriminate(self, images: Tensor) -> Tensor:
        return (images.mean((1, 2, 3)) > self.from_on - 1e-4).float() * 0.8 + 0.1


class Critic(WGANGP):
    """The same with scores: the mean grey value, a hundred times."""

    def __init__(self, grey: float) -> None:
        super().__init__(WGANGP.Config(**SHAPE, latent=2, generator_width=2, discriminator_width=2))
        self.grey = grey

    def sample(self, n: int, **_: Any) -> Tensor:
        return torch.full((n, 1, 4, 4), self.grey)

    def discriminate(self, images: Tensor) -> Tensor:
        return 100 * images.mean((1, 2, 3)) - 1000


def test_the_ratios_by_hand() -> None:
    """Of 101 grey values the first calls 22 false, the second 25; the second's paint fools the first, not the other way."""
    first, second = Painter(grey=0.1, from_on=0.22), Painter(grey=0.5, from_on=0.25)
    battle = gam(first, second, IMAGES, samples=10)
    assert battle.test_errors == pytest.approx((22 / 101, 25 / 101))
    assert battle.sample_errors == (1.0, 0.0)
    assert battle.r_test == pytest.approx(0.88)
    assert battle.r_sample == math.inf
    assert battle.winner == "second"
    assert (battle.images, battle.samples) == (101, 10)
    assert battle.as_json()["r_sample"] is None


def test_the_players_may_change_seats() -> None:
    first, second = Painter(grey=0.1, from_on=0.22), Painter(grey=0.5, from_on=0.25)
    one, two = gam(first, second, IMAGES, samples=10), gam(second, first, IMAGES, samples=10)
    assert two.test_errors == one.test_errors[::-1]
    assert two.sample_errors == one.sample_errors[::-1]
    assert one.r_test * two.r_test == pytest.approx(1)
    assert {one.winner, two.winner} == {"first", "second"}


def test_a_judge_that_calls_all_false_decides_nothing() -> None:
    """It is never fooled, but it is wrong on every test image, and r_test says so."""
    stubborn, fair = Painter(grey=0.5, from_on=2.0), Painter(grey=0.5, from_on=0.25)
    battle = gam(stubborn, fair, IMAGES, samples=10)
    assert battle.sample_errors == (0.0, 1.0)
    assert battle.r_sample == 0
    assert battle.r_test > 3
    assert battle.winner == "tie"


@pytest.mark.parametrize(
    ("r_test", "r_sample", "winner"),
    [
        (1.0, 0.5, "first"),
        (1.0, 2.0, "second"),
        (1.0, 1.0, "tie"),
        (1.2, 0.5, "first"),
        (1 / 1.2, 0.5, "first"),
        (1.3, 0.5, "tie"),
        (0.7, 2.0, "tie"),
        (math.inf, 0.5, "tie"),
    ],
)
def test_verdicts_as_in_the_paper(r_test: float, r_sample: float, winner: str) -> None:
    assert verdict(r_test, r_sample) == winner


def test_a_model_against_itself_is_a_tie() -> None:
    model = create("gan", **SHAPE, latent=2, generator_width=4, discriminator_width=4).eval()
    battle = gam(model, model, IMAGES, samples=50)
    assert battle.r_test == battle.r_sample == 1
    assert battle.winner == "tie"


def test_a_critic_says_real_above_the_middle_of_its_scores() -> None:
    """Known images have mean grey 0.9, its own samples 0.1: it calls real what is lighter than 0.5."""
    critic, painter = Critic(grey=0.1), Painter(grey=0.6, from_on=0.5)
    battle = gam(critic, painter, IMAGES, samples=10, known=torch.full((5, 1, 4, 4), 0.9))
    assert battle.test_errors[0] == pytest.approx(battle.test_errors[1], abs=0.02)
    assert battle.sample_errors == (1.0, 0.0)
    assert battle.winner == "second"


def test_what_cannot_play_is_one_sentence() -> None:
    painter = Painter(0.1, 0.2)
    for second, images, known, words in [
        (create("vae", **SHAPE), IMAGES, None, ("vae", "two adversarial models")),
        (create("gan", data="mnist"), IMAGES, None, ("(1, 28, 28)", "(1, 4, 4)")),
        (Critic(0.1), IMAGES, None, ("wgan-gp", "known")),
        (painter, IMAGES, torch.zeros(3, 1, 5, 5), ("(1, 5, 5)",)),
    ]:
        with pytest.raises(GenlibError) as error:
            gam(painter, second, images, known=known)
        text = str(error.value)
        assert text.endswith(".")
        assert "\n" not in text
        assert all(word in text for word in words), text
