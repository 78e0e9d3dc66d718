"""Scores equal a direct computation, are about the right form of the data, and say how sure they are."""

import json
import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from genlib.data import Dataset, DatasetInfo
from genlib.errors import GenlibError
from genlib.evaluation import evaluate, likelihood
from genlib.evaluation.likelihood import form_of
from genlib.models import create
from genlib.models.contract import Bound, Config, Model

SHAPE = {"height": 6, "width": 6}
PIXELCNN = {**SHAPE, "hidden": 4, "blocks": 1, "head": 4}
VAE = {**SHAPE, "latent": 2}


def tiny(n: int = 20, side: int = 6, seed: int = 0) -> Dataset:
    """A data set of grey noise."""
    random = np.random.default_rng(seed)
    arrays = {}
    for split in ("train", "test"):
        arrays[f"{split}_images"] = random.integers(0, 256, (n, side, side), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.zeros(n, dtype=np.int64)
    return Dataset(DatasetInfo("tiny", "Tiny", (1, side, side), ("a",), "", ""), arrays)


class Recorded:
    """Remembers what a method is asked and what it answers."""

    def __init__(self, model: Model, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.call, self.images, self.seeds, self.answers = getattr(model, name), [], [], []
        monkeypatch.setattr(model, name, self, raising=False)

    def __call__(self, images: Tensor, *args: Any, seed: int = 0) -> Any:
        self.images.append(images)
        self.seeds.append(seed)
        self.answers.append(self.call(images, *args, seed=seed))
        return self.answers[-1]


def test_exact_likelihood_is_the_mean_of_log_prob() -> None:
    model, data = create("pixelcnn", **PIXELCNN), tiny()
    nll = -model.log_prob(data.binary("test", "threshold")).double()
    scores = evaluate(model, data)
    assert (scores.likelihood, scores.binarisation, scores.images) == ("exact", "threshold", 20)
    assert scores.nll_nats == pytest.approx(float(nll.mean()), rel=1e-6)
    assert scores.standard_error == pytest.approx(float(nll.std()) / math.sqrt(20), rel=1e-5)
    assert scores.bits_per_dim == pytest.approx(scores.nll_nats / math.log(2) / 36)
    assert scores.nats_per_pixel == pytest.approx(scores.nll_nats / 36)
    assert scores.elbo_nats is None
    assert scores.iwae_nats is None


def test_a_class_conditional_model_is_scored_by_its_marginal() -> None:
    model, data = create("gated-pixelcnn", **SHAPE, hidden=4, layers=2, head=4, classes=3), tiny()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3)  # the class matters
    x = data.binary("test", "dynamic")
    nll = -model.log_prob(x).double()  # type: ignore[operator]
    assert (nll + model.log_prob(x, label=0)).abs().max() > 0.1  # type: ignore[operator]
    assert evaluate(model, data).nll_nats == pytest.approx(float(nll.mean()), rel=1e-5)


@pytest.mark.parametrize("levels", [2, 4])
def test_accuracy_counts_the_likeliest_values(levels: int) -> None:
    model, data = create("pixelcnn", **PIXELCNN, levels=levels), tiny()
    grey = data.batch("test", slice(None))
    values = (grey * 255 >= 0.33 * 256).long() if levels == 2 else (data.images("test").long() * levels) // 256
    chances = model.pixel_distribution(data.binary("test", "threshold") if levels == 2 else grey)
    scores = evaluate(model, data)
    assert scores.binarisation == ("threshold" if levels == 2 else None)
    assert scores.levels == (None if levels == 2 else levels)
    assert scores.as_json().get("levels", 2) == levels  # a report says what its bits are about
    assert scores.per_pixel_accuracy == pytest.approx(float((chances.argmax(2) == values).double().mean()))


def test_the_score_does_not_depend_on_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = create("pixelcnn", **PIXELCNN), tiny()
    whole = evaluate(model, data)
    monkeypatch.setattr(likelihood, "BATCH", 7)
    monkeypatch.setattr(likelihood, "PROBABILITIES", 150)
    parts = evaluate(model, data)
    assert parts.nll_nats == pytest.approx(whole.nll_nats, rel=1e-6)
    assert parts.per_pixel_accuracy == whole.per_pixel_accuracy


def test_bound_is_reconstruction_and_kl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "BATCH", 7)
    model, data = create("vae", **VAE, binarisation="dynamic", beta=0.3), tiny()
    bound = Recorded(model, "bound", monkeypatch)
    scores = evaluate(model, data, k=3)
    parts = torch.cat([torch.stack(answer) for answer in bound.answers], 1)
    assert torch.equal(torch.cat(bound.images), data.binary("test", "dynamic"))
    assert scores.likelihood == "bound"
    assert scores.reconstruction_nats == pytest.approx(float(parts[0].mean()), rel=1e-6)
    assert scores.kl_nats == pytest.approx(float(parts[1].mean()), rel=1e-5)
    assert scores.elbo_nats == pytest.approx(scores.reconstruction_nats + scores.kl_nats)  # with beta = 1
    assert scores.bits_per_dim == pytest.approx(scores.elbo_nats / math.log(2) / 36)
    assert scores.nll_nats is None


