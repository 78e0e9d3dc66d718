"""How fast a PixelRNN trains: images a second by the compiled kernel, and how much that is over plain tensor operations.

    python benchmarks/lstm_training.py [MODEL] [--batch 32] [--threads N] [--rounds 3] [--layers 7] [--json]

The plain version is the model with `genlib.layers.lstm2d_eager` in place of the kernel: for the Diagonal BiLSTM a loop over the
55 diagonals of a digit, both directions at once, with autograd. It has the same weights and gets the same images, and the
losses are compared first. Both are measured in turn, round by round in one process, a whole training step each
(coding, forward, backward, Adam), and the fastest round of each counts.

The floor: the products of a step are counted, and the time they would take at the rate of a large matrix product measured
in the same run is printed beside the step's. What is above it is non-linearities, traffic of saved maps and the optimizer.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "models")]

from plain_optimizers import PlainOptimizers  # noqa: E402

from genlib.layers import lstm2d_kernel  # noqa: E402
from genlib.layers.lstm2d import LSTM2d  # noqa: E402
from genlib.layers.maps import taps  # noqa: E402
from genlib.models import create  # noqa: E402
from genlib.models.pixelrnn import PixelRNN  # noqa: E402


@contextmanager
def without_kernel():
    """Inside, layers take their eager path, as where there is no compiler."""
    kept = lstm2d_kernel._compiled
    lstm2d_kernel._compiled = lambda: None  # type: ignore[assignment]
    try:
        yield
    finally:
        lstm2d_kernel._compiled = kept


def operations(model: PixelRNN) -> float:
    """Multiplications and additions of the products in one image's training step: forward, and twice as many back."""
    per_pixel = 0
    for step in model.steps():
        if isinstance(step, LSTM2d):
            per_pixel += step.weight.numel() + step.up.numel()
        else:
            per_pixel += len(taps(step.layer)) * step.layer.weight.shape[0] * step.layer.weight.shape[1]
    return 3 * 2 * per_pixel * model.config.height * (model.config.width + model.margin)


def product_rate(seconds: float = 0.3) -> float:
    """Operations a second of a large matrix product here and now."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * 1024**3 / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="diagonal-bilstm", help="a PixelRNN by its name")
    parser.add_argument("--batch", type=int, default=32, help="images at once")
    parser.add_argument("--layers", type=int, default=7, help="LSTM layers")
    parser.add_argument("--hidden", type=int, default=16, help="features of a state")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions; the fastest counts")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not lstm2d_kernel.serves():
        sys.exit("There is no C compiler here, so there is nothing to compare: install gcc or clang.")

    model = create(options.model, data="mnist", layers=options.layers, hidden=options.hidden)
    assert isinstance(model, PixelRNN)
    images = (torch.rand(options.batch, *model.config.shape, generator=torch.Generator().manual_seed(0)) < 0.2).float()
    labels = torch.zeros(options.batch, dtype=torch.long)
    optimizers = PlainOptimizers(model)
    with torch.no_grad():
        ours = model.value_nll(model(images), images).sum((1, 2, 3))
        with without_kernel():
            plain = model.value_nll(model(images), images).sum((1, 2, 3))

    def step() -> None:
        model.training_step(images, labels, optimizers)

    def plain_step() -> None:
        with without_kernel():
            step()

    ways: dict[str, Callable[[], None]] = {"kernel": step, "plain": plain_step}
    fastest = dict.fromkeys(ways, float("inf"))
    rate = 0.0
    for number in range(options.rounds + 1):
        for name, go in ways.items():
            start = time.perf_counter()
            go()
            if number:  # the first one warms up
                fastest[name] = min(fastest[name], time.perf_counter() - start)
        rate = max(rate, product_rate())

    speed = {name: options.batch / seconds for name, seconds in fastest.items()}
    floor = rate / operations(model)
    result = {
        "model": options.model,
        "layers": options.layers,
        "hidden": options.hidden,
        "batch": options.batch,
        "threads": options.threads,
        "images_per_second": {name: round(value, 1) for name, value in speed.items()},
        "times_faster_than_plain": round(speed["kernel"] / speed["plain"], 2),
        "bare_products_images_per_second": round(floor, 1),
        "loss_difference_nats": float((ours - plain).abs().max()),
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{options.model}, {options.layers} x {options.hidden}, batch {options.batch}, {options.threads} threads")
    for name, value in speed.items():
        print(f"{name:<10}{value:8.1f} images/s   {value / speed['plain']:5.2f} x plain")
    print(
        f"{'products':<10}{floor:8.1f} images/s   if a step were its matrix products alone, at {rate / 1e9:.0f} GFLOP/s"
    )
    print(f"the losses differ by at most {result['loss_difference_nats']:.1e} nats")


if __name__ == "__main__":
    main()
