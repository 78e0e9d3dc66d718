"""The walk over the pixels and the draws, without a network."""

import math

import pytest
import torch
from torch import Tensor

from genlib.errors import GenlibError
from genlib.sampling import PixelDraws, check_temperature, draw_rows, uniforms

FINE = 1000


def drawn(logits: list[float], levels: int, temperature: float) -> Tensor:
    """Values drawn from the same logits for evenly spread uniform numbers: their shares are the probabilities."""
    u = ((torch.arange(FINE) + 0.5) / FINE).view(1, 1, 1, FINE)
    return PixelDraws(u, levels, temperature)(torch.tensor(logits).expand(FINE, -1), 0, 0, 0)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("logit", [-3.0, -0.2, 0.0, 1.5])
def test_bits_come_with_the_probability_of_their_logit(logit, temperature):
    values = drawn([logit], 2, temperature)
    assert set(values.unique().tolist()) <= {0.0, 1.0}
    assert values.mean().item() == pytest.approx(1 / (1 + math.exp(-logit / temperature)), abs=1 / FINE)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("logits", [[0.0, 1.0, -1.0], [2.0, 0.5, 0.5, -4.0, 1.0]])
def test_levels_come_with_the_probability_of_their_logits(logits, temperature):
    levels = len(logits)
    values = drawn(logits, levels, temperature) * (levels - 1)
    shares = torch.stack([(values.round() == level).float().mean() for level in range(levels)])
    torch.testing.assert_close(shares, (torch.tensor(logits) / temperature).softmax(0), atol=1.5 / FINE, rtol=0)


@pytest.mark.parametrize("temperature", [0.0, 1e-30])
def test_without_warmth_only_the_likeliest_value_is_drawn(temperature):
    assert drawn([0.1], 2, temperature).min() == 1
    assert drawn([-0.1], 2, temperature).max() == 0
    assert torch.equal(drawn([0.1, 80.0, -80.0], 3, temperature), torch.full((FINE,), 0.5))


@pytest.mark.parametrize("temperature", [-0.1, math.nan, math.inf])
def test_what_is_no_temperature_is_refused(temperature):
    with pytest.raises(GenlibError, match="temperature"):
        check_temperature(temperature)


def test_the_numbers_of_an_image_do_not_depend_on_how_many_there_are():
    few, many = (uniforms(n, (3, 4, 5), torch.Generator().manual_seed(7)) for n in (3, 40))
    assert few.shape == (4, 5, 3, 3)
    assert torch.equal(few, many[..., :3])
    assert many.unique().numel() > 0.99 * many.numel()


class Recorder:
    """A state that writes down what it is asked, and always wants a one."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.row = -1

    def fill_rows(self, values: Tensor) -> None:
        self.calls.append(("fill", self.row + 1, values.clone()))
        self.row += values.shape[2]

    def begin_row(self) -> None:
        self.row += 1

    def logits(self, column: int, channel: int) -> Tensor:
        self.calls.append(("logits", self.row, column, channel))
        return torch.full((2, 1), 100.0)

    def write(self, column: int, channel: int, values: Tensor) -> None:
        self.calls.append(("write", self.row, column, channel, values.tolist()))


def test_the_walk_asks_for_what_is_unknown_and_tells_what_is_known():
    known = torch.tensor([[1, 1, 1], [1, 1, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1], [1, 1, 1]]).bool()
    before = torch.zeros(2, 2, 6, 3)
    before[0] = 0.25  # known values differ between the two images
    canvas = before.clone()
    state = Recorder()
    rows = list(draw_rows(state, canvas, known, PixelDraws(torch.full((6, 3, 2, 2), 0.5), 2, 1.0)))

    assert rows == [2, 4]
    assert torch.equal(canvas, torch.where(known, before, 1.0))
    fills = [(call[1], call[2]) for call in state.calls if call[0] == "fill"]
    assert [(row, x.shape[2]) for row, x in fills] == [(0, 2), (3, 1)]  # whole known rows at once, none after the end
    assert torch.equal(fills[0][1], before[:, :, :2])
    # row 2: only the middle pixel is asked for, channel by channel, each written before the next one is asked for;
    # row 4: nothing after the last unknown pixel
    known_value, one = [0.25, 0.0], [1.0, 1.0]
    assert [call for call in state.calls if call[0] != "fill"] == [
        ("write", 2, 0, 0, known_value), ("write", 2, 0, 1, known_value),
        ("logits", 2, 1, 0), ("write", 2, 1, 0, one), ("logits", 2, 1, 1), ("write", 2, 1, 1, one),
        ("write", 2, 2, 0, known_value), ("write", 2, 2, 1, known_value),
        ("logits", 4, 0, 0), ("write", 4, 0, 0, one), ("logits", 4, 0, 1), ("write", 4, 0, 1, one),
    ]  # fmt: skip


def test_the_caller_keeps_its_own_gradient_mode():
    canvas = torch.zeros(2, 2, 2, 2)
    known = torch.zeros(2, 2, dtype=torch.bool)
    for _ in draw_rows(Recorder(), canvas, known, PixelDraws(torch.full((2, 2, 2, 2), 0.5), 2, 1.0)):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    assert not canvas.is_inference()
