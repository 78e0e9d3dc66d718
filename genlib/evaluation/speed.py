"""How long a model takes, here and now: drawing images, and one pass of the network.

Times depend on the machine and on what else it does, so a result carries the machine, and both the median (what a
visitor meets) and the minimum (what the model needs) of several repeats after a warm-up.
"""

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from genlib.models.contract import Model

REPEATS = 5


@dataclass(frozen=True)
class Speed:
    """Seconds for ``images`` images at once. ``forward``: one validation step, which runs every network of the model,
    without gradient.
    """

    images: int
    threads: int
    device: str
    repeats: int
    sample_seconds: float
    sample_seconds_minimum: float
    forward_seconds: float
    forward_seconds_minimum: float

    @property
    def sample_seconds_per_image(self) -> float:
        return self.sample_seconds / self.images

    @property
    def samples_per_second(self) -> float:
        return self.images / self.sample_seconds

    @property
    def forward_images_per_second(self) -> float:
        return self.images / self.forward_seconds

    def as_json(self) -> dict[str, Any]:
        """Every figure, the derived ones too, to four significant digits."""
        derived = ("sample_seconds_per_image", "samples_per_second", "forward_images_per_second")
        values = asdict(self) | {name: getattr(self, name) for name in derived}
        return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in values.items()}


def measure(model: Model, images: int = 16, *, seconds: float = 5.0) -> Speed:
    """Draw ``images`` images, and pass as many through, up to `REPEATS` times each.

    ``seconds`` bounds the repeats: a slow model is measured at least once, after its warm-up, and no more than fits.
    """
    shown = torch.rand(images, *model.config.shape, generator=torch.Generator().manual_seed(0)).to(model.device)
    labels = torch.zeros(images, dtype=torch.int64, device=model.device)
    with torch.inference_mode(), model.evaluating():
        drawing = _times(model, lambda seed: model.sample(images, seed=seed), seconds / 2)
        passing = _times(model, lambda seed: model.validation_step(shown, labels, model.generator(seed)), seconds / 2)
    return Speed(
        images=images, threads=torch.get_num_threads(), device=str(model.device), repeats=len(drawing),
        sample_seconds=statistics.median(drawing), sample_seconds_minimum=min(drawing),
        forward_seconds=statistics.median(passing), forward_seconds_minimum=min(passing),
    )  # fmt: skip


class _Backward:
    """`Optimizers` that go down no gradient: what is timed is the arithmetic of a step, and no weight moves."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def minimise(self, name: str, loss: Tensor) -> None:
        loss.backward()


def training_seconds(model: Model, images: int = 16, *, seconds: float = 3.0) -> float:
    """Median seconds of a training step on ``images`` images, forward and backward, up to `REPEATS` times.

    It is taken on a copy: the model stays as it is.
    """
    with torch.inference_mode(False), torch.enable_grad():
        copied = copy.deepcopy(model).train().requires_grad_()
        shown = torch.rand(images, *model.config.shape, generator=torch.Generator().manual_seed(0)).to(model.device)
        labels = torch.zeros(images, dtype=torch.int64, device=model.device)

        def step(seed: int) -> None:
            copied.zero_grad(set_to_none=True)
            copied.training_step(shown, labels, _Backward(copied.generator(seed)))

        return statistics.median(_times(model, step, seconds))


def _times(model: Model, call: Callable[[int], Any], seconds: float) -> list[float]:
    """Seconds of each repeat. The warm-up is not among them, but it counts for the time that may be spent."""
    began = time.perf_counter()
    times: list[float] = []
    for repeat in range(REPEATS + 1):
        started = time.perf_counter()
        call(repeat)
        _wait(model.device)
        now = time.perf_counter()
        if repeat:
            times.append(now - started)
            if now - began > seconds:
                break
    return times


def _wait(device: torch.device) -> None:
    """A GPU works on while Python goes on: wait for it."""
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).synchronize()
