"""Lossy: the first steps of a stepwise code, quantised and entropy-coded (Gregor et al. 2016, arXiv:1604.08772, section 4).

A file holds symbols of z_1 ... z_t; genlib/codec/tables.py says what they stand for and what they cost. The decoder takes the
steps that are not there from the prior: its mean (without variance, "WoPV"), or a draw of it (with variance, "WPV").

Which symbols are written is a matter of rate and distortion. A Gaussian posterior says how precisely each number of the code has
to be known, and the symbol k is chosen that minimises

    weight x nats(k) + (z_k - mu_q)^2 / (2 sigma_q^2)

(Yang, Bamler & Mandt 2020, "Variational Bayesian Quantization", arXiv:2002.08158, eq. 6). The posterior of a step is asked after
the symbols of the steps before have been decoded, so later steps mend what the rounding of earlier ones spoilt. The weight is
sought for each picture, so that its symbols cost just less than the bits it may have; then genlib/codec/refining.py asks the
picture itself for better ones. None of that is in the file: the decoder needs the symbols alone.

Fields of the file: 2 bytes that stand for the tables, 1 for the rate, 1 for the steps. The payload, one range-coded stream
of all pictures, is never longer than bits x pictures.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlib.codec.container import Container
from genlib.codec.refining import Symbols, like, refine
from genlib.codec.stream import decoder, encoder, same_arithmetic, seal
from genlib.codec.tables import LARGEST, CodeTables, Rate, contexts, tables_of
from genlib.errors import GenlibError
from genlib.layers.precision import full_precision
from genlib.models import abilities
from genlib.models.contract import Model

CHUNK = 64  # pictures that go through the steps together; part of the format, as other batches add in other orders
TRIES = 9  # of the bisection
SLACK = 1.0  # bits a picture that are left to the coder's own rounding; if it should need more, it gets them
WEIGHTS = (-7.0, 7.0)  # natural logarithms of the weights between which it looks

Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures in all)."""


def can_code(model: Model | type[Model]) -> bool:
    """Whether a model, or a class of models, has a code that can be kept step by step."""
    return "stepwise code" in abilities(model)


