"""Run by torchrun in `test_distributed`: a toy with real inputs takes three steps of plain gradient descent.

    torchrun --standalone --nproc-per-node 2 gradient_descent.py RESULT.json

Plain descent, because Adam would blow up what rounding does to gradients near zero.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from small_runs import Toy
from torch import Tensor, nn

from genlib.data import load
from genlib.training.loop import Loop
from genlib.training.run import RunConfig


class Regression(Toy):
    """Predicts the label from the pixels; its loss is a mean over the batch."""

    class Config(Toy.Config):
        gradient_clip: float = 0.5
        ema_decay: float = 0.9
        batch_size: int = 8

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.linear = nn.Linear(784, 1)
        self.weights.requires_grad_(False)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"network": torch.optim.SGD(self.linear.parameters(), lr=0.1)}

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Any) -> dict[str, Tensor]:
        loss = (self.linear(images.flatten(1)).squeeze(1) - labels).square().mean()
        optimizers.minimise("network", loss)
        return {"loss": loss.detach(), "images": torch.tensor(float(len(images)))}


def train(steps: int = 3) -> dict[str, Any]:
    """Weights after the steps, the last logged terms, and the state."""
    loop = Loop(
        Regression.from_config(Regression.Config(), 5), load("mnist"), RunConfig("toy", {}, "mnist", steps=steps)
    )
    status = loop.fit()
    model = loop.averaged_model()
    return {
        "state": status.state,
        "terms": status.terms,
        "weights": model.linear.weight.flatten().tolist() + model.linear.bias.tolist(),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    result = train()
    Path(f"{sys.argv[1]}.{os.environ['RANK']}").write_text(json.dumps(result))
