"""The cached sampler draws what the naive one draws, pixel for pixel."""

import pytest
import torch
from naive import naive_complete, naive_sample
from torch import Tensor

from genlib.models.pixelcnn import PixelCNN
from genlib.sampling import MaskedStackState, PixelDraws, draw_rows, uniforms

NETWORKS = {
    "residual": {},
    "bottleneck": {"body": "bottleneck"},
    "plain": {"body": "plain"},
    "no blocks": {"blocks": 0, "first_kernel": 5},
    "bottleneck, no blocks, no head": {"body": "bottleneck", "blocks": 0, "head_layers": 0},
    "wider than the image": {"first_kernel": 11},
    "5 levels": {"levels": 5},
    "leaky": {"first_mask": "B"},
}
COLOURS = {
    "colour": {},
    "colour, bottleneck": {"body": "bottleneck", "head_layers": 0},
    "colour, 4 levels": {"levels": 4, "body": "plain"},
    "colour, leaky, 3 levels": {"levels": 3, "first_mask": "B"},
}
MASKS = {
    "nothing": ["......", "......", "......", "......", "......"],
    "lower half": ["######", "######", "......", "......", "......"],
    "upper half": ["......", "......", "######", "######", "######"],
    "left half": ["###...", "###...", "###...", "###...", "###..."],
    "odd": [".##..#", "######", "#.####", "######", "##.##."],
    "a hole": ["######", "######", "##.###", "######", "######"],
    "the first pixel": [".#####", "######", "######", "######", "######"],
    "everything": ["######"] * 5,
}


def network(channels: int = 1, height: int = 5, width: int = 6, seed: int = 1, **values) -> PixelCNN:
    """A small network in float64 with weights large enough that pixels depend strongly on each other."""
    values = {"hidden": 7, "blocks": 2, "head": 5, **values}
    model = PixelCNN.from_config(PixelCNN.configure(None, (channels, height, width), **values), seed).double()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2.5)
    return model


def known(name: str) -> Tensor:
    return torch.tensor([[pixel == "#" for pixel in row] for row in MASKS[name]])


def pictures(channels: int) -> Tensor:
    return torch.rand(2, channels, 5, 6, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [1.0, 0.6, 2.0])
@pytest.mark.parametrize(
    ("channels", "values"),
    [(1, v) for v in NETWORKS.values()] + [(3, v) for v in COLOURS.values()],
    ids=[*NETWORKS, *COLOURS],
)
def test_samples(channels, values, temperature):
    model = network(channels, **values)
    cached = model.sample(5, seed=3, temperature=temperature)
    assert torch.equal(cached, naive_sample(model, 5, seed=3, temperature=temperature))
    assert 0 < cached.mean() < 1


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    ("channels", "values"),
    [(1, NETWORKS[n]) for n in ("residual", "bottleneck", "5 levels", "leaky")]
    + [(3, COLOURS[n]) for n in ("colour", "colour, 4 levels")],
    ids=["residual", "bottleneck", "5 levels", "leaky", "colour", "colour, 4 levels"],
)
def test_completions(channels, values, mask):
    model = network(channels, **values)
    images, keep = pictures(channels), known(mask)
    cached = model.complete(images, keep, 3, seed=8)
    assert cached.shape == (2, 3, channels, 5, 6)
    assert torch.equal(cached, naive_complete(model, images, keep, 3, seed=8))
    coded = model.code(images)[:, None].expand_as(cached)
    assert torch.equal(cached[..., keep], coded[..., keep])


@pytest.mark.parametrize("mask", ["odd", "left half", "everything"])
@pytest.mark.parametrize("channels", [1, 3])
def test_rows_as_they_appear_end_in_the_completion(channels, mask):
    model = network(channels)
    images, keep = pictures(channels), known(mask)
    final = model.complete(images, keep, 2, seed=4, temperature=0.8)
    stream = list(model.complete_rows(images, keep, 2, seed=4, temperature=0.8))
    assert [row for row, _ in stream] == [row for row in range(5) if not keep[row].all()]
    for row, so_far in stream:
        assert torch.equal(so_far[..., : row + 1, :], final[..., : row + 1, :])
        assert torch.equal(so_far[..., keep], final[..., keep])
        below = ~keep[row + 1 :]
        assert not so_far[..., row + 1 :, :][..., below].any()  # not drawn yet
    if stream:
        assert torch.equal(stream[-1][1], final)


class Listening(MaskedStackState):
    """Keeps the logits that were asked for."""

    heard: list[Tensor]

    def logits(self, column: int, channel: int) -> Tensor:
        answer = super().logits(column, channel)
        self.heard.append(answer.clone())
        return answer


@pytest.mark.parametrize("preset", ["tutorial", "paper", "small", "quick"])
def test_every_logit_on_the_way_is_the_one_of_a_forward_pass_over_the_finished_image(preset):
    model = PixelCNN.from_config(PixelCNN.configure(preset))  # full size, float32
    state = Listening(model.steps(), 2, 1, 28)
    state.heard = []
    keep = torch.zeros(28, 28, dtype=torch.bool)
    keep[:9] = keep[20] = True
    canvas = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0)).round() * keep
    for _ in draw_rows(state, canvas, keep, PixelDraws(uniforms(2, (1, 28, 28), model.generator(1)), 2, 1.0)):
        pass
    with torch.no_grad():
        logits = model(canvas)[:, 0, ~keep]  # [2, pixels]
    torch.testing.assert_close(torch.cat(state.heard, 1), logits, atol=1e-5, rtol=1e-4)


def test_the_seed_alone_decides_the_pictures():
    model = network()
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = model.sample(6, seed=11)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(model.sample(6, seed=11), first)
    assert not torch.equal(model.sample(6, seed=12), first)
    assert torch.equal(model.sample(2, seed=11), first[:2])  # nor does the number of pictures


def test_large_numbers_are_drawn_in_chunks_without_a_trace(monkeypatch):
    model = network(3)
    whole = model.sample(7, seed=2)
    monkeypatch.setattr("genlib.models.autoregressive.CHUNK", 3)
    assert torch.equal(model.sample(7, seed=2), whole)
