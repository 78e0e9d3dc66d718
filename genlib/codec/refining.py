"""Better symbols for the same bits: single symbols are changed as long as the picture gains more than they cost.

The posterior says how precisely each number of a code should be known if all that follow are known as well. A file holds only
some of them, rounded; so the picture itself is asked. The gradient of its error, back through all steps, says which symbols had
better be one more or one less. With r(k) the nats of symbol k, a symbol's move by d = +1 or -1 is expected to change

    J = ln error + price x nats / nats allowed

by price (r(k + d) - r(k)) / allowed + g d + h / 2, where g is the gradient of ln error and h its curvature, estimated from a
random mix of all pixels (Hutchinson 1989, "A stochastic estimator of the trace of the influence matrix"). The most promising
moves are made together: a few at first, more while that goes well; what makes J larger is taken back. The price falls from
more than the nats are worth to nothing: at first bits are earned by symbols that hardly matter, at last they are spent.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlib.codec.tables import LARGEST, Rate, contexts
from genlib.layers.precision import full_precision

PRICES = (*(1.2,) * 6, *(0.5,) * 3, *(0.0,) * 3)  # of every turn; the error of good files falls as about the bits^-0.8
FIRST = 16.0  # moves that are made at once, at first
AGAIN = 4.0  # and at least, when the price has fallen
SMALLEST = 1e-12  # a mean squared error below which there is nothing to gain


class Symbols(NamedTuple):
    """Symbols, and what they are worth."""

    values: Tensor
    """int8 [N, steps, channels, h, w]."""
    nats: Tensor
    """What they cost by the tables, float64 [N]."""
    error: Tensor
    """Mean squared error of the pictures, when they are finished by the prior's mean, float32 [N]."""


@torch.inference_mode(False)  # gradients are to go through the model, whoever asks
def refine(model: Any, values: Tensor, images: Tensor, rate: Rate, allowed: float) -> Symbols:
    """Symbols int8 [N, steps, channels, h, w] of images [N, C, H, W] in [0, 1], improved.

    A picture's symbols never cost more than ``allowed`` nats, or than they did before; and its error, that of the picture
    finished by the prior's mean, never grows.
    """
    images = images.clone()  # an inference tensor, it may be
    k = values.to(images.dtype)
    now = _look(model, k, images, rate)
    best = Symbols(values, now.nats, now.error)
    most = now.nats.clamp(min=allowed)
    curvature = _curvature(model, k, images, rate.grid)
    at_once, before = torch.full((len(k),), FIRST), PRICES[0]
    for price in PRICES:
        if price != before:
            at_once, before = at_once.clamp(min=AGAIN), price
        moved = k + _moves(k, now, curvature, price, allowed, at_once)
        then = _look(model, moved, images, rate)
        better = (_objective(then, price, allowed) < _objective(now, price, allowed)) & (then.nats <= most)
        k = torch.where(like(better, k), moved, k)
        now = _Look(*(torch.where(like(better, new), new, old) for new, old in zip(then, now, strict=True)))
        found = Symbols(k.to(torch.int8), now.nats, now.error)
        nearer = now.error < best.error
        best = Symbols(*(torch.where(like(nearer, new), new, old) for new, old in zip(found, best, strict=True)))
        at_once = torch.where(better, 1.3 * at_once, 0.5 * at_once).clamp(min=1.0)
    return best


class _Look(NamedTuple):
    """What is known of symbols."""

    error: Tensor  # [N]
    gradient: Tensor  # of ln error by a symbol, [N, steps, channels, h, w]
    costs: Tensor  # nats of all symbols in every place, [N, steps, channels, h, w, SYMBOLS]
    nats: Tensor  # of those that are there, [N]


def _look(model: Any, k: Tensor, images: Tensor, rate: Rate) -> _Look:
    with torch.enable_grad(), full_precision(images.device):
        u = k.clone().requires_grad_()
        error = (_decoded(model, rate.grid * u) - images).square().mean((1, 2, 3)).clamp(min=SMALLEST)
        (gradient,) = torch.autograd.grad(error.log().sum(), u)
    costs = symbol_costs(k, rate)
    nats = costs.gather(-1, (k + LARGEST).long()[..., None]).flatten(1).double().sum(1)
    return _Look(error.detach(), gradient, costs, nats)


def _objective(look: _Look, price: float, allowed: float) -> Tensor:
    return look.error.double().log() + price * look.nats / allowed


def _moves(k: Tensor, now: _Look, curvature: Tensor, price: float, allowed: float, at_once: Tensor) -> Tensor:
    """The moves that promise most, 0, 1 or -1 for each symbol; at most ``at_once`` [N] of a picture."""
    index = (k + LARGEST).long()[..., None]
    here = now.costs.gather(-1, index)[..., 0]
    bend = 0.5 * curvature / like(now.error, k)
    left = like(allowed - now.nats, k)
    expected = []
    for by in (1, -1):
        dearer = now.costs.gather(-1, (index + by).clamp(0, 2 * LARGEST))[..., 0] - here
        change = price * dearer / allowed + by * now.gradient + bend
        expected.append(torch.where(((k + by).abs() > LARGEST) | (dearer > left), torch.inf, change))
    least = torch.minimum(*expected).flatten(1)
    rank = least.argsort(1).argsort(1)
    chosen = (rank < at_once[:, None].to(k)) & (least < 0)
    return torch.where(chosen.view_as(k), torch.where(expected[0] < expected[1], 1.0, -1.0), 0.0)


def _curvature(model: Any, k: Tensor, images: Tensor, grid: float) -> Tensor:
    """About the second derivative of the mean squared error by a symbol, [1, steps, channels, 1, 1]: what the square of a random
    mix of all pixels' derivatives is on average."""
    with torch.enable_grad(), full_precision(images.device):
        u = k.clone().requires_grad_()
        pixels = _decoded(model, grid * u)
        signs = torch.randint(2, pixels.shape, generator=torch.Generator().manual_seed(0)).to(pixels) * 2 - 1
        (mixed,) = torch.autograd.grad(pixels, u, signs)
    return 2 * mixed.square().mean((0, 3, 4), keepdim=True) / images[0].numel()


def _decoded(model: Any, u: Tensor) -> Tensor:
    """The pictures of codes [N, steps, channels, h, w] in units of the prior's sigma around its mean, the rest at the mean."""
    state = model.begin(len(u))
    for t in range(model.config.steps):
        mean, log_sigma = model.prior(state)
        state = model.take(state, mean + log_sigma.exp() * u[:, t] if t < u.shape[1] else mean)
    picture: Tensor = model.picture(state)
    return picture


def symbol_costs(k: Tensor, rate: Rate) -> Tensor:
    """Nats of every symbol in every place, [N, steps, channels, h, w, SYMBOLS], in the contexts that these symbols make."""
    used = (k != 0).any(2)  # [N, steps, h, w]
    before = torch.cat((torch.zeros_like(used[:, :1]), used[:, :-1]), 1)
    context = contexts(used, before)[:, :, None]
    step = torch.arange(k.shape[1])[:, None, None, None]
    channel = torch.arange(k.shape[2])[:, None, None]
    return rate.nats[step, channel, context]


def like(flags: Tensor, values: Tensor) -> Tensor:
    """[N] -> [N, 1, ...], to go with ``values`` [N, ...]."""
    return flags.view(-1, *(1 for _ in values.shape[1:]))
