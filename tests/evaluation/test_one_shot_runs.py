"""One-shot scores: models whose scores are known, and drawings that go where they belong."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from genlib.data import load
from genlib.data.codings import binarise
from genlib.data.one_shot_runs import one_shot_runs
from genlib.data.pairs import next_of_class
from genlib.errors import GenlibError
from genlib.evaluation import evaluate, one_shot
from genlib.models import create
from genlib.models.contract import Bound
from genlib.models.one_shot import OneShot

OMNIGLOT = load("omniglot")
PERSON_15 = [drawing[15:16].float() / 255 for drawing in one_shot.by_drawer(OMNIGLOT, "test")[0]]


class Near(OneShot):
    """log p(x | x') is minus the squared distance, and what it paints is decided by ``paint``."""

    def __init__(self, paint: str = "copy") -> None:
        super().__init__(OneShot.configure("quick", OMNIGLOT.info.shape, hidden=2, latent=1))
        self.paint = paint

    def iwae_given(self, images: Tensor, example: Tensor, k: int, *, seed: int = 0) -> Tensor:
        return -(images - example).square().flatten(1).sum(1)

    def bound_given(self, images: Tensor, example: Tensor, *, seed: int = 0) -> Bound:
        return Bound((images - example).square().flatten(1).sum(1), torch.zeros(len(images)))

    def sample_like(self, example: Tensor, n: int, *, seed: int = 0, temperature: float = 1.0) -> Tensor:
        picture = example if self.paint == "copy" else PERSON_15[0].expand(len(example), -1, -1, -1)
        return picture[:, None].expand(-1, n, -1, -1, -1)


@dataclass
class Nearest:
    """A classifier that knows all pictures of its data."""

    known: Tensor
    labels: Tensor

    def judge(self, images: Tensor) -> Any:
        @dataclass
        class Found:
            classes: Tensor

        nearest = torch.cat(
            [torch.cdist(part.flatten(1), self.known.flatten(1)).argmin(1) for part in images.split(500)]
        )
        return Found(self.labels[nearest])


@pytest.fixture
def judge() -> Any:
    """In the place of one that has to be trained: five drawings of each of 59 characters, and who is nearest."""
    pictures, labels = one_shot.by_drawer(OMNIGLOT, "test")

    numbers = torch.arange(len(labels)).repeat_interleave(one_shot.DRAWERS - one_shot.TRAINED)

    class Held:
        classes = OMNIGLOT.classes[: len(pictures)]

        def batch(self, split: str, rows: slice) -> Tensor:
            return pictures[:, one_shot.TRAINED :].flatten(0, 1).float() / 255

        def labels(self, split: str) -> Tensor:
            return numbers

    held = Held()
    return Nearest(binarise(held.batch("test", slice(None)), "threshold"), held.labels("test")), held


def test_the_runs_are_lakes() -> None:
    runs = one_shot_runs()
    assert runs.support.shape == runs.query.shape == (20, 20, 1, 28, 28)
    for answers in runs.answers:
        assert answers.sort().values.tolist() == list(range(20))
    assert 0 <= runs.query.min() < runs.query.max() <= 1
    mine = {bytes(picture) for picture in (runs.support.flatten(0, 1) * 255).byte().flatten(1).numpy()}
    for split in ("train", "validation", "test"):  # none of these drawings is one that a model has learned
        assert not mine & {bytes(picture) for picture in OMNIGLOT.images(split).flatten(1).numpy()}


def test_the_likeliest_support_is_the_answer() -> None:
    runs = one_shot_runs()
    log_p = one_shot.log_likelihoods(Near(), runs.query[0], runs.support[0])
    distance = torch.cdist(runs.query[0].flatten(1), runs.support[0].flatten(1)).square()
    torch.testing.assert_close(log_p, -distance, atol=1e-3, rtol=1e-4)
    found = one_shot.classify_runs(Near())
    by_hand = [
        torch.cdist(query.flatten(1), support.flatten(1)).argmin(1).eq(answers).double().mean()
        for query, support, answers in zip(*runs[1::-1], runs.answers, strict=True)
    ]
    assert found.accuracy == pytest.approx(float(torch.stack(by_hand).mean()))
    assert found.accuracy > 3 * found.chance  # pixels alone say something
    assert found.chance == 0.05


def test_the_posterior_sums_to_one() -> None:
    log_p = torch.tensor([[-800.0, -801.0, -900.0]])
    found = one_shot.posterior(log_p)
    assert found.sum(1).item() == pytest.approx(1)
    assert (found[0, 0] / found[0, 1]).item() == pytest.approx(torch.e)


def test_a_copyist_is_as_good_as_the_floor_and_has_no_spread(judge: Any) -> None:
    found = one_shot.judge_samples(Near("copy"), OMNIGLOT, samples=2, judge=judge)
    assert found.recognised == found.floor == 1.0
    assert found.spread == 0.0
    assert (found.characters, found.examples) == (59, 5)
    assert found.over_chance == pytest.approx(59)


def test_one_picture_for_all_is_chance(judge: Any) -> None:
    found = one_shot.judge_samples(Near("same"), OMNIGLOT, samples=2, judge=judge)
    assert found.recognised == pytest.approx(found.chance)
    assert found.over_chance == pytest.approx(1)


def test_other_peoples_drawings_have_a_spread_of_one() -> None:
    shown = torch.rand(3, 5, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    others = torch.stack([torch.stack([shown[:, j] for j in range(5) if j != i], 1) for i in range(5)], 1)
    assert one_shot._spread(others, shown) == pytest.approx(1)


def test_drawings_are_apart_by_the_people_who_drew_them() -> None:
    pictures, labels = one_shot.by_drawer(OMNIGLOT, "test")
    assert pictures.shape == (59, 20, 1, 28, 28)
    assert torch.equal(pictures[7], OMNIGLOT.images("test")[OMNIGLOT.labels("test") == labels[7]])


def test_the_next_image_of_a_class() -> None:
    labels = torch.tensor([4, 2, 4, 4, 2, 9])
    assert next_of_class(labels).tolist() == [2, 4, 3, 0, 1, 5]
    assert next_of_class(torch.tensor([7, 7, 7])).tolist() == [1, 2, 0]
    assert next_of_class(torch.tensor([7])).tolist() == [0]


def test_evaluate_gives_the_bound_given_an_example() -> None:
    found = evaluate(Near(), OMNIGLOT, images=30, iwae_images=0)
    x = OMNIGLOT.binary("test", "threshold", 30)
    partner = torch.tensor([*range(1, 20), 0, *range(21, 30), 20])
    wanted = (x - x[partner]).square().flatten(1).sum(1).mean()
    assert found.elbo_given_example_nats == pytest.approx(float(wanted))
    assert "elbo_given_example_nats" in found.as_json()


def test_other_models_and_data_are_one_sentence() -> None:
    with pytest.raises(GenlibError, match=r"^draw takes no example, so it has no one-shot scores: choose"):
        one_shot.scores(create("draw", "quick", "omniglot"), OMNIGLOT)
    with pytest.raises(GenlibError, match=r"and mnist has none: choose a model that is trained on omniglot\.$"):
        one_shot.scores(create("one-shot", "quick", "mnist"), load("mnist"))
