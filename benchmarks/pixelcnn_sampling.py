"""How much the cached sampler of PixelCNN saves.

    python benchmarks/pixelcnn_sampling.py [--images 16] [--preset tutorial] [--checkpoint NAME] [--json]

Measured in one run: drawing images by the cached and by the naive sampler (one full forward pass per pixel), one forward
pass of the same images, and the completion of half a digit in eight variants. The pictures of both samplers are compared.
The cached sampler and the forward pass are timed several times and the fastest counts; the naive sampler runs once.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "sampling")]

from naive import naive_sample  # noqa: E402

import genlib  # noqa: E402
from genlib.data import load  # noqa: E402


def seconds(action: Callable[[], object], times: int) -> float:
    """The fastest of several runs."""
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        durations.append(time.perf_counter() - start)
    return min(durations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=16, help="images drawn at once")
    parser.add_argument("--preset", default="tutorial", help="network with fresh weights")
    parser.add_argument("--checkpoint", help="trained weights instead: a shipped name, a run or a path")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of one operation")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    if options.checkpoint:
        model = genlib.load(options.checkpoint)
    else:
        model = genlib.create("pixelcnn", preset=options.preset, data="mnist")
    model.eval()
    digits = load("mnist").batch("test", slice(1))
    upper = torch.zeros(model.config.height, model.config.width, dtype=torch.bool)
    upper[: model.config.height // 2] = True

    model.sample(2)  # first calls prepare kernels
    pictures = model.sample(options.images, seed=1)
    cached = seconds(lambda: model.sample(options.images, seed=1), 3)
    forward = seconds(lambda: model.log_prob(pictures), 5)
    completion = seconds(lambda: model.complete(digits, upper, 8, seed=1), 3)
    start = time.perf_counter()
    judged = naive_sample(model, options.images, seed=1)
    naive = time.perf_counter() - start

    result = {
        "model": options.checkpoint or f"pixelcnn ({options.preset}, fresh weights)",
        "images": options.images,
        "threads": options.threads,
        "naive_seconds": round(naive, 3),
        "cached_seconds": round(cached, 4),
        "forward_seconds": round(forward, 4),
        "naive_over_cached": round(naive / cached, 1),
        "cached_over_forward": round(cached / forward, 2),
        "milliseconds_per_pixel": round(1000 * cached / upper.numel(), 3),
        "same_pixels": round((judged == pictures).double().mean().item(), 6),
        "half_digit_8_variants_seconds": round(completion, 4),
    }
    if options.json:
        print(json.dumps(result))
        return
    width = max(map(len, result))
    for name, value in result.items():
        print(f"{name.replace('_', ' '):{width}}  {value}")


if __name__ == "__main__":
    main()