def test_every_batch_has_noise_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "BATCH", 4)
    model = create("vae", **VAE)
    bound, iwae = Recorded(model, "bound", monkeypatch), Recorded(model, "iwae", monkeypatch)
    evaluate(model, tiny(), k=2, seed=0)
    evaluate(model, tiny(), k=2, seed=1)
    seeds = bound.seeds + iwae.seeds
    assert len(seeds) == len(set(seeds)) == 4 * 5


def test_iwae_on_every_image_is_the_plain_average(monkeypatch: pytest.MonkeyPatch) -> None:
    model = create("vae", **VAE)
    iwae = Recorded(model, "iwae", monkeypatch)
    scores = evaluate(model, tiny(), k=8)
    tight = -torch.cat(iwae.answers).double()
    assert (scores.k, scores.iwae_images) == (8, 20)
    assert scores.iwae_nats == pytest.approx(float(tight.mean()), rel=1e-6)
    assert scores.iwae_standard_error == pytest.approx(float(tight.std()) / math.sqrt(20), rel=1e-5)


def test_more_draws_tighten_the_bound() -> None:
    """ELBO >= IWAE(2) >= IWAE(60) as costs, on an untrained model whose posterior is far off."""
    model = create("vae", **VAE)
    model.encoder.mean.bias.data.fill_(1.5)
    costs = [evaluate(model, tiny(100), k=k, iwae_images=100) for k in (2, 60)]
    assert costs[0].elbo_nats > costs[0].iwae_nats > costs[1].iwae_nats


def test_a_class_conditional_model_is_also_scored_given_the_class() -> None:
    model, data = create("gated-pixelcnn", **SHAPE, hidden=4, layers=2, head=4, classes=3), tiny()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3)  # the class matters
    data.info = replace(data.info, classes=("a", "b", "c"))
    data.classes = data.info.classes
    labels = torch.arange(20) % 3
    data.labels = lambda split: labels
    x = data.binary("test", "dynamic")
    given = torch.stack([model.log_prob(x, label=label) for label in range(3)], 1)  # [N, classes]
    scores = evaluate(model, data)
    assert scores.nll_given_class_nats == pytest.approx(
        -float(given[torch.arange(20), labels].double().mean()), rel=1e-5
    )
    assert "nll_given_class_nats" not in evaluate(create("pixelcnn", **PIXELCNN), tiny()).as_json()


class Known(Model):
    """The brightness of an image's first two pixels says what its two bounds are."""

    Config = Config
    name, title, family, paper, presets, terms = "known", "Known", "variational", "", {}, {}

    def __init__(self) -> None:
        super().__init__(Config(height=1, width=2))
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def bound(self, images: Tensor, *, seed: int = 0) -> Bound:
        elbo = 100 * images[:, 0, 0, 0] + 10 * images[:, 0, 0, 1]
        return Bound(elbo, torch.zeros_like(elbo))

    def elbo(self, images: Tensor, *, seed: int = 0) -> Tensor:
        return -self.bound(images).reconstruction

    def iwae(self, images: Tensor, k: int, *, seed: int = 0) -> Tensor:
        return -100 * images[:, 0, 0, 0]


