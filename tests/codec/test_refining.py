"""Refining symbols: the error never grows, the bits never do, and costs and gradients are what they are called."""

import math

import pytest
import torch
from test_lossy import halves, images, learned, model, own_tables, symbols
from torch import Tensor

from genlib.codec import lossy, refining
from genlib.codec.calibration import histogram
from genlib.codec.tables import LARGEST, Rate, guessed
from genlib.models.conv_draw import ConvDRAW


def error(network: ConvDRAW, values: Tensor, rate: Rate, originals: Tensor) -> Tensor:
    """Of the pictures that a decoder finishes by the mean, [N]."""
    return (lossy.pictures(network, values, rate.grid, mean=True) - originals).square().mean((1, 2, 3))


def nats(values: Tensor, rate: Rate) -> Tensor:
    """Counted by the tables, [N]."""
    return torch.stack([(histogram(each[None]) * rate.nats.double()).sum() for each in values])


@pytest.mark.parametrize("levels", [2, 256])
@pytest.mark.parametrize("share", [0.5, 1.0, 1.5])  # of what the symbols cost that they may cost
def test_neither_error_nor_bits_grow(share: float, levels: int) -> None:
    network, rate, values, batch = model(levels), guessed(model(levels)).rates[3], symbols(5), images()
    cost = nats(values, rate)
    allowed = share * float(cost.mean())
    found = refining.refine(network, values, batch, rate, allowed)
    assert (found.nats <= cost.clamp(min=allowed) + 1e-3).all()
    assert (found.error <= error(network, values, rate, batch) + 1e-6).all()
    if share >= 1:
        assert found.error.mean() < 0.95 * error(network, values, rate, batch).mean(), (
            "random symbols are easily bettered"
        )
    assert found.values.dtype == torch.int8
    assert found.values.abs().max() <= LARGEST
    torch.testing.assert_close(found.nats, nats(found.values, rate), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found.error, error(network, found.values, rate, batch), rtol=1e-4, atol=1e-6)


def test_what_rounding_chose_is_bettered_within_its_bits() -> None:
    """By `choose`, which refines, against the best of its own quantised symbols."""
    rate, batch = own_tables().rates[1], halves(8, seed=2)
    allowed = rate.bits * math.log(2)
    refined = lossy.choose(learned(), batch, rate, rate.bits)
    assert (refined.nats <= allowed).all()
    for weight in (0.25, 0.5, 1.0, 2.0, 4.0):
        plain = lossy.quantise(learned(), batch, rate, rate.steps, torch.full((8,), weight))
        fits = plain.nats <= allowed
        assert float(refined.error[fits].log().mean()) < float(plain.error[fits].log().mean()) or not fits.any()


def test_costs_of_all_symbols_are_those_of_the_tables() -> None:
    values, rate = symbols(3), guessed(model()).rates[2]
    costs = refining.symbol_costs(values.float(), rate)
    assert costs.shape == (*values.shape, 2 * LARGEST + 1)
    own = costs.gather(-1, values.long()[..., None] + LARGEST).flatten(1).double().sum(1)
    torch.testing.assert_close(own, nats(values, rate), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(costs.neg().exp().sum(-1), torch.ones(values.shape), rtol=1e-4, atol=1e-4)


def test_the_gradient_is_that_of_ln_error() -> None:
    """Against a difference, in double precision."""
    network = ConvDRAW.from_config(model().config, 0).double()
    network.load_state_dict({name: value.double() for name, value in model().state_dict().items()})
    values, batch = symbols(2).double(), images(2).double()
    rate = guessed(model()).rates[2]
    look = refining._look(network, values, batch, rate)
    for place in ((0, 0, 1, 2, 1), (1, 3, 0, 0, 0), (1, 2, 1, 1, 1)):
        nudge = torch.zeros_like(values)
        nudge[place] = 1e-5
        up, down = (error(network, each, rate, batch)[place[0]].log() for each in (values + nudge, values - nudge))
        assert float(look.gradient[place]) == pytest.approx(float(up - down) / 2e-5, rel=1e-4, abs=1e-8)


def test_moves_are_the_most_promising_ones_and_not_too_dear() -> None:
    values, rate = symbols(2).float(), guessed(model()).rates[4]
    look = refining._look(model(), values, images(2), rate)
    flat = torch.zeros(1, *values.shape[1:3], 1, 1)
    allowed = float(look.nats.max()) + 1.0
    few, many = (refining._moves(values, look, flat, 0.0, allowed, torch.full((2,), float(n))) for n in (3, 1000))
    assert (few != 0).flatten(1).sum(1).tolist() == [3, 3]
    assert torch.equal(few[few != 0], many[few != 0]), "more moves are those and others"
    gain = -(many * look.gradient).flatten(1)
    assert (gain[many.flatten(1) != 0] > 0).all(), "for no price and a flat curve, down the gradient"
    least = torch.where(few.flatten(1) != 0, gain, torch.inf).amin(1)
    assert (torch.where(few.flatten(1) == 0, gain, 0.0).amax(1) <= least).all()
    moved = values + many
    index = (moved + LARGEST).long()[..., None]
    dearer = look.costs.gather(-1, index)[..., 0] - look.costs.gather(-1, (values + LARGEST).long()[..., None])[..., 0]
    assert (dearer.flatten(1).amax(1) <= allowed - look.nats).all()
