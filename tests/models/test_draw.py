"""DRAW: equal to the paper's equations step by step, an honest bound, and a trace that shows what really happened."""

import math
from typing import TypeVar

import pytest
import torch
from draw_reference import draw
from plain_optimizers import train
from torch import Tensor

from genlib.errors import GenlibError
from genlib.layers import attention
from genlib.models import configure, count_parameters, create, get
from genlib.models.draw import DRAW
from genlib.models.draw_core import DrawModel
from genlib.models.draw_noattn import DRAWNoAttention
from genlib.models.gaussian import log_normal, log_standard_normal, standard_kl

M = TypeVar("M", bound=DrawModel)
SHAPES = [(1, 8, 8), (1, 6, 9), (3, 7, 5)]


def tiny(shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0, noise: float = 0.0, **values: object) -> DRAW:
    """A small model; ``noise`` is added to all parameters, so that nothing is at its start value of zero."""
    return noisy(DRAW, {"read_size": 2, "write_size": 3, **values}, shape, seed, noise)


def tiny_plain(shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0, **values: object) -> DRAWNoAttention:
    """The same without attention."""
    return noisy(DRAWNoAttention, values, shape, seed, 0.3)


def noisy(kind: type[M], values: dict[str, object], shape: tuple[int, int, int], seed: int, noise: float) -> M:
    model = kind.from_config(kind.configure(None, shape, **{"steps": 4, "hidden": 10, "latent": 3, **values}), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(noise * torch.randn(parameter.shape, generator=generator))
    return model


def bits(shape: tuple[int, int, int] = (1, 8, 8), n: int = 4, seed: int = 0) -> Tensor:
    return (torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) < 0.4).float()


# Against the equations


