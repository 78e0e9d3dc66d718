"""How fast PixelCNN trains, and in how much memory, against masked dense convolutions.

    python benchmarks/pixelcnn_training.py [--preset tutorial] [--batch 128] [--threads N] [--rounds 5] [--json]

Half the taps of a masked kernel are always zero. The plain way multiplies the weight by its mask and convolves with the
whole kernel, in PyTorch's usual memory layout; ours leaves the masked rows out and keeps feature maps channels-last. Both
have the same weights, their losses are compared, and they are measured in turn in one process: forward, backward and the
optimizer's step; the fastest round counts. The memory is the peak of the process after the model's own steps, which run
before the plain ones.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from genlib.layers.masked import MaskedConv2d, causal_mask  # noqa: E402
from genlib.machine import keep_freed_memory  # noqa: E402
from genlib.models.pixelcnn import PixelCNN  # noqa: E402


def plain_forward(model: PixelCNN, masks: dict[int, Tensor], x: Tensor) -> Tensor:
    """The same network with whole kernels times their masks."""

    def convolve(layer: MaskedConv2d, x: Tensor) -> Tensor:
        return F.conv2d(x, layer.weight * masks[id(layer)], layer.bias, padding=layer.kernel // 2)

    kept = x
    for step in model.steps():
        if step.opens:
            kept = x
        x = convolve(step.layer, x.relu() if step.relu_before else x)
        x = x.relu() if step.relu_after else x
        x = kept + x if step.closes else x
    return x


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="tutorial")
    parser.add_argument("--batch", type=int, default=128, help="images at once")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of one operation")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions; the fastest counts")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as in training

    model = PixelCNN.from_config(PixelCNN.configure(options.preset))
    dense = PixelCNN.from_config(model.config).to(memory_format=torch.contiguous_format)
    masks = {
        id(layer): causal_mask(layer.kind, *layer.weight.shape[:2], layer.kernel, layer.groups)
        for layer in dense.modules()
        if isinstance(layer, MaskedConv2d)
    }
    images = (torch.rand(options.batch, *model.config.shape, generator=torch.Generator().manual_seed(0)) < 0.2).float()

    def step(network: PixelCNN, optimizer: torch.optim.Optimizer, forward: Callable[[Tensor], Tensor]) -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = network.value_nll(forward(images), images).sum((1, 2, 3)).mean()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    ways: dict[str, Callable[[], float]] = {}
    ours, theirs = model.optimizers()["network"], dense.optimizers()["network"]
    ways["ours"] = lambda: step(model, ours, model)
    ways["masked dense"] = lambda: step(dense, theirs, lambda x: plain_forward(dense, masks, x))

    first = {"ours": ways["ours"]()}
    ways["ours"]()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
    first["masked dense"] = ways["masked dense"]()
    fastest = dict.fromkeys(ways, float("inf"))
    for _ in range(options.rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            fastest[name] = min(fastest[name], time.perf_counter() - start)

    result = {
        "preset": options.preset,
        "batch": options.batch,
        "threads": options.threads,
        "images_per_second": {name: round(options.batch / value, 2) for name, value in fastest.items()},
        "times_faster_than_masked_dense": round(fastest["masked dense"] / fastest["ours"], 2),
        "peak_gib": round(peak, 2),
        "loss_difference_nats": abs(first["ours"] - first["masked dense"]),
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    width = max(map(len, result))
    for name, value in result.items():
        print(f"{name.replace('_', ' '):{width}}  {value}")


if __name__ == "__main__":
    main()
