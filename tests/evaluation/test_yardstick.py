"""The yardstick tells good from bad: real images, copies, blur and collapse each get the figures they deserve."""

import json
import math
from typing import Any, ClassVar

import pytest
import torch
from small_judge import SIDE, bars, small_judge
from torch import Tensor

from genlib.data import Dataset, DatasetInfo
from genlib.errors import GenlibError
from genlib.evaluation import Quality, quality, real_quality, yardstick
from genlib.evaluation.forms import sample_form
from genlib.models import create
from genlib.models.contract import Config, Model


class Given(Model):
    """A model that "draws" given images, other ones for each seed."""

    Config: ClassVar[type[Config]] = Config
    name, title, family, paper = "given", "Given", "adversarial", "none"
    presets: ClassVar[dict[str, Any]] = {}
    terms: ClassVar[dict[str, str]] = {}

    def __init__(self, images: Tensor) -> None:
        super().__init__(self.configure(shape=(1, SIDE, SIDE)))
        self.images = images
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
        rows = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(seed))
        return self.images[rows.repeat(1 + n // len(rows))[:n]]


DATA, JUDGE = bars(), small_judge()


def measured(images: Tensor, samples: int = 200, **options: Any) -> Quality:
    return quality(Given(images), DATA, samples=samples, judge=JUDGE, **options)


def new_images() -> Tensor:
    return bars(seed=7).batch("test", slice(None))


def test_new_real_images_are_as_good_as_can_be() -> None:
    found = measured(new_images())
    floor = real_quality(DATA, form="grey", samples=200, judge=JUDGE)
    assert found.frechet < 2 * floor.frechet + 1e-3
    assert found.precision > 0.85
    assert found.recall > 0.85
    assert found.density == pytest.approx(1, abs=0.15)
    assert found.coverage > 0.9
    assert found.sharpness == pytest.approx(1, abs=0.05)
    assert not found.memorised
    assert (found.data, found.form, found.judge, found.samples, found.reference) == (
        "bars",
        "grey",
        "12345678",
        200,
        240,
    )


def test_training_images_in_the_place_of_samples_are_flagged() -> None:
    """They pass every other measure, which is why this one is there."""
    found = measured(DATA.batch("train", slice(None)))
    assert found.memorised
    assert found.copies > 0.9
    assert found.precision > 0.85


def test_collapse_blur_and_noise_each_show() -> None:
    real = measured(new_images())
    collapsed = measured(new_images()[:1].expand(50, -1, -1, -1))
    blurred = measured(torch.nn.functional.avg_pool2d(new_images(), 3, 1, 1))
    noise = measured(torch.rand(200, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)))
    assert collapsed.recall < 0.05
    assert collapsed.coverage < 0.5 * real.coverage
    assert collapsed.class_entropy == 0
    assert collapsed.class_ratio is None
    assert blurred.sharpness < 0.5
    assert noise.sharpness > 1
    assert min(found.frechet for found in (collapsed, blurred, noise)) > 3 * real.frechet


def test_bits_are_not_punished_for_being_bits() -> None:
    """A model of bits is held against bits: the very same pictures against grey ones would be far away."""
    model = create("pixelcnn", height=SIDE, width=SIDE, hidden=4, blocks=0, head=4, binarisation="dynamic")
    assert sample_form(model.config) == "dynamic"
    found = quality(model, DATA, samples=40, judge=JUDGE)
    assert found.form == "dynamic"
    grey = new_images()
    as_bits = measured(grey, form="dynamic")
    bits = (torch.rand(grey.shape, generator=torch.Generator().manual_seed(3)) < grey).float()
    assert as_bits.form == "dynamic"
    assert as_bits.sharpness == pytest.approx(1, abs=0.1)
    assert measured(bits).frechet > 3 * measured(bits, form="dynamic").frechet


def test_grey_cannot_be_made_of_bits() -> None:
    model = create("pixelcnn", height=SIDE, width=SIDE, hidden=4, blocks=0, head=4)
    with pytest.raises(GenlibError, match=r"draws threshold bits, which cannot be brought into the form 'grey'"):
        quality(model, DATA, samples=40, judge=JUDGE, form="grey")


def test_the_same_call_gives_the_same_figures() -> None:
    a, b = (measured(new_images(), 60).as_json() for _ in range(2))
    times = {"seconds", "samples_per_second"}
    assert {key: value for key, value in a.items() if key not in times} == {
        key: value for key, value in b.items() if key not in times
    }


def test_parts_have_noise_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yardstick, "PART", 25)
    asked: list[tuple[int, int]] = []

    class Recorded(Given):
        def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
            asked.append((n, seed))
            return super().sample(n, seed=seed)

    quality(Recorded(new_images()), DATA, samples=60, seeds=(0, 1), judge=JUDGE)
    assert [n for n, _ in asked] == [25, 25, 10] * 2
    assert len({seed for _, seed in asked}) == 6


def test_one_seed_gives_intervals_by_groups_and_several_by_seeds() -> None:
    one = measured(new_images())
    assert "jackknife" in one.interval
    assert set(one.intervals) == set(yardstick.MEASURES)
    several = measured(new_images(), 100, seeds=(0, 1, 2))
    singles = [measured(new_images(), 100, seeds=(seed,)) for seed in (0, 1, 2)]
    values = torch.tensor([single.frechet for single in singles]).double()
    assert several.frechet == pytest.approx(float(values.mean()))
    assert several.intervals["frechet"] == pytest.approx(4.303 * float(values.std()) / math.sqrt(3))
    assert "3 seeds" in several.interval
    assert sum(several.class_counts) == 300


def test_quality_goes_into_json_and_back() -> None:
    found = measured(new_images(), 60)
    value = json.loads(json.dumps(found.as_json()))
    assert Quality.from_json(value).as_json() == value
    assert Quality.from_json(value).scale == found.scale
    with pytest.raises(GenlibError, match="damaged"):
        Quality.from_json({"seeds": [0], "class_counts": [1], "frechet": 1})


def test_the_bar_arrives() -> None:
    seen: list[tuple[int, int]] = []
    measured(new_images(), 60, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == 66
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_what_cannot_be_measured_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    with pytest.raises(GenlibError, match="3 samples cannot be measured: at least 20"):
        measured(new_images(), 3)
    with pytest.raises(GenlibError, match="No seed"):
        measured(new_images(), seeds=())
    other = Dataset(DatasetInfo("other", "Other", (1, 4, 4), ("a", "b"), "", ""), {
        f"{split}_{kind}": value for split in ("train", "test")
        for kind, value in (("images", torch.zeros(30, 4, 4).byte().numpy()), ("labels", torch.zeros(30).long().numpy()))
    })  # fmt: skip
    with pytest.raises(GenlibError, match="measure it on the data it was trained on"):
        quality(Given(new_images()), other, samples=40, judge=JUDGE)
    monkeypatch.setenv("GENLIB_JUDGES", str(tmp_path))
    with pytest.raises(GenlibError, match="genlib judge train bars"):
        quality(Given(new_images()), DATA, samples=40)