@pytest.mark.parametrize("with_attention", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_bound_and_gradients_are_the_papers(shape: tuple[int, int, int], with_attention: bool) -> None:
    """The fast implementation and the plain loop over the equations, in float64 under the same noise."""
    model = (tiny(shape, noise=0.3, read_size=3, write_size=4) if with_attention else tiny_plain(shape)).double()
    images = bits(shape, 5).double()
    parameters = dict(model.named_parameters())

    bound = model._bound(images, model.generator(7))
    nll, kl = draw(parameters, images, model.noise(5, model.generator(7)), 3, 4)
    torch.testing.assert_close(bound.reconstruction, nll)
    torch.testing.assert_close(bound.kl, kl.sum(1))

    weights = list(parameters.values())
    found = torch.autograd.grad((bound.reconstruction + bound.kl).sum(), weights)
    wanted = torch.autograd.grad((nll + kl.sum(1)).sum(), weights)
    for name, gradient, plain in zip(parameters, found, wanted, strict=True):
        torch.testing.assert_close(gradient, plain, msg=lambda text, name=name: f"{name}: {text}")


def test_half_precision_products_change_little() -> None:
    model = tiny(noise=0.2)
    images = bits(n=64)
    full = model._bound(images, model.generator(0))
    with torch.autocast("cpu", torch.bfloat16):
        half = model._bound(images, model.generator(0))
    assert half.reconstruction.dtype == half.kl.dtype == torch.float32
    assert not torch.equal(full.kl, half.kl)
    for found, wanted in zip(half, full, strict=True):
        torch.testing.assert_close(found.mean(), wanted.mean(), rtol=0.01, atol=0.0)


def test_what_is_shown_or_reported_is_never_in_half_precision() -> None:
    model = tiny(noise=0.2)
    images = bits()

    def results() -> list[Tensor]:
        trace = model.trace(images)
        assert trace.kl is not None
        assert trace.read is not None
        return [*model.bound(images), model.iwae(images, 3), model.sample(3), trace.canvases, trace.kl, *trace.read]

    full = results()
    with torch.autocast("cpu", torch.bfloat16):
        half = results()
    assert all(torch.equal(found, wanted) for found, wanted in zip(half, full, strict=True))


@pytest.mark.parametrize("preset", ["paper", "tutorial"])
def test_parameter_count_by_hand(preset: str) -> None:
    """Four gates see (glimpses of image and error 2 x 2 x 2, h^dec 256, h^enc 256), or (z 100, h^dec 256), and a bias."""
    encoder = 4 * 256 * (2 * 2 * 2 + 256 + 256 + 1)
    decoder = 4 * 256 * (100 + 256 + 1)
    posterior = 2 * 100 * (256 + 1)
    boxes = 2 * 5 * (256 + 1)
    patch = 5 * 5 * (256 + 1)
    starts = 256 + 256 + 28 * 28
    with torch.device("meta"):
        model = DRAW(configure("draw", preset, "mnist"))
    assert count_parameters(model) == encoder + decoder + posterior + boxes + patch + starts == 960_763


def test_parameter_count_without_attention_by_hand() -> None:
    """As above, but all pixels of image and error are read, and all pixels are written."""
    encoder = 4 * 256 * (2 * 784 + 256 + 256 + 1)
    decoder = 4 * 256 * (100 + 256 + 1)
    posterior, patch, starts = 2 * 100 * (256 + 1), 784 * (256 + 1), 256 + 256 + 784
    with torch.device("meta"):
        model = get("draw-noattn")(configure("draw-noattn", "paper", "mnist"))
    assert count_parameters(model) == encoder + decoder + posterior + patch + starts == 2_750_696


@pytest.mark.parametrize(
    ("preset", "data", "hidden", "latent", "steps", "side"),
    [("cifar10", "cifar10", 400, 200, 64, 5), ("svhn", "svhn", 800, 100, 32, 12)],
)
def test_colour_presets_are_the_papers_rows(
    preset: str, data: str, hidden: int, latent: int, steps: int, side: int
) -> None:
    with torch.device("meta"):
        model = get("draw")(configure("draw", preset, data))
    assert model.config.steps == steps
    encoder = 4 * hidden * (2 * 3 * side**2 + 2 * hidden + 1)
    decoder = 4 * hidden * (latent + hidden + 1)
    heads = (2 * latent + 2 * 5 + 3 * side**2) * (hidden + 1)
    assert count_parameters(model) == encoder + decoder + heads + 2 * hidden + 3 * 32 * 32
    assert "colour" in str(model.no_likelihood)


def test_config_of_an_older_checkpoint_tells_which_model_it_is() -> None:
    """Before `draw-noattn` had a name, attention was a switch."""
    values = configure("draw", "quick").model_dump()
    assert DRAW.validate_config({**values, "attention": True}) == configure("draw", "quick")
    with pytest.raises(GenlibError, match="choose the model draw-noattn"):
        DRAW.validate_config({**values, "attention": False})


# The bound


@torch.no_grad()
def test_kl_in_closed_form_is_its_expectation() -> None:
    """KL = E_q[log q - log p]; and 0 where q is the prior: the -1/2 is there for every latent and step."""
    assert float(standard_kl(torch.zeros(7), torch.zeros(7)).abs().sum()) == 0.0
    model = tiny(noise=0.3, steps=3).double()
    images = bits(n=1).double()
    steps = list(model.steps(model.noise(1, model.generator(0)), images))
    posterior = torch.stack([step.posterior[0] for step in steps])  # type: ignore[index]
    mean, log_sigma = posterior.chunk(2, 1)  # [T, latent]
    z = mean + log_sigma.exp() * torch.randn(200_000, 3, 3, generator=torch.Generator().manual_seed(1)).double()
    sampled = (log_normal(z, mean, 2 * log_sigma) - log_standard_normal(z)).sum((1, 2))
    closed = float(model.bound(images).kl)
    assert closed > 0.1
    assert abs(float(sampled.mean()) - closed) < 5 * float(sampled.std()) / math.sqrt(len(sampled))


@pytest.mark.parametrize("with_attention", [True, False])
def test_kl_of_each_latent_adds_up(with_attention: bool) -> None:
    model = tiny(noise=0.3) if with_attention else tiny_plain()
    found = model.distribution_step(bits(n=40), torch.zeros(40), model.generator(2))
    assert found.keys() == model.distributions.keys()
    assert found["kl_per_latent"].shape == (3,)
    terms = model.validation_step(bits(n=40), torch.zeros(40), model.generator(2))
    torch.testing.assert_close(found["kl_per_latent"].sum(), terms["kl"])


def test_posterior_equal_to_the_prior_costs_nothing() -> None:
    model = tiny(noise=0.3)
    with torch.no_grad():
        model.posterior.weight.zero_()
        model.posterior.bias.zero_()
    assert float(model.bound(bits()).kl.abs().max()) == 0.0
    trace = model.trace(bits())
    assert trace.kl is not None
    assert trace.kl.shape == (4, 4)


def test_each_step_gets_a_draw_of_its_own() -> None:
    noise = tiny(steps=6, latent=50).noise(40, torch.Generator().manual_seed(0))
    assert noise.shape == (6, 40, 50)
    correlations = torch.corrcoef(noise.flatten(1))
    torch.testing.assert_close(correlations, torch.eye(6), atol=0.1, rtol=0.0)
    assert float(noise.std()) == pytest.approx(1.0, abs=0.05)
    assert len(noise.unique()) > 0.99 * noise.numel()


@torch.no_grad()
def exact(model: DRAW, images: Tensor) -> Tensor:
    """log p(x) of a model with one step and one latent: the integral over z, by the trapezoidal rule in float64."""
    z = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    (step,) = model.steps(z.view(1, -1, 1), None)  # generating: the noise is z itself
    logits = step.canvas.flatten(1)  # [4001, pixels]
    x = images.flatten(1)[:, None]
    log_p = (x * logits - torch.nn.functional.softplus(logits)).sum(2) + log_standard_normal(z)  # [N, 4001]
    return (log_p.exp().sum(1) * (z[1] - z[0])).log()


def test_bounds_are_in_order_below_the_truth() -> None:
    """E ELBO <= E IWAE(5) <= E IWAE(50) <= log p(x), each clearly above the one before, and the last one near."""
    model = tiny((1, 3, 3), seed=3, noise=0.6, steps=1, latent=1).double()
    with torch.no_grad():
        model.patch.weight.mul_(6)  # a code that matters
    images = bits((1, 3, 3), 6, seed=1).double()
    truth = exact(model, images)
    draws = images.repeat_interleave(300, 0)

    def mean(values: Tensor) -> Tensor:
        return values.view(6, 300).mean(1)

    elbo, five, fifty = mean(model.elbo(draws)), mean(model.iwae(draws, 5)), mean(model.iwae(draws, 50))
    assert (elbo < five).all()
    assert (five < fifty).all()
    assert (fifty < truth + 0.01).all()
    torch.testing.assert_close(fifty, truth, atol=0.1, rtol=0.0)
    assert float((truth - elbo).mean()) > 0.1
    torch.testing.assert_close(model.iwae(images, 5_000), truth, atol=0.05, rtol=0.0)  # E w = p(x)


def test_more_steps_keep_the_order_of_the_bounds() -> None:
    model = tiny((1, 4, 4), seed=1, noise=0.4)
    images = bits((1, 4, 4), 3).repeat_interleave(300, 0)
    elbo, iwae = model.elbo(images).mean(), [model.iwae(images, k, seed=k).mean() for k in (1, 5, 25)]
    assert float(iwae[0]) == pytest.approx(float(elbo), abs=0.2)  # one draw: the ELBO in expectation
    assert elbo < iwae[1] < iwae[2]


def test_untrained_model_pays_ln_2_per_pixel() -> None:
    """A zero canvas is p = 1/2 everywhere; what an untrained model writes in 64 steps changes that by little."""
    model = create("draw", preset="paper", data="mnist")
    assert not model.initial_canvas.any()
    images = bits((1, 28, 28), 16)
    bound = model.bound(images)
    assert float(bound.reconstruction.mean()) == pytest.approx(784 * math.log(2), rel=0.05)


# Training


def test_beta_weighs_the_kl_in_the_loss_alone() -> None:
    images, labels = bits(), torch.zeros(4, dtype=torch.long)
    terms = [
        model.validation_step(images, labels, model.generator(0))
        for model in (tiny(noise=0.3), tiny(noise=0.3, beta=7.0))
    ]
    for found in terms:
        torch.testing.assert_close(found["elbo"], -(found["reconstruction"] + found["kl"]))
    assert terms[0]["elbo"] == terms[1]["elbo"]
    torch.testing.assert_close(terms[0]["loss"], -terms[0]["elbo"])
    torch.testing.assert_close(terms[1]["loss"], terms[0]["loss"] + 6 * terms[0]["kl"])


def test_gradient_reaches_both_attentions_at_every_step() -> None:
    """Through the parameters of the boxes, from the picture of the last step alone."""
    model = tiny(noise=0.2)
    images = bits()
    *_, last = model.steps(model.noise(4, model.generator(0)), images)
    last.canvas.square().sum().backward()
    for head in (model.read_box, model.write_box):
        assert head.weight.grad is not None
        assert (head.weight.grad.abs().sum(1) > 0).all()  # each of the five numbers


def test_one_batch_can_be_learned_by_heart() -> None:
    """Four crosses: nearly all nats that are left are those that tell the four apart, at least ln 4."""
    images = torch.zeros(4, 1, 8, 8)
    for image, (row, column) in zip(images, ((1, 2), (3, 6), (5, 1), (6, 4)), strict=True):
        image[:, row] = image[..., column] = 1
    model = tiny(hidden=32, latent=8, write_size=6, learning_rate=0.01)
    before = model.validation_step(images, torch.zeros(4), model.generator(0))
    for _ in range(12):  # how soon differs from processor to processor
        after = train(model, images, 100)
        if after["reconstruction"] < 5.0:
            break
    assert float(before["loss"]) > 0.9 * 64 * math.log(2)
    assert after["reconstruction"] < 5.0
    assert 0.8 * math.log(4) < after["kl"] < 8.0


# The trace


@pytest.mark.parametrize("with_attention", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_generating_trace_ends_in_the_sample(shape: tuple[int, int, int], with_attention: bool) -> None:
    model = tiny(shape, noise=0.3) if with_attention else tiny_plain(shape)
    for temperature in (1.0, 0.5):
        trace = model.trace(n=3, seed=4, temperature=temperature)
        assert trace.canvases.shape == (3, 4, *shape)
        assert torch.equal(trace.canvases[:, -1], model.sample(3, seed=4, temperature=temperature))
        assert trace.read is trace.glimpses is trace.error_glimpses is trace.kl is trace.images is None
    assert not torch.equal(model.sample(3, seed=4), model.sample(3, seed=4, temperature=0.5))


@pytest.mark.parametrize("with_attention", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_reading_trace_is_what_the_bound_did(shape: tuple[int, int, int], with_attention: bool) -> None:
    model = tiny(shape, noise=0.3) if with_attention else tiny_plain(shape)
    images = bits(shape)
    trace, bound = model.trace(images, seed=4), model.bound(images, seed=4)
    assert trace.kl is not None
    assert trace.kl.shape == (4, 4)
    torch.testing.assert_close(trace.kl.sum(1), bound.kl)
    p = trace.canvases[:, -1].clamp(1e-7, 1 - 1e-7)
    nll = -(images * p.log() + (1 - images) * (1 - p).log()).flatten(1).sum(1)
    torch.testing.assert_close(nll, bound.reconstruction)
    assert trace.images is not None
    assert torch.equal(trace.images, images)


@pytest.mark.parametrize("shape", SHAPES)
def test_trace_shows_the_boxes_that_were_used(shape: tuple[int, int, int]) -> None:
    """From the boxes and patches alone, with the plain read and write, every glimpse and canvas follows."""
    model = tiny(shape, noise=0.3, read_size=3, write_size=4)
    images = bits(shape)
    trace = model.trace(images, seed=1)
    assert trace.read is not None
    assert trace.write is not None
    assert trace.read.tensor().shape == trace.write.tensor().shape == (4, 4, 5)
    assert (trace.read_grid, trace.write_grid) == (3, 4)
    added = attention.write(trace.patches, trace.write, shape[1:])  # [N, T, C, H, W]
    logits = model.initial_canvas + added.cumsum(1)
    torch.testing.assert_close(logits.sigmoid(), trace.canvases)
    before = torch.cat((model.initial_canvas.sigmoid().expand(4, 1, *shape), trace.canvases[:, :-1]), 1)
    seen = images[:, None].expand_as(before)
    torch.testing.assert_close(attention.read(seen, trace.read, 3), trace.glimpses)
    torch.testing.assert_close(attention.read(seen - before, trace.read, 3), trace.error_glimpses)


def test_without_attention_there_are_no_boxes() -> None:
    model = tiny_plain()
    trace = model.trace(bits())
    assert trace.read is trace.write is trace.glimpses is trace.error_glimpses is None
    logits = model.initial_canvas + trace.patches.cumsum(1)
    torch.testing.assert_close(logits.sigmoid(), trace.canvases)
    assert not any("box" in name for name, _ in model.named_parameters())


def test_large_batches_go_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded memory changes nothing that is seen."""
    model = tiny(noise=0.3)
    whole = model.sample(7, seed=2)
    monkeypatch.setattr("genlib.models.draw_core.IMAGES_AT_ONCE", 3)
    torch.testing.assert_close(model.sample(7, seed=2), whole)
    assert torch.equal(model.trace(n=7, seed=2).canvases[:, -1].round(decimals=4), whole.round(decimals=4))
    assert model.bound(bits(n=7)).kl.shape == (7,)
    assert model.iwae(bits(n=2), 5).shape == (2,)
