"""How much a critic step of `wgan-gp` costs over its bare arithmetic.

    python benchmarks/wgan_training.py [--preset tutorial] [--data mnist] [--batch 64] [--threads N] [--rounds 7] [--json]

The bare arithmetic is the convolutions of one step and nothing else, on tensors that lie ready: the generator's forward products;
the critic's forward, weight and data products on real and generated images together; and for the gradient penalty, at as many
points between, the forward products, the data products that make the gradient, the products of the direction v sent
forward, and the weight and data products of that pass, which are those of the second derivative. The step has batch norm,
rectifiers, noise, the penalty's algebra, and Adam besides.

"differentiated twice" is the same step with the penalty's gradient taken through the backward pass, the general way.
All are measured in turn, round by round in one process, in processor time, and the fastest round of each counts.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "models")]

from plain_optimizers import PlainOptimizers  # noqa: E402

from genlib.layers import penalty  # noqa: E402
from genlib.models import create  # noqa: E402
from genlib.models.wgan_gp import WGANGP  # noqa: E402

Product = Callable[[], object]


def products(layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> tuple[Product, Product, Product, Tensor]:
    """One layer's bare products at input x: forward; data and weights together; data alone; and the output."""
    transposed = isinstance(layer, nn.ConvTranspose2d)
    weight, padding = layer.weight.detach(), list(layer.padding)  # type: ignore[arg-type]
    shape = list(layer.stride), padding, [1, 1], transposed, [0, 0], 1

    def forward() -> Tensor:
        return torch.ops.aten.convolution(x, weight, None, *shape)

    out = forward()

    def backward(*, data: bool, weights: bool) -> Product:
        return lambda: torch.ops.aten.convolution_backward(out, x, weight, None, *shape, [data, weights, False])

    return forward, backward(data=True, weights=True), backward(data=True, weights=False), out


def bare(model: WGANGP, batch: int) -> list[Product]:
    """The convolutions of one critic step."""
    found: list[Product] = []
    x = torch.randn(batch, model.latent, 1, 1).contiguous(memory_format=torch.channels_last)
    for layer in model.generator_net.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            forward, _, _, x = products(layer, x)
            found.append(forward)
    layers = [layer for layer in model.discriminator_net.modules() if isinstance(layer, nn.Conv2d)]
    for n, in_penalty in ((2 * batch, False), (batch, True)):
        x = torch.randn(n, *model.config.shape).contiguous(memory_format=torch.channels_last)
        for place, layer in enumerate(layers):
            forward, both, data, out = products(layer, x)
            weights_alone = _weights_alone(layer, x, out)
            found += [forward, both if place else weights_alone]
            if in_penalty:
                found += [data, forward]  # the gradient at the points between, and v sent forward
            x = out
    return found


def _weights_alone(layer: nn.Conv2d, x: Tensor, out: Tensor) -> Product:
    """The first layer's weight product: nobody asks for the gradient of the images there."""
    weight, padding = layer.weight.detach(), list(layer.padding)  # type: ignore[arg-type]
    shape = list(layer.stride), padding, [1, 1], False, [0, 0], 1
    return lambda: torch.ops.aten.convolution_backward(out, x, weight, None, *shape, [False, True, False])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="tutorial", help="of wgan-gp")
    parser.add_argument("--data", default="mnist", help="the data set, for the images' shape")
    parser.add_argument("--batch", type=int, default=64, help="images of one critic step")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of one operation")
    parser.add_argument("--rounds", type=int, default=7, help="repetitions; the fastest counts")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    model = create("wgan-gp", preset=options.preset, data=options.data).train()
    assert isinstance(model, WGANGP)
    optimizers = PlainOptimizers(model)
    images = torch.rand(options.batch, *model.config.shape, generator=torch.Generator().manual_seed(0))
    convolutions = bare(model, options.batch)

    def step() -> None:
        model.step_discriminator(images, optimizers)

    def twice() -> None:
        with mock.patch.object(penalty, "LINEAR", ()):  # no layer is known as linear: the general way is left
            model.step_discriminator(images, optimizers)

    def arithmetic() -> None:
        for product in convolutions:
            product()

    ways = {"bare": arithmetic, "step": step, "differentiated twice": twice}
    fastest = dict.fromkeys(ways, float("inf"))
    for _ in range(options.rounds + 1):  # the first one warms up
        for name, way in ways.items():
            start = time.process_time()
            way()
            fastest[name] = min(fastest[name], time.process_time() - start)

    result = {
        "preset": options.preset,
        "data": options.data,
        "batch": options.batch,
        "threads": options.threads,
        "milliseconds": {name: round(1000 * seconds, 2) for name, seconds in fastest.items()},
        "over_bare": {name: round(seconds / fastest["bare"], 3) for name, seconds in fastest.items()},
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"wgan-gp {options.preset} on {options.data}, batch {options.batch}, {options.threads} threads, processor time"
    )
    for name, seconds in fastest.items():
        print(f"{name:<22}{1000 * seconds:8.1f} ms   {seconds / fastest['bare']:5.2f} x bare")


if __name__ == "__main__":
    main()
