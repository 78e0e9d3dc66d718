"""What the cached samplers save: every autoregressive model, drawing against one forward pass and against the naive way.

    python benchmarks/autoregressive_sampling.py [NAME ...] [--images 64] [--preset tutorial] [--full] [--json]

NAME is a model of the catalogue (fresh weights of the preset on MNIST) or a checkpoint; without any, every autoregressive
model. Measured in one run for each: drawing the images with the cached sampler, ONE forward pass of the same images through
the network, and the completion of half a digit in eight variants; the fastest of several runs counts.

The naive sampler makes one forward pass for each sub-pixel. Its time is that of one pass times the number of sub-pixels;
with --full it really runs (minutes), and the pictures of both are compared.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "sampling")]

from naive import naive_sample  # noqa: E402

import genlib  # noqa: E402
from genlib.data import load  # noqa: E402
from genlib.models import catalogue  # noqa: E402
from genlib.models.autoregressive import AutoregressiveModel  # noqa: E402


def seconds(action: Callable[[], object], times: int) -> float:
    """The fastest of several runs."""
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        durations.append(time.perf_counter() - start)
    return min(durations)


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    model: Any
    if name in catalogue.names():
        model = genlib.create(name, preset=options.preset, data="mnist").eval()
    else:
        model = genlib.load(name)
    digits = load("mnist").batch("test", slice(1))
    upper = torch.zeros(model.config.height, model.config.width, dtype=torch.bool)
    upper[: model.config.height // 2] = True
    label = 3 if model.classes else None
    labels = torch.full((options.images,), 3) if model.classes else None

    model.sample(2, label=label)  # first calls prepare kernels
    pictures = model.sample(options.images, seed=1, label=label)
    coded = model.code(pictures)
    with torch.inference_mode():
        forward = seconds(lambda: model(coded, labels), 5)
    cached = seconds(lambda: model.sample(options.images, seed=1, label=label), 3)
    naive = forward * model.config.dimensions
    result = {"model": name, "cached_seconds": round(cached, 4), "forward_seconds": round(forward, 4)}
    if options.full:
        start = time.perf_counter()
        judged = naive_sample(model, options.images, seed=1, labels=labels)
        naive = time.perf_counter() - start
        result["same_pixels"] = round((judged == pictures).double().mean().item(), 6)
    result |= {
        "cached_over_forward": round(cached / forward, 2),
        "allowed_seconds": round(3 * forward + 0.5, 3),
        "naive_seconds": round(naive, 2),
        "naive_over_cached": round(naive / cached, 1),
    }
    if model.config.shape == digits.shape[1:]:
        halves = seconds(lambda: model.complete(digits, upper, 8, seed=1, label=label), 3)
        result["half_digit_8_variants_seconds"] = round(halves, 4)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--images", type=int, default=64, help="images drawn at once")
    parser.add_argument("--preset", default="tutorial", help="of the models with fresh weights")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of one operation")
    parser.add_argument("--full", action="store_true", help="really run the naive sampler, and compare the pictures")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    every = [name for name in catalogue.names() if issubclass(catalogue.get(name), AutoregressiveModel)]
    rows = [measured(name, options) for name in options.names or every]
    if options.json:
        print(json.dumps({"images": options.images, "threads": options.threads, "models": rows}))
        return
    print(f"{options.images} images, {options.threads} threads; seconds")
    print(f"{'model':24}{'cached':>9}{'forward':>9}{'ratio':>8}{'allowed':>9}{'naive':>9}{'times':>8}{'half x 8':>10}")
    for row in rows:
        half = row.get("half_digit_8_variants_seconds")
        print(
            f"{row['model']:24}{row['cached_seconds']:9.3f}{row['forward_seconds']:9.3f}{row['cached_over_forward']:8.2f}"
            f"{row['allowed_seconds']:9.2f}{row['naive_seconds']:9.1f}{row['naive_over_cached']:8.0f}"
            + (f"{half:10.3f}" if half is not None else "")
            + (f"   same pixels {row['same_pixels']:.4%}" if options.full else "")
        )


if __name__ == "__main__":
    main()
