"""What a step of training needs besides the model: optimizers, the schedule, averaged weights, the order of the images,
random seeds."""

import hashlib
import math
from collections.abc import Callable
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor


class StepOptimizers:
    """`genlib.models.contract.Optimizers` for the loop: backward, mean over the processes, clip, step."""

    def __init__(
        self, optimizers: dict[str, torch.optim.Optimizer], fabric: Fabric, clip: float, generator: torch.Generator
    ) -> None:
        self.named = optimizers
        self.generator = generator
        self._fabric = fabric
        self._clip = clip
        self._base = {name: [group["lr"] for group in each.param_groups] for name, each in optimizers.items()}

    def scale_learning_rate(self, factor: float) -> None:
        """Set every learning rate to ``factor`` times the model's own."""
        for name, optimizer in self.named.items():
            for group, base in zip(optimizer.param_groups, self._base[name], strict=True):
                group["lr"] = base * factor

    def minimise(self, name: str, loss: Tensor) -> None:
        """One step of the optimizer ``name`` down the gradient of ``loss``."""
        optimizer = self.named[name]
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(loss.device.type, enabled=False):  # training_step runs under autocast; backward should not
            self._fabric.backward(loss)
        if self._fabric.world_size > 1:  # every process has as many images, so this is the gradient of the whole batch
            for p in parameters:
                if p.grad is not None:
                    self._fabric.all_reduce(p.grad, reduce_op="mean")
        if self._clip:
            torch.nn.utils.clip_grad_norm_(parameters, self._clip)
        optimizer.step()


def learning_rate_factor(schedule: str, progress: float) -> float:
    """Share of the learning rate after ``progress`` (0 to 1) of the planned steps. "cosine" goes from 1 to 0 along half
    a cosine (Loshchilov & Hutter 2017, SGDR, eq. 5, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * progress)) if schedule == "cosine" else 1.0


def average(decay: float) -> Callable[[Any, Any, Any], None]:
    """Exponential moving average that forgets the first steps quickly: the decay is at most (1 + t) / (10 + t)."""

    @torch.no_grad()
    def update(kept: list[Tensor], current: list[Tensor], steps: Tensor | int) -> None:
        t = float(steps)
        weight = 1 - min(decay, (1 + t) / (10 + t))
        for old, new in zip(kept, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, weight)
            else:
                old.copy_(new)

    return update


def epoch_order(labels: Tensor, together: int, generator: torch.Generator) -> Tensor:
    """An order for one epoch, a permutation of 0 .. N-1: labels [N] -> [N].

    With ``together`` = k above 1 the images come in runs of k that share a label; those that are left over, fewer than k
    of a label, come last. Which images meet is drawn anew for each epoch.
    """
    order = torch.randperm(len(labels), generator=generator)
    if together == 1:
        return order
    by_label = order[labels[order].argsort(stable=True)]  # shuffled, label by label
    _, counts = labels.unique(return_counts=True)
    place = torch.arange(len(labels)) - (counts.cumsum(0) - counts).repeat_interleave(counts)  # within its label
    full = place < (counts - counts % together).repeat_interleave(counts)
    runs = by_label[full].view(-1, together)
    return torch.cat((runs[torch.randperm(len(runs), generator=generator)].flatten(), by_label[~full]))


def step_seed(seed: int, step: int, process: int) -> int:
    """The seed of a step's random streams in one process.

    A stream for each step, in place of one for the run: then a step's draws depend on nothing that a kill could lose.
    """
    return int.from_bytes(hashlib.blake2b(f"{seed} {step} {process}".encode(), digest_size=7).digest(), "little")
