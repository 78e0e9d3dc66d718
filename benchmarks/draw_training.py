"""How fast DRAW trains: images a second, forward and backward, and how much that is over a plain implementation.

    python benchmarks/draw_training.py [--steps 64] [--batch 64] [--threads N] [--no-attention] [--rounds 5] [--json]

The plain one (tests/models/draw_reference.py) follows the paper's equations one small operation at a time; it has the
same weights and gets the same noise, and its loss is compared with the model's first. Both are measured in turn, round
by round in one process, and the fastest round of each counts. "bf16" is the model under bfloat16 autocast, as in training
where the processor has it in hardware.
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
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "models")]

from draw_reference import draw  # noqa: E402

from genlib.models.draw import DRAW  # noqa: E402
from genlib.models.draw_core import DrawModel  # noqa: E402
from genlib.models.draw_noattn import DRAWNoAttention  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=64, help="steps T")
    parser.add_argument("--batch", type=int, default=64, help="images at once")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of one operation")
    parser.add_argument("--no-attention", action="store_true", help="read and write the whole image")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions; the fastest counts")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    kind: type[DrawModel] = DRAWNoAttention if options.no_attention else DRAW
    config: Any = kind.configure("paper", steps=options.steps)
    model = kind.from_config(config)
    generator = torch.Generator().manual_seed(0)
    images = (torch.rand(options.batch, *config.shape, generator=generator) < 0.2).float()
    parameters = dict(model.named_parameters())
    grids = (0, 0) if options.no_attention else (config.read_size, config.write_size)

    def ours() -> torch.Tensor:
        bound = model._bound(images, model.generator(0))
        return (bound.reconstruction + bound.kl).mean()

    def in_bfloat16() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return ours()

    def plain() -> torch.Tensor:
        noise = model.noise(options.batch, model.generator(0))
        nll, kl = draw(parameters, images, noise, *grids)
        return (nll + kl.sum(1)).mean()

    ways: dict[str, Callable[[], torch.Tensor]] = {"model": ours, "model bf16": in_bfloat16, "plain": plain}
    difference = abs(float(ours().detach()) - float(plain().detach()))
    fastest = dict.fromkeys(ways, float("inf"))
    for _ in range(options.rounds + 1):  # the first one warms up
        for name, loss in ways.items():
            model.zero_grad(set_to_none=True)
            start = time.perf_counter()
            loss().backward()
            fastest[name] = min(fastest[name], time.perf_counter() - start)

    result = {
        "steps": options.steps,
        "batch": options.batch,
        "attention": not options.no_attention,
        "threads": options.threads,
        "images_per_second": {name: round(options.batch / seconds, 1) for name, seconds in fastest.items()},
        "times_faster_than_plain": {
            name: round(fastest["plain"] / seconds, 2) for name, seconds in fastest.items() if name != "plain"
        },
        "loss_difference_nats": difference,
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"T = {options.steps}, batch {options.batch}, {'no ' if options.no_attention else ''}attention, {options.threads} threads"
    )
    for name, seconds in fastest.items():
        print(f"{name:<12}{options.batch / seconds:8.1f} images/s   {fastest['plain'] / seconds:5.2f} x plain")
    print(f"the losses differ by {difference:.1e} nats")


if __name__ == "__main__":
    main()
