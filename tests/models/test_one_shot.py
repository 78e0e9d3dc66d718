"""One-shot: equal to the equations step by step, pairs that are pairs, and an example that decides what is painted."""

import pytest
import torch
from draw_reference import draw
from plain_optimizers import PlainOptimizers, train
from torch import Tensor

from genlib.errors import GenlibError
from genlib.models import configure, count_parameters
from genlib.models.one_shot import BANK, OneShot

SHAPES = [(1, 8, 8), (1, 6, 9), (3, 7, 5)]


def tiny(shape: tuple[int, int, int] = (1, 8, 8), noise: float = 0.3, **values: object) -> OneShot:
    """A small model; ``noise`` is added to all parameters, so that nothing is at its start value of zero."""
    sizes = {"steps": 4, "hidden": 10, "latent": 3, "read_size": 3, "write_size": 4, "example_size": 2}
    model = OneShot.from_config(OneShot.configure(None, shape, **{**sizes, "binarisation": "threshold", **values}))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(noise * torch.randn(parameter.shape, generator=generator))
    return model


def bits(shape: tuple[int, int, int] = (1, 8, 8), n: int = 4, seed: int = 0) -> Tensor:
    return (torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) < 0.4).float()


# Against the equations


@pytest.mark.parametrize("paste", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_bound_and_gradients_are_those_of_a_plain_loop(shape: tuple[int, int, int], paste: bool) -> None:
    """The fast implementation and the plain loop over the equations, in float64 under the same noise."""
    model = tiny(shape, paste=paste).double()
    images, examples = bits(shape, 5).double(), bits(shape, 5, seed=1).double()
    parameters = dict(model.named_parameters())
    bound = model._bound(images, model.generator(7), examples)
    nll, kl = draw(parameters, images, model.noise(5, model.generator(7)), 3, 4, examples, 2)
    torch.testing.assert_close(bound.reconstruction, nll)
    torch.testing.assert_close(bound.kl, kl.sum(1))
    weights = list(parameters.values())
    found = torch.autograd.grad((bound.reconstruction + bound.kl).sum(), weights)
    wanted = torch.autograd.grad((nll + kl.sum(1)).sum(), weights)
    for name, gradient, plain in zip(parameters, found, wanted, strict=True):
        torch.testing.assert_close(gradient, plain, msg=lambda text, name=name: f"{name}: {text}")


def test_parameter_count_by_hand() -> None:
    """Four gates see (glimpses of image and error 2 x 5 x 5, of the example 12 x 12, h^dec 256, h^enc 256), or (z 16, glimpse
    12 x 12, h^dec 256), and a bias; four boxes of five numbers."""
    encoder = 4 * 256 * (2 * 25 + 144 + 256 + 256 + 1)
    decoder = 4 * 256 * (16 + 144 + 256 + 1)
    posterior, boxes, patch = 2 * 16 * (256 + 1), 4 * 5 * (256 + 1), 25 * (256 + 1)
    starts = 256 + 256 + 28 * 28
    with torch.device("meta"):
        model = OneShot(configure("one-shot", "tutorial", "omniglot"))
    assert count_parameters(model) == encoder + decoder + posterior + boxes + patch + starts == 1_172_061
    with torch.device("meta"):
        without = OneShot(configure("one-shot", "by-heart", "omniglot"))
    narrower = 2 * 4 * 256 * (144 - 49)  # 7 x 7 in the place of 12 x 12, for encoder and decoder
    assert count_parameters(without) == count_parameters(model) - narrower - 5 * (256 + 1) == 976_216


# Pairs


def test_each_image_is_painted_with_another_of_its_label() -> None:
    model = tiny()
    images = torch.arange(1.0, 8.0).view(7, 1, 1, 1).expand(7, 1, 8, 8) / 10
    labels = torch.tensor([3, 3, 5, 9, 5, 3, 7])
    partners = model._partners(images, labels, model.generator(0))[:, 0, 0, 0] * 10
    assert [round(value) for value in partners.tolist()] == [2, 6, 5, 0, 3, 1, 0]  # 0: alone, and the bank is blank


def test_a_pair_is_turned_alike_and_every_turn_is_exact() -> None:
    model = tiny(turns=True)
    first = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    ways = [(mirror, quarter) for mirror in (False, True) for quarter in range(4)]
    turned = torch.cat([(first.flip(3) if mirror else first).rot90(quarter, (2, 3)) for mirror, quarter in ways])
    varied = model._varied(first.expand(200, -1, -1, -1), model.generator(0))
    nearest = (varied.flatten(1)[:, None] - turned.flatten(1)).abs().amax(2).min(1)
    assert nearest.values.max() < 1e-4
    assert torch.equal(nearest.indices[::2], nearest.indices[1::2])
    assert nearest.indices.unique().tolist() == list(range(8))


def test_warping_is_slight_and_each_image_has_its_own() -> None:
    model = tiny(turns=False, warp=0.1)
    image = torch.zeros(1, 1, 28, 28)
    image[:, :, 8:20, 8:20] = 1
    varied = model._varied(image.expand(40, -1, -1, -1), model.generator(0))
    assert len(varied.flatten(1).unique(dim=0)) == 40
    assert ((varied > 0.5) == (image > 0.5)).float().mean() > 0.85
    unchanged = tiny(turns=False, warp=0.0)
    assert torch.equal(unchanged._varied(image, unchanged.generator(0)), image)


# The bank


def test_the_bank_takes_the_first_training_images_and_no_others() -> None:
    model = tiny(turns=False)
    optimizers = PlainOptimizers(model)
    batches = [bits(n=50, seed=seed) for seed in range(4)]
    labels = torch.arange(50) // 2
    for batch in batches:
        model.training_step(batch, labels, optimizers)
    wanted = torch.cat(batches)[::2][:BANK]
    assert int(model.banked) == BANK
    assert torch.equal(model.bank.float() / 255, wanted)


def test_without_an_example_the_bank_gives_one() -> None:
    model = tiny()
    model._deposit(bits(n=3))
    seen = model.trace(n=30).examples
    assert seen is not None
    assert torch.equal(seen.flatten(1).unique(dim=0), bits(n=3).flatten(1).unique(dim=0))


# What a trained model can do


def test_the_trace_is_of_the_very_picture() -> None:
    model = tiny(paste=True)
    images, examples = bits(n=3), bits(n=3, seed=1)
    drawn = model.trace(n=3, seed=5, temperature=0.7, example=examples)
    assert torch.equal(drawn.canvases[:, -1], model.sample_like(examples, 1, seed=5, temperature=0.7)[:, 0])
    assert torch.equal(model.trace(n=3, seed=5).canvases[:, -1], model.sample(3, seed=5))
    read = model.trace(images, seed=5, example=examples)
    bound = model.bound_given(images, examples, seed=5)
    assert read.kl is not None
    assert read.example is not None
    assert read.example_glimpses is not None
    torch.testing.assert_close(read.kl.sum(1), bound.kl)
    assert read.example_glimpses.shape == (3, 4, 1, 2, 2)
    assert read.paste is not None
    assert read.example.centre_x.shape == read.paste.centre_x.shape == (3, 4)


def test_many_pictures_of_each_example() -> None:
    model = tiny()
    examples = bits(n=2)
    pictures = model.sample_like(examples, 3, seed=1)
    assert pictures.shape == (2, 3, 1, 8, 8)
    flat = model.trace(n=6, seed=1, example=examples.repeat_interleave(3, 0)).canvases[:, -1]
    assert torch.equal(pictures.flatten(0, 1), flat)


def test_more_draws_tighten_the_bound() -> None:
    model = tiny(noise=0.6)
    images, example = bits(n=1).expand(400, -1, -1, -1), bits(n=1, seed=1)
    elbo = -sum(model.bound_given(images, example))
    one, ten = (model.iwae_given(images, example, k, seed=k) for k in (1, 10))
    assert abs(elbo.mean() - one.mean()) < 4 * (elbo.std() + one.std()) / 20  # the same expectation
    assert ten.mean() > one.mean()


def test_examples_of_another_number_or_shape_are_one_sentence() -> None:
    model = tiny()
    with pytest.raises(
        GenlibError, match=r"one-shot was given examples of shape \(3, 1, 8, 8\) for 2 pictures: give one"
    ):
        model.bound_given(bits(n=2), bits(n=3))
    with pytest.raises(GenlibError, match=r"of shape \(1, 1, 8, 8\)"):
        model.sample_like(bits((1, 6, 9), 1), 2)


def test_it_learns_to_paint_what_it_is_shown() -> None:
    """Bars: trained on rows and columns; then it is shown bars of both kinds and must paint those, not others."""
    bars = torch.zeros(16, 1, 8, 8)
    for i in range(8):
        bars[i, :, i], bars[8 + i, :, :, i] = 1, 1
    model = tiny(noise=0.0, hidden=48, example_size=8, write_size=8, read_size=4, learning_rate=1e-2, turns=False)
    labels = torch.arange(16)
    train(model, bars.repeat_interleave(2, 0), 120, labels.repeat_interleave(2))
    pictures = model.sample_like(bars, 4).flatten(1, 1)
    nearest = (pictures[:, :, None] - bars[None, None]).square().flatten(3).sum(3).argmin(2)  # [16, 4]
    assert (nearest == labels[:, None]).float().mean() > 0.5  # chance is 1 in 16
