"""Speed is measured after a warm-up, bounded in time, and its figures agree. The clock here is ours."""

from typing import Any

import pytest
import torch
from torch import Tensor

from genlib.evaluation import measure, parameters, planned_parameters, speed, training_seconds
from genlib.models import catalogue, create
from genlib.models.contract import Config, Model


class Slow(Model):
    """Drawing takes the seconds it is told, one after the other; a validation step takes one."""

    Config = Config
    name, title, family, paper, presets, terms = "slow", "Slow", "adversarial", "", {}, {}

    def __init__(self, durations: list[float]) -> None:
        super().__init__(Config(height=2, width=2))
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.durations, self.now, self.seeds = durations, 0.0, []

    def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
        self.now += self.durations[len(self.seeds)]
        self.seeds.append(seed)
        return torch.zeros(n, 1, 2, 2)

    def validation_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        assert images.shape == (4, 1, 2, 2)
        self.now += 1
        return {}


def clocked(monkeypatch: pytest.MonkeyPatch, durations: list[float], **options: Any) -> tuple[speed.Speed, Slow]:
    model = Slow(durations)
    monkeypatch.setattr(speed.time, "perf_counter", lambda: model.now)
    return measure(model, 4, **options), model


def test_median_and_minimum_without_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found, model = clocked(monkeypatch, [100.0, 3.0, 1.0, 2.0, 9.0, 4.0], seconds=1000)
    assert (found.sample_seconds, found.sample_seconds_minimum, found.repeats) == (3.0, 1.0, 5)
    assert (found.forward_seconds, found.forward_seconds_minimum) == (1.0, 1.0)
    assert len(set(model.seeds)) == 6


def test_a_slow_model_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found, model = clocked(monkeypatch, [50.0, 40.0], seconds=10)
    assert (found.repeats, found.sample_seconds, len(model.seeds)) == (1, 40.0, 2)


def test_figures_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = clocked(monkeypatch, [8.0] * 6, seconds=1000)
    figures = found.as_json()
    assert figures["images"] == 4
    assert figures["sample_seconds_per_image"] == 2.0
    assert figures["samples_per_second"] == 0.5
    assert figures["forward_images_per_second"] == 4.0


@pytest.mark.parametrize("name", catalogue.names())
def test_parameters_by_part(name: str) -> None:
    """The parts are disjoint and complete, and a planned model has as many as a real one."""
    model = create(name, height=8, width=8)
    found = parameters(model)
    total = found.pop("total")
    assert total == sum(found.values()) == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert planned_parameters(type(model), model.config)["total"] == total


def test_timing_the_training_leaves_the_model_as_it_is() -> None:
    model = create("vae", height=8, width=8).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert training_seconds(model, 2, seconds=0.1) > 0
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
