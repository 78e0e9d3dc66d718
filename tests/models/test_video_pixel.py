"""Video pixel networks: exact over time, equal to a plain loop over the frames, and a film goes on as it began."""

import math

import pytest
import torch
from plain_optimizers import train
from small_models import small
from torch import Tensor

from genlib.models import configure, count_parameters
from genlib.models.video_pixel import VideoPixel


def films(shape: tuple[int, int, int] = (1, 6, 4), n: int = 3, seed: int = 0) -> Tensor:
    return (torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) < 0.5).double()


def tiny(shape: tuple[int, int, int] = (1, 6, 4), **values: object) -> VideoPixel:
    """Three frames of two rows in float64, with weights large enough that pixels depend strongly on each other."""
    model = small("video-pixel", shape, seed=1, **values).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    assert isinstance(model, VideoPixel)
    return model


@pytest.mark.parametrize("shape", [(1, 6, 4), (1, 5, 4), (3, 6, 3)])
def test_the_logits_are_those_of_a_plain_loop_over_the_frames(shape: tuple[int, int, int]) -> None:
    model = tiny(shape)
    x = films(shape)
    blank = torch.zeros(3, shape[0], 2, shape[2], dtype=torch.float64)
    padded = torch.cat((x, blank[:, :, : 6 - shape[1]]), 2)
    state = cell = torch.zeros(3, 4, 2, shape[2], dtype=torch.float64)
    before, wanted = blank, []
    assert model.encoder is not None
    assert model.memory is not None
    for start in (0, 2, 4):
        frame = padded[:, :, start : start + 2]
        state, cell = model.memory(model.encoder(before), state, cell)
        wanted.append(model.decoder(frame, state))
        before = frame
    torch.testing.assert_close(model(x), torch.cat(wanted, 2)[:, :, : shape[1]])


def test_a_frame_sees_all_of_the_frames_before_and_nothing_after() -> None:
    model = tiny(encoder_blocks=2, memory=5)
    x = films(n=1).requires_grad_()
    logits = model(x)
    for pixel in range(logits[0, 0].numel()):
        row, column = divmod(pixel, 4)
        (gradient,) = torch.autograd.grad(logits[0, 0, row, column], x, retain_graph=True)
        seen = gradient[0, 0].flatten() != 0
        assert seen[: row // 2 * 8].all()  # frames of eight pixels
        assert not seen[pixel:].any()


def test_the_nats_of_the_frames_add_up() -> None:
    model = tiny()
    x = films()
    nats = model.nats_by_frame(x)
    assert nats.shape == (3, 3)
    torch.testing.assert_close(nats.sum(1), -model.log_prob(x))
    changed = x.clone()
    changed[:, :, 4:] = 1 - changed[:, :, 4:]
    assert torch.equal(model.nats_by_frame(changed)[:, :2], nats[:, :2])


def test_without_memory_the_frames_are_strangers() -> None:
    model = tiny(told="nothing")
    assert set(model.parts()) == {"decoder"}
    x = films()
    swapped = torch.cat((x[:, :, 4:], x[:, :, 2:4], x[:, :, :2]), 2)
    torch.testing.assert_close(model.nats_by_frame(swapped), model.nats_by_frame(x).flip(1))


def test_a_film_is_gone_on_with() -> None:
    """Completion whose first frame is known: it stays, and what follows depends on it."""
    model = tiny()
    known = torch.zeros(6, 4, dtype=torch.bool)
    known[:2] = True
    x = films(n=2)
    drawn = model.complete(x, known, 20, seed=1)
    assert torch.equal(drawn[:, :, :, :2], x[:, None, :, :2].expand(-1, 20, -1, -1, -1))
    assert (drawn[0, :, :, 2:].mean(0) - drawn[1, :, :, 2:].mean(0)).abs().max() > 0.2


def test_parameter_count_by_hand() -> None:
    """Encoder 3 x 3: 1 -> 16, two blocks of 16 -> 16 -> 16; memory: four gates of 16 from 16 + 16. Decoder, p = 16, five layers,
    told 16 maps: 3 (first 4) rows of 3 (7) for the vertical stack and half a row for the horizontal one, 2 p each."""
    encoder = 16 * (9 + 1) + 2 * 2 * 16 * (16 * 9 + 1)
    memory = 4 * 16 * (32 * 9 + 1)

    def layer(inputs: int, kernel: int, last: bool) -> int:
        half = kernel // 2 + 1
        vertical, horizontal = 32 * (inputs * half * kernel + 1), 32 * inputs * half
        across, out, told = 32 * (32 + 1), 16 * (16 + 1), 16 * 32 * (1 if last else 2)
        return vertical + horizontal + across + out + told

    decoder = layer(1, 7, False) + 3 * layer(16, 3, False) + layer(16, 3, True) + 32 * (16 + 1) + 32 + 1
    model = VideoPixel(configure("video-pixel", "tutorial", "bouncing_mnist"))
    assert {name: count_parameters(part) for name, part in model.parts().items()} == {
        "encoder": encoder,
        "memory": memory,
        "decoder": decoder,
    }
    assert count_parameters(model) == 57_329


def test_it_learns_that_things_go_on() -> None:
    """A dot that goes right by one each frame: where it begins is chance, ln 12; where it goes then is not."""
    x = torch.zeros(24, 1, 9, 6)
    for i in range(24):
        for frame in range(3):
            x[i, 0, 3 * frame + i % 3, i % 4 + frame] = 1
    model = small("video-pixel", (1, 9, 6), frame=3, hidden=12, layers=3, memory=8, encoder=8, learning_rate=1e-2)
    assert isinstance(model, VideoPixel)
    train(model, x, 230)
    first, second, third = model.nats_by_frame(x).mean(0).tolist()
    assert first > math.log(12) - 1e-4
    assert second < 0.5 * first
    assert third < 0.5 * first