def compress(
    model: Model, images: Tensor, *, bits: float, tables: CodeTables | None = None, progress: Progress | None = None
) -> bytes:
    """Images [N, C, H, W] in [0, 1] -> a file whose payload is at most ``bits`` x N bits long.

    ``tables``: by default those that were counted for this model. Raises `GenlibError` for a model without the ability, for
    images of another shape and for less than one bit.
    """
    network = coder_of(model)
    if images.shape[1:] != model.config.shape:
        wanted, got = (" x ".join(map(str, shape)) for shape in (model.config.shape, images.shape[1:]))
        raise GenlibError(
            f"{model.name} compresses images of {wanted} (channels, height, width), not {got}: resize them."
        )
    if not bits >= 1:
        raise GenlibError(f"bits = {bits} is not possible: a picture takes at least 1 bit.")
    tables = tables or tables_of(model)
    number = tables.nearest(bits)
    rate = tables.rates[number]
    most = int(bits * len(images) // 8)  # bytes
    each = 8 * most / max(1, len(images))
    slack = SLACK
    with same_arithmetic():
        while True:
            symbols = [choose(network, part, rate, each - slack) for part in _progressing(images, progress)]
            values = torch.cat([part.values for part in symbols]) if symbols else torch.zeros(0, 0, 0, 0, 0)
            payload = pack(values, rate)
            if len(payload) <= most:
                break
            slack, progress = 2 * slack, None
    fields = tables.mark + bytes([number, values.shape[1]])
    return Container.of("lossy", model, len(images), fields, payload).to_bytes()


def decompress(
    model: Model,
    data: bytes,
    *,
    mean: bool = False,
    seed: int = 0,
    steps: int | None = None,
    tables: CodeTables | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """The pictures in a file that `compress` wrote with this very model, [N, C, H, W] in [0, 1].

    What is not in the file is drawn from the prior with ``seed``, or with ``mean`` is the prior's mean. ``steps``: only so many
    steps of the file are used, as if the others were not there.

    Raises `GenlibError` for whatever else it is given.
    """
    network = coder_of(model)
    container = Container.from_bytes(data)
    container.check("lossy", model)
    values = read_symbols(model, container, tables)
    with same_arithmetic():
        return pictures(network, values[:, :steps], rate_of(model, container, tables).grid, mean, seed, progress)


def rate_of(model: Model, container: Container, tables: CodeTables | None = None) -> Rate:
    """The rate whose tables a file was written with. Other tables than this model has are a `GenlibError`."""
    tables = tables or tables_of(model)
    if len(container.fields) != 4 or container.fields[:2] != tables.mark or container.fields[2] >= len(tables.rates):
        raise GenlibError(
            f"The file was written with other code tables than {model.name} has here: put the tables of its checkpoint "
            "beside it (checkpoints/codes), or compress the pictures again."
        )
    rate = tables.rates[container.fields[2]]
    if container.fields[3] > rate.steps:
        raise GenlibError("The file claims more steps than its tables have: give a file that `genlib compress` wrote.")
    return rate


def read_symbols(model: Model, container: Container, tables: CodeTables | None = None) -> Tensor:
    """The symbols in a file, int8 [N, steps, channels, h, w]."""
    rate = rate_of(model, container, tables)
    like = coder_of(model).prior(model.begin(1))[0]  # type: ignore[operator]
    return unpack(container.payload, rate, (container.count, container.fields[3], *like.shape[1:]))


def coder_of(model: Model) -> Any:
    """The model, as what it must be for a lossy file; any other is a `GenlibError`."""
    if not can_code(model):
        raise GenlibError(
            f"{model.name} has no code that can be kept step by step, so it writes no lossy files: take conv-draw."
        )
    return model


# Choosing symbols


@torch.no_grad()
def choose(model: Any, images: Tensor, rate: Rate, bits: float) -> Symbols:
    """The symbols of images [N, C, H, W], each picture's at most ``bits`` bits by the tables.

    Of all weights that are tried and not too dear, the one whose picture, finished by the prior's mean, is nearest; then refined.
    Where even zeros would be too long, fewer steps are kept: of the whole batch, so that the file need say it once.
    """
    nats = bits * math.log(2)
    steps = _affordable(model, rate, nats)
    n = len(images)
    best = quantise(model, images, rate, steps, torch.full((n,), torch.inf))
    if not steps or not n:
        return best
    low, high = (torch.full((n,), end, dtype=torch.float64) for end in WEIGHTS)
    for _ in range(TRIES):
        middle = (low + high) / 2
        found = quantise(model, images, rate, steps, middle.exp().float())
        fits = found.nats <= nats
        low, high = torch.where(fits, low, middle), torch.where(fits, middle, high)
        better = fits & (found.error < best.error)
        best = Symbols(*(torch.where(like(better, new), new, old) for new, old in zip(found, best, strict=True)))
    return refine(model, best.values, images, rate, nats)


def _affordable(model: Any, rate: Rate, nats: float) -> int:
    """For how many steps nothing but zeros costs at most ``nats``."""
    _, _, height, width = model.prior(model.begin(1))[0].shape
    zeros = rate.nats[:, :, 0, LARGEST].double().sum(1).cumsum(0) * height * width  # [steps]
    return int((zeros <= nats).sum())


@torch.no_grad()
def quantise(model: Any, images: Tensor, rate: Rate, steps: int, weight: Tensor) -> Symbols:
    """The symbols of ``steps`` steps when a nat weighs ``weight`` [N]; infinity: zeros alone."""
    costs, spacing = rate.nats, rate.grid / rate.gain
    with full_precision(images.device):
        state, seen = model.begin(len(images)), model.see(images)
        shape = len(images), *model.prior(state)[0].shape[1:]
        before = torch.zeros(shape[0], *shape[2:], dtype=torch.bool)
        values, nats = [], []
        for t in range(steps):
            prior = model.prior(state)
            mean, log_sigma = prior
            state, (q_mean, q_log_sigma) = model.posterior(state, prior, seen)
            target = (q_mean - mean) / (log_sigma.exp() * spacing)  # in steps of the grid
            precision = 0.5 * ((log_sigma - q_log_sigma).exp() * spacing).square()
            k, cost = _decide(target, precision, weight.view(-1, 1, 1, 1), costs[t], before)
            values.append(k.to(torch.int8))
            nats.append(cost.flatten(1).double().sum(1))
            before = (k != 0).any(1)
            state = model.take(state, mean + log_sigma.exp() * (rate.grid * k))
        for _ in range(steps, model.config.steps):
            state = model.take(state, model.prior(state)[0])
        error = (model.picture(state) - images).square().mean((1, 2, 3))
    if not steps:
        none = torch.zeros(shape[0], 0, *shape[1:], dtype=torch.int8)
        return Symbols(none, torch.zeros(shape[0], dtype=torch.float64), error)
    return Symbols(torch.stack(values, 1), torch.stack(nats).sum(0), error)


def _decide(target: Tensor, precision: Tensor, weight: Tensor, costs: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Symbols [N, channels, h, w] as floats, and their nats. ``costs`` [channels, CONTEXTS, SYMBOLS].

    The contexts hang on the symbols themselves, so they are decided twice: by the contexts that the first decision made, again.
    Candidates are the nearest symbol, the next towards zero, and zero.
    """
    nearest = target.round().clamp(-LARGEST, LARGEST)
    candidates = torch.stack((nearest, nearest - nearest.sign(), torch.zeros_like(nearest)))
    loss = precision * (candidates - target).square()
    channel = torch.arange(len(costs))[:, None, None]
    k = torch.zeros_like(nearest)
    for _ in range(3):
        context = contexts((k != 0).any(1), before)[:, None]
        if not bool(torch.isinf(weight).all()):
            nats = costs[channel, context, (candidates + LARGEST).long()]
            pick = (weight * nats + loss).argmin(0, keepdim=True)
            k = candidates.gather(0, pick)[0]
    context = contexts((k != 0).any(1), before)[:, None]
    return k, costs[channel, context, (k + LARGEST).long()]


# Symbols to bits and back


def pack(values: Tensor, rate: Rate) -> bytes:
    """Symbols int8 [N, steps, channels, h, w] -> a payload: picture after picture, step after step, place after place in raster
    order, the channels of a place together."""
    family = _family()
    coder = encoder()
    for picture in values:
        used = (picture != 0).any(1)  # [steps, h, w]
        before = torch.cat((torch.zeros_like(used[:1]), used[:-1]))
        context = contexts(used, before).numpy()  # [steps, h, w]
        for t, probabilities in zip(range(len(picture)), rate.probabilities, strict=False):
            symbols = picture[t].permute(1, 2, 0).reshape(-1).numpy().astype(np.int32) + LARGEST
            rows = probabilities[:, context[t].ravel()].swapaxes(0, 1)  # [places, channels, SYMBOLS]
            coder.encode(symbols, family, np.ascontiguousarray(rows.reshape(-1, rows.shape[2])))
    return seal(coder)


def unpack(payload: bytes, rate: Rate, shape: tuple[int, ...]) -> Tensor:
    """The way back; ``shape`` is (N, steps, channels, h, w)."""
    family = _family()
    coder = decoder(payload)
    n, steps, channels, height, width = shape
    values = np.zeros((n, steps, height, width, channels), np.int8)
    probabilities = np.ascontiguousarray(rate.probabilities.swapaxes(1, 2))  # [steps, CONTEXTS, channels, SYMBOLS]
    for picture in values:
        before = np.zeros((height, width), int)
        for t in range(steps):
            used = np.zeros((height + 1, width + 1), int)  # with a rim of nothing above and to the left
            for y in range(height):
                for x in range(width):
                    context = used[y + 1, x] + used[y, x + 1] + before[y, x]
                    try:
                        found = coder.decode(family, probabilities[t, context])
                    except AssertionError:  # the coder's word for a stream that no such tables can have written
                        raise GenlibError(
                            "The file's bits do not fit its tables: compress the pictures again."
                        ) from None
                    picture[t, y, x] = found - LARGEST
                    used[y + 1, x + 1] = picture[t, y, x].any()
            before = used[1:, 1:]
    return torch.from_numpy(values).permute(0, 1, 4, 2, 3).contiguous()


def _family() -> Any:
    import constriction

    return constriction.stream.model.Categorical(perfect=False)


# Symbols to pictures


@torch.no_grad()
def pictures(
    model: Any, values: Tensor, grid: float, mean: bool = False, seed: int = 0, progress: Progress | None = None
) -> Tensor:
    """What symbols [N, steps, channels, h, w] become, [N, C, H, W] in [0, 1]; see `decompress`."""
    generator = model.generator(seed)
    found = [
        picture
        for part in _progressing(values, progress)
        for *_, picture in [unfolding(model, part, grid, mean, generator)]
    ]
    return torch.cat(found) if found else torch.zeros(0, *model.config.shape)


@torch.no_grad()
def unfolding(model: Any, values: Tensor, grid: float, mean: bool, generator: torch.Generator) -> Iterator[Tensor]:
    """The picture after each of all the model's steps, [N, C, H, W], those of the symbols first."""
    with full_precision(model.device):
        state = model.begin(len(values))
        for t in range(model.config.steps):
            centre, log_sigma = model.prior(state)
            if t < values.shape[1]:
                u = grid * values[:, t].to(centre)
            elif mean:
                u = torch.zeros_like(centre)
            else:
                u = torch.randn(centre.shape, generator=generator, device=centre.device, dtype=centre.dtype)
            state = model.take(state, centre + log_sigma.exp() * u)
            yield model.picture(state)


def _progressing(batch: Tensor, progress: Progress | None) -> Iterator[Tensor]:
    for start in range(0, len(batch), CHUNK):
        yield batch[start : start + CHUNK]
        if progress is not None:
            progress(min(start + CHUNK, len(batch)), len(batch))
