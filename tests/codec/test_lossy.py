"""The lossy codec: files that keep their budget, decode to what the encoder saw, and cost what the tables say."""

import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plain_optimizers import train
from safetensors.torch import save_file
from torch import Tensor

from genlib.codec import lossy, tables
from genlib.codec.calibration import calibrate, histogram
from genlib.codec.container import Container
from genlib.codec.tables import CONTEXTS, LARGEST, ONE, SYMBOLS, CodeTables
from genlib.errors import GenlibError
from genlib.models import create
from genlib.models.conv_draw import ConvDRAW

SHAPE = (3, 12, 8)
SIZE: dict[str, Any] = {"steps": 4, "hidden": 6, "latent": 2, "read": 4, "patch": 4, "levels": 256}


@cache
def model(levels: int = 256) -> ConvDRAW:
    """A small model with a code that matters: its weights are large, and its posteriors narrow."""
    config = ConvDRAW.configure(None, SHAPE, **{**SIZE, "levels": levels})
    found = ConvDRAW.from_config(config, 0).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
        found.posterior_code.weight.mul_(4)
        found.posterior_code.bias[2:] -= 2.0
    return found


def images(n: int = 5, seed: int = 0) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def halves(n: int, seed: int = 0) -> Tensor:
    """Images of two flat colours, one above the other."""
    colours = torch.rand(n, 3, 2, 1, generator=torch.Generator().manual_seed(seed))
    return colours.repeat_interleave(SHAPE[1] // 2, 2).expand(n, *SHAPE).contiguous()


@cache
def learned() -> ConvDRAW:
    """A model that has learned something of `halves`."""
    network = ConvDRAW.from_config(ConvDRAW.configure(None, SHAPE, **SIZE, learning_rate=0.01), 0)
    train(network, halves(16), 100)
    return network.eval()


@cache
def own_tables() -> CodeTables:
    return calibrate(learned(), halves(24, seed=1), bits=(40, 80, 160))


def payload(data: bytes) -> bytes:
    return Container.from_bytes(data).payload


# Files


@pytest.mark.parametrize("levels", [2, 256])
@pytest.mark.parametrize("bits", [1, 9, 33.3, 77, 153, 1000])
def test_files_keep_their_budget_and_decode_to_what_was_chosen(bits: float, levels: int) -> None:
    network, batch = model(levels), images()
    data = lossy.compress(network, batch, bits=bits)
    assert 8 * len(payload(data)) <= bits * len(batch)
    container = Container.from_bytes(data)
    rate = lossy.rate_of(network, container)
    chosen = lossy.choose(network, batch, rate, 8 * int(bits * 5 // 8) / 5 - lossy.SLACK)
    assert torch.equal(lossy.read_symbols(network, container), chosen.values)
    for mean in (False, True):
        decoded = lossy.decompress(network, data, mean=mean)
        assert decoded.shape == batch.shape
        assert torch.equal(decoded, lossy.pictures(network, chosen.values, rate.grid, mean))
        assert torch.equal(decoded, lossy.decompress(network, data, mean=mean))


def test_many_pictures_are_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """In chunks, the last one smaller; and the same whatever number of threads the process uses elsewhere."""
    monkeypatch.setattr(lossy, "CHUNK", 4)
    data = lossy.compress(model(), images(11), bits=100)
    torch.set_num_threads(2)
    try:
        again = lossy.compress(model(), images(11), bits=100)
        decoded = lossy.decompress(model(), again, mean=True)
    finally:
        torch.set_num_threads(1)
    assert data == again
    assert torch.equal(decoded, lossy.decompress(model(), data, mean=True))
    assert len(data) < 11 * 100 / 8 + 60


def test_a_caller_without_gradients_gets_the_same_file() -> None:
    data = lossy.compress(model(), images(2), bits=100)
    with torch.inference_mode():
        assert lossy.compress(model(), images(2), bits=100) == data


def test_no_pictures_are_a_file_too() -> None:
    data = lossy.compress(model(), images(0), bits=100)
    assert lossy.decompress(model(), data).shape == (0, *SHAPE)


def test_more_bits_show_more() -> None:
    errors = []
    for bits in (2, 60, 160):
        decoded = lossy.decompress(learned(), lossy.compress(learned(), halves(8), bits=bits), mean=True)
        errors.append(float((decoded - halves(8)).square().mean()))
    assert errors[0] > 1.2 * errors[1]
    assert errors[1] > 1.2 * errors[2]


def test_the_rest_is_drawn_or_is_the_mean() -> None:
    data = lossy.compress(model(), images(), bits=100)

    def decoded(**values: object) -> Tensor:
        return lossy.decompress(model(), data, **values)  # type: ignore[arg-type]

    kept = Container.from_bytes(data).fields[3]
    assert torch.equal(decoded(steps=kept), decoded())
    assert not torch.equal(decoded(steps=1), decoded(steps=1, seed=1))
    assert torch.equal(decoded(steps=1, mean=True), decoded(steps=1, mean=True, seed=1))
    nothing = decoded(steps=0, mean=True)
    assert torch.equal(nothing, nothing[:1].expand_as(nothing))


def test_player_sees_the_picture_grow() -> None:
    """`unfolding` has a picture for every step, and its last is that of `pictures`."""
    data = lossy.compress(model(), images(), bits=200)
    values = lossy.read_symbols(model(), Container.from_bytes(data))
    grid = lossy.rate_of(model(), Container.from_bytes(data)).grid
    shown = list(lossy.unfolding(model(), values, grid, True, model().generator(0)))
    assert len(shown) == model().config.steps
    assert torch.equal(shown[-1], lossy.decompress(model(), data, mean=True))


# What is refused


def test_wrong_input_is_one_sentence() -> None:
    with pytest.raises(GenlibError, match=r"gan has no code that can be kept step by step.*take conv-draw\.$"):
        lossy.compress(create("gan", "quick"), images(), bits=100)
    with pytest.raises(GenlibError, match=r"of 3 x 12 x 8 .*, not 3 x 8 x 8: resize them\.$"):
        lossy.compress(model(), images()[:, :, :8], bits=100)
    for bits in (0, -3, math.nan):
        with pytest.raises(GenlibError, match=r"bits = .* is not possible: a picture takes at least 1 bit\.$"):
            lossy.compress(model(), images(), bits=bits)


def test_other_tables_are_refused() -> None:
    data = lossy.compress(learned(), images(), bits=100, tables=own_tables())
    assert lossy.decompress(learned(), data, tables=own_tables()).shape == (5, *SHAPE)
    with pytest.raises(GenlibError, match="other code tables"):
        lossy.decompress(learned(), data)


def test_other_weights_are_refused() -> None:
    data = lossy.compress(model(), images(), bits=100)
    with pytest.raises(GenlibError, match="other weights"):
        lossy.decompress(ConvDRAW.from_config(model().config, 1), data)


# Choosing symbols


def test_decision_is_the_best_of_all_symbols() -> None:
    """Against trying every symbol, where no context matters."""
    generator = torch.Generator().manual_seed(0)
    target = 3 * torch.randn(2, 3, 4, 4, generator=generator)
    precision = torch.rand(2, 3, 4, 4, generator=generator) * 4
    k = torch.arange(-LARGEST, LARGEST + 1)
    costs = (0.3 + k.abs() * torch.rand(3, 1, 1, generator=generator)).expand(3, CONTEXTS, SYMBOLS)  # dearer outwards
    weight = torch.tensor([0.2, 2.0]).view(2, 1, 1, 1)
    found, nats = lossy._decide(target, precision, weight, costs, torch.zeros(2, 4, 4, dtype=torch.bool))
    wanted = weight[..., None] * costs[:, None, :1] + precision[..., None] * (k - target[..., None]).square()

    def loss(symbols: Tensor) -> Tensor:
        return wanted.gather(4, (symbols[..., None] + LARGEST).long())[..., 0]

    torch.testing.assert_close(nats, costs[torch.arange(3)[:, None, None], 0, (found + LARGEST).long()])
    best = wanted.min(4).values
    assert (loss(found) <= best + 1e-5).float().mean() > 0.95  # what lies between nearest and zero is not tried
    assert ((loss(found) - best) < 1.0).all()


def test_an_idle_number_is_left_at_the_mean() -> None:
    """q = p: the symbol is 0, whatever a nat weighs."""
    network = ConvDRAW.from_config(model().config, 0)
    with torch.no_grad():
        network.posterior_code.weight.zero_()
        network.posterior_code.bias.zero_()
    rate = tables.guessed(network).rates[0]
    found = lossy.quantise(network, images(), rate, rate.steps, torch.full((5,), 1e-6))
    assert not found.values.any()


# Symbols and bits


def symbols(n: int = 6, seed: int = 0) -> Tensor:
    """Sparse random symbols of the model's shape [n, 4, 2, 3, 2]."""
    generator = torch.Generator().manual_seed(seed)
    values = (2 * torch.randn(n, 4, 2, 3, 2, generator=generator)).round().clamp(-LARGEST, LARGEST)
    return (values * (torch.rand(values.shape, generator=generator) < 0.3)).to(torch.int8)


@pytest.mark.parametrize("number", [0, 3, 6])
def test_symbols_come_back_and_cost_what_the_tables_say(number: int) -> None:
    rate, values = tables.guessed(model()).rates[number], symbols()
    data = lossy.pack(values, rate)
    assert torch.equal(lossy.unpack(data, rate, tuple(values.shape)), values)
    bits = float((histogram(values) * rate.nats.double()).sum()) / math.log(2)
    assert bits - 16 < 8 * len(data) < bits + 8.1  # the coder's last interval may hold a shorter number, by luck


def test_contexts_by_hand() -> None:
    values = symbols(2)
    used = (values != 0).any(2)
    before = torch.cat((torch.zeros_like(used[:, :1]), used[:, :-1]), 1)
    found = tables.contexts(used, before)
    for n, t, y, x in np.ndindex(*used.shape):
        wanted = int(x > 0 and used[n, t, y, x - 1]) + int(y > 0 and used[n, t, y - 1, x])
        assert int(found[n, t, y, x]) == wanted + int(t > 0 and used[n, t - 1, y, x])


def test_histogram_by_hand() -> None:
    values = symbols(2)
    used = (values != 0).any(2)
    before = torch.cat((torch.zeros_like(used[:, :1]), used[:, :-1]), 1)
    context = tables.contexts(used, before)
    wanted = torch.zeros(4, 2, CONTEXTS, SYMBOLS, dtype=torch.long)
    for n, t, c, y, x in np.ndindex(*values.shape):
        wanted[t, c, context[n, t, y, x], int(values[n, t, c, y, x]) + LARGEST] += 1
    assert torch.equal(histogram(values), wanted)


# Tables


def test_tables_are_probabilities_without_zeros() -> None:
    for each in (*tables.guessed(model()).rates, *own_tables().rates):
        assert each.counts.dtype == torch.int16
        assert (each.counts > 0).all()
        assert (each.counts.long().sum(-1) == ONE).all()
        np.testing.assert_allclose(each.probabilities.sum(-1), 1, rtol=1e-6)


def test_counting_finds_the_law() -> None:
    law = torch.softmax(torch.randn(SYMBOLS, generator=torch.Generator().manual_seed(0)), 0)
    counts = tables.counted((1e6 * law).expand(CONTEXTS, SYMBOLS))
    torch.testing.assert_close(counts / ONE, law.expand(CONTEXTS, SYMBOLS), atol=2e-3, rtol=0.0)


def test_counted_tables_are_meant_for_their_bits_and_shorter_than_guessed_ones() -> None:
    """On other pictures of the same kind."""
    guess = tables.guessed(learned())
    for each in own_tables().rates:
        found = lossy.choose(learned(), halves(24, seed=2), each, each.bits)
        assert 0.5 * each.bits < float(found.nats.mean()) / math.log(2) <= each.bits
        counts = histogram(found.values).double()
        assert float(found.nats.sum()) == pytest.approx(float((counts * each.nats.double()).sum()), rel=1e-4)
        other = guess.rates[guess.nearest(each.bits)].nats[: each.steps].double()
        assert float(found.nats.sum()) < float((counts * other).sum())


def test_tables_in_a_file_are_found_by_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENLIB_CODES", str(tmp_path))
    before = tables.tables_of(learned())
    save_file(own_tables().tensors(), tmp_path / "some.safetensors", own_tables().header(learned()))
    found = tables.tables_of(learned())
    assert found.mark == own_tables().mark != before.mark
    for one, each in zip(found.rates, own_tables().rates, strict=True):
        assert (one.bits, one.steps, one.grid, one.gain) == (each.bits, each.steps, each.grid, each.gain)
        assert torch.equal(one.counts, each.counts)
    other = ConvDRAW.from_config(learned().config, 1)
    assert tables.tables_of(other).mark == tables.guessed(other).mark


@pytest.mark.parametrize("damage", ["cut", "empty", "sums", "older"])
def test_damaged_tables_are_one_sentence(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENLIB_CODES", str(tmp_path))
    path, tensors = tmp_path / "some.safetensors", own_tables().tensors()
    if damage == "sums":
        tensors = {name: counts + 1 for name, counts in tensors.items()}
    header = own_tables().header(learned())
    if damage == "older":  # before tables had a gain
        header = {name: text.replace(f'"format": {tables.FORMAT}', '"format": 1') for name, text in header.items()}
    save_file(tensors, path, header)
    if damage in ("cut", "empty"):
        path.write_bytes(path.read_bytes()[: 0 if damage == "empty" else 200])
    with pytest.raises(GenlibError, match=r"The code tables .* cannot be read .*: count them again .*\.$"):
        tables.tables_of(learned())


def test_a_gain_writes_what_a_finer_grid_would() -> None:
    """Posteriors twice as far from the prior's mean, on a grid twice as coarse as before, have the same first symbols."""
    rate = tables.guessed(model()).rates[4]
    weight = torch.full((5,), 0.1)
    fine = lossy.quantise(model(), images(), replace(rate, grid=0.5, gain=1.0), 1, weight)
    coarse = lossy.quantise(model(), images(), replace(rate, grid=1.0, gain=2.0), 1, weight)
    assert fine.values.any()
    assert torch.equal(fine.values, coarse.values)
    torch.testing.assert_close(fine.nats, coarse.nats)