def test_the_difference_estimate_is_unbiased_and_knows_its_error() -> None:
    """Over many test sets of the same kind: the mean is the truth, and the spread is the reported standard error."""
    truth, found, errors = 50.0, [], []
    model = Known()
    for repeat in range(150):
        images = np.random.default_rng(repeat).integers(0, 256, (100, 1, 2), dtype=np.uint8)
        arrays = {f"{s}_images": images for s in ("train", "test")} | {
            f"{s}_labels": np.zeros(100, np.int64) for s in ("train", "test")
        }
        scores = evaluate(model, Dataset(DatasetInfo("t", "T", (1, 1, 2), (), "", ""), arrays), iwae_images=10)
        assert scores.iwae_images == 10
        found.append(scores.iwae_nats)
        errors.append(scores.iwae_standard_error)
    assert np.mean(found) == pytest.approx(truth, abs=4 * np.std(found) / math.sqrt(150))
    assert np.std(found) == pytest.approx(np.mean(errors), rel=0.2)
    assert np.mean(errors) < 0.5 * 29 / math.sqrt(10)  # far surer than an average over ten images would be


def test_no_images_for_iwae_leaves_it_out() -> None:
    scores = evaluate(create("vae", **VAE), tiny(), iwae_images=0)
    assert scores.iwae_nats is None
    assert scores.k is None
    assert scores.elbo_nats > 0


def test_adversarial_models_have_no_likelihood() -> None:
    found = evaluate(create("gan", **SHAPE), tiny()).as_json()
    assert found["nll_nats"] is None
    assert found["bits_per_dim"] is None
    assert found["reason"] == "no likelihood"
    assert "elbo_nats" not in found


class TestForm:
    CASES: ClassVar[list[tuple[str, dict[str, Any], str | None]]] = [
        ("vae", {"binarisation": "unit"}, "dynamic"),
        ("vae", {"binarisation": "static"}, "static"),
        ("draw", {"binarisation": "unit"}, "dynamic"),
        ("pixelcnn", {"binarisation": "threshold"}, "threshold"),
        ("pixelcnn", {"levels": 16}, None),
        ("gan", {}, None),
    ]

    @pytest.mark.parametrize(("name", "values", "form"), CASES)
    def test_form(self, name: str, values: dict[str, Any], form: str | None) -> None:
        from genlib.models import configure

        assert form_of(configure(name, **values)) == form

    def test_grey_models_are_judged_on_bits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model, data = create("vae", **VAE, binarisation="unit"), tiny()
        bound = Recorded(model, "bound", monkeypatch)
        assert evaluate(model, data, k=2).binarisation == "dynamic"
        assert torch.equal(torch.cat(bound.images), data.binary("test", "dynamic"))


@pytest.mark.parametrize(
    ("name", "values"), [("vae", VAE), ("pixelcnn", PIXELCNN), ("draw", {**SHAPE, "steps": 2, "hidden": 8})]
)
def test_the_same_call_gives_the_same_figures(name: str, values: dict[str, Any]) -> None:
    model, data = create(name, **values), tiny()
    model.train()
    first = evaluate(model, data, k=2)
    torch.rand(3)  # the process's own random numbers do not matter
    assert evaluate(model, data, k=2) == first
    assert model.training
    assert (evaluate(model, data, k=2, seed=5) == first) == (first.likelihood == "exact")


def test_the_first_images_only(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = create("vae", **VAE), tiny()
    bound = Recorded(model, "bound", monkeypatch)
    assert evaluate(model, data, images=6, k=2).images == 6
    assert torch.equal(torch.cat(bound.images), data.binary("test", "dynamic")[:6])
    assert evaluate(model, data, images=600, split="validation", k=2).images == data.size("validation")


def test_progress_ends_at_the_total() -> None:
    seen: list[tuple[int, int]] = []
    for name, values in (("vae", VAE), ("pixelcnn", PIXELCNN)):
        evaluate(create(name, **values), tiny(), k=2, progress=lambda done, total: seen.append((done, total)))
        assert seen[-1][0] == seen[-1][1]


def test_no_nan_in_json() -> None:
    model = create("vae", **VAE)
    for parameter in model.decoder.parameters():
        parameter.data.fill_(float("nan"))
    found = evaluate(model, tiny(), k=2).as_json()
    assert found["elbo_nats"] is None
    json.dumps(found, allow_nan=False)


def test_another_shape_is_refused() -> None:
    with pytest.raises(GenlibError, match=r"shape \(1, 6, 6\).*tiny"):
        evaluate(create("vae", **VAE), tiny(side=5))
