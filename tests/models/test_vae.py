"""The VAE's bounds against exact values, its closed forms against draws, and what its presets promise."""

import itertools
import math

import pytest
import torch
from plain_optimizers import PlainOptimizers, train
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from genlib.data import binarise
from genlib.models.gaussian import (
    gaussian_kl,
    log_normal,
    log_standard_normal,
    reparameterise,
    standard_kl,
)
from genlib.models.vae import VAE
from genlib.models.variational import bernoulli_nll


def tiny(shape: tuple[int, int, int] = (1, 8, 8), **values: object) -> VAE:
    """A fresh VAE for tiny images."""
    return VAE.from_config(VAE.configure(None, shape, precision="32", **values)).eval()


@torch.no_grad()
def lively(shape: tuple[int, int, int] = (1, 3, 2), logits: float = 1.5, **values: object) -> VAE:
    """One with fresh weights scaled so that the code matters and q is not the prior.

    ``logits`` is the spread of pixel logits over the plane; over random images the mean has spread 0.5, the log-variance 0.3.
    """
    model = tiny(shape, **values)
    generator = torch.Generator().manual_seed(0)
    images = binarise(torch.full((200, *shape), 0.5), "dynamic", generator)
    mean, log_var = model.encode(images)
    model.encoder.mean.weight.mul_(0.5 / mean.std(0).mean())
    model.encoder.log_var.weight.mul_(0.3 / log_var.std(0).mean())
    model.decoder.convolutions[-1].weight.mul_(logits / model.decoder(torch.randn(200, 2, generator=generator)).std())
    return model


def all_images(height: int, width: int) -> Tensor:
    """Every binary image, [2^(height width), 1, height, width]."""
    bits = list(itertools.product((0.0, 1.0), repeat=height * width))
    return torch.tensor(bits).view(-1, 1, height, width)


@torch.no_grad()
def exact_log_prob(model: VAE, images: Tensor, side: int = 201, reach: float = 7.0) -> Tensor:
    """log p(x) = log of the integral of p(x | z) p(z) over the plane, by the trapezoidal rule, [N]."""
    axis = torch.linspace(-reach, reach, side)
    z = torch.cartesian_prod(axis, axis)  # [side^2, 2]
    log_area = 2 * math.log(2 * reach / (side - 1))
    prior = log_standard_normal(z).sum(1)
    logits = model.decoder(z)
    joint = torch.stack([prior - bernoulli_nll(logits, x.expand_as(logits)) for x in images])  # [N, side^2]
    return joint.logsumexp(1) + log_area


def shapes(n: int = 4, side: int = 8) -> Tensor:
    """Different binary pictures [n, 1, side, side]: bars at different places."""
    images = torch.zeros(n, 1, side, side)
    for i in range(n):
        images[i, 0, 1 + i] = 1
        images[i, 0, :, side - 2 - i] = 1
    return images


# Gaussian formulas


@pytest.mark.parametrize(("mean", "log_var"), [(0.0, 0.0), (1.5, -1.0), (-0.3, 0.8), (3.0, -4.0)])
def test_kl_equals_its_monte_carlo_estimate(mean: float, log_var: float) -> None:
    m, v = torch.tensor(mean, dtype=torch.float64), torch.tensor(log_var, dtype=torch.float64)
    z = reparameterise(m.expand(200_000), v.expand(200_000), torch.Generator().manual_seed(0))
    ratio = log_normal(z, m, v) - log_standard_normal(z)
    assert float(standard_kl(m, v)) == pytest.approx(float(ratio.mean()), abs=4 * float(ratio.std()) / 447 + 1e-12)
    p, q = torch.tensor(0.7, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    ratio = log_normal(z, m, v) - log_normal(z, p, q)
    assert float(gaussian_kl(m, v, p, q)) == pytest.approx(float(ratio.mean()), abs=4 * float(ratio.std()) / 447)


def test_gaussian_formulas_agree_with_torch() -> None:
    generator = torch.Generator().manual_seed(1)
    mean, log_var, other, other_log_var, z = torch.randn(5, 7, 3, generator=generator, dtype=torch.float64)
    q, p = Normal(mean, (0.5 * log_var).exp()), Normal(other, (0.5 * other_log_var).exp())
    torch.testing.assert_close(log_normal(z, mean, log_var), q.log_prob(z))
    torch.testing.assert_close(log_standard_normal(z), Normal(0.0, 1.0).log_prob(z))
    torch.testing.assert_close(gaussian_kl(mean, log_var, other, other_log_var), kl_divergence(q, p))
    torch.testing.assert_close(standard_kl(mean, log_var), gaussian_kl(mean, log_var, mean * 0, mean * 0))


def test_reparameterised_draw_carries_gradients() -> None:
    mean = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
    log_var = torch.tensor([0.2, -0.6], dtype=torch.float64, requires_grad=True)
    z = reparameterise(mean, log_var, torch.Generator().manual_seed(0))
    z.sum().backward()
    assert torch.equal(mean.grad, torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(log_var.grad, 0.5 * (z - mean).detach())  # d sigma noise / d log_var = sigma noise / 2


# Likelihood: the plane is small enough to integrate over


def test_exact_probabilities_of_all_images_sum_to_one() -> None:
    """The decoder and the prior together are a distribution over the 16 images of 2 x 2 pixels."""
    total = exact_log_prob(lively((1, 2, 2), 3.0), all_images(2, 2)).exp().sum()
    assert float(total) == pytest.approx(1.0, abs=1e-5)


def test_bounds_are_ordered_below_the_exact_likelihood() -> None:
    model, images = lively(), all_images(3, 2)[5:25]
    exact = float(exact_log_prob(model, images).mean())
    assert float(model.bound(images).kl.mean()) > 0.02
    elbo = float(model.elbo(images.repeat(1000, 1, 1, 1)).mean())  # each copy has draws of its own
    iwae = {k: float(model.iwae(images.repeat(1000 // k, 1, 1, 1), k).mean()) for k in (1, 4, 40)}
    assert iwae[1] == pytest.approx(elbo, abs=0.05)  # one draw: the ELBO, with a sampled KL
    assert elbo + 0.05 < iwae[4]
    assert iwae[4] + 0.05 < iwae[40] < exact + 0.02
    assert float(model.iwae(images, 4000).mean()) == pytest.approx(exact, abs=0.02)


def test_iwae_does_not_depend_on_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few or many decodes at a time: the same estimate, up to the draws."""
    model, images = lively(), all_images(3, 2)[5:25]
    whole = float(model.iwae(images, 3000).mean())
    monkeypatch.setattr("genlib.models.variational.DECODED_AT_ONCE", 70)
    assert float(model.iwae(images, 3000).mean()) == pytest.approx(whole, abs=0.03)


def test_reconstruction_is_the_bernoulli_likelihood() -> None:
    logits = torch.randn(5, 3, 4, 2, generator=torch.Generator().manual_seed(0))
    x = binarise(torch.full_like(logits, 0.5), "dynamic")
    p = logits.sigmoid()
    expected = -torch.where(x == 1, p, 1 - p).log().flatten(1).sum(1)
    torch.testing.assert_close(bernoulli_nll(logits, x), expected)


def test_beta_weighs_the_loss_but_never_the_bound() -> None:
    images = shapes()
    plain, heavy = lively((1, 8, 8)), lively((1, 8, 8), beta=7.0)
    assert torch.equal(plain.elbo(images), heavy.elbo(images))
    terms = [model.validation_step(images, torch.zeros(4), model.generator(0)) for model in (plain, heavy)]
    assert terms[0]["elbo"] == terms[1]["elbo"]
    for model, t in zip((plain, heavy), terms, strict=True):
        torch.testing.assert_close(t["loss"], t["reconstruction"] + model.config.beta * t["kl"])
        torch.testing.assert_close(t["elbo"], -t["reconstruction"] - t["kl"])


def test_paper_preset_is_the_textbook_loss_per_image() -> None:
    """784 times (mean binary cross-entropy per pixel + 5e-4 KL), on grey values."""
    model = VAE.from_config(VAE.configure("paper", (1, 28, 28)))
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    terms = model.validation_step(images, torch.zeros(3), model.generator(0))
    mean, log_var = model.encode(images)
    logits = model.decoder(reparameterise(mean, log_var, model.generator(0)))
    per_pixel = torch.nn.functional.binary_cross_entropy(logits.sigmoid(), images)
    kl = standard_kl(mean, log_var).sum(1).mean()
    torch.testing.assert_close(terms["loss"], 784 * (per_pixel + 5e-4 * kl))


# Forms of the pixels


def test_likelihoods_are_about_zeros_and_ones() -> None:
    grey = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    for form, drawn in (("unit", "dynamic"), ("dynamic", "dynamic"), ("threshold", "threshold"), ("static", "static")):
        model = lively((1, 8, 8), binarisation=form)
        bits = binarise(grey, drawn)
        assert torch.equal(model.elbo(grey), model.elbo(bits)), form
        assert torch.equal(model.iwae(grey, 3), model.iwae(bits, 3)), form


def test_training_draws_the_dynamic_form_anew() -> None:
    grey = torch.full((4, 1, 8, 8), 0.5)
    generator = torch.Generator().manual_seed(0)
    dynamic, unit = tiny(), tiny(binarisation="unit")
    first, second = dynamic._targets(grey, generator), dynamic._targets(grey, generator)
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(first, second)
    assert torch.equal(unit._targets(grey, generator), grey)
    assert torch.equal(tiny(binarisation="static")._targets(first, generator), first)


def test_code_of_an_image_depends_on_that_image_alone() -> None:
    grey = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(4))
    for form in ("unit", "dynamic", "threshold", "static"):
        model = tiny(binarisation=form)
        together = model.encode(grey)
        for i in range(4):
            for whole, alone in zip(together, model.encode(grey[i : i + 1]), strict=True):
                torch.testing.assert_close(whole[i : i + 1], alone)


def test_grey_image_is_encoded_as_its_likeliest_draw() -> None:
    grey = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(4))
    seen = {
        "unit": grey,
        "dynamic": (grey > 0.5).float(),
        "static": (grey > 0.5).float(),
        "threshold": binarise(grey, "threshold"),
    }
    for form, image in seen.items():
        model = lively((1, 8, 8), binarisation=form)
        assert torch.equal(model.encode(grey)[0], model.encoder(image)[0].detach()), form


def test_temperature_scales_the_prior() -> None:
    model = lively((1, 8, 8))
    z = torch.randn(3, 2, generator=model.generator(9))
    torch.testing.assert_close(model.sample(3, seed=9, temperature=0.5), model.decode(0.5 * z))
    centre = model.decode(torch.zeros(1, 2))
    torch.testing.assert_close(model.sample(3, seed=9, temperature=0.0), centre.expand(3, -1, -1, -1))


# Training


def test_learns_a_batch_by_heart() -> None:
    """After training on four pictures, the code alone is enough to give each of them back."""
    model, images = tiny(learning_rate=2e-3), shapes()
    train(model, images, 200)
    assert torch.equal(model.decode(model.encode(images)[0]).round(), images)
    bound = model.bound(images.repeat(50, 1, 1, 1))
    assert float((bound.reconstruction + bound.kl).mean()) < 12.0  # of 64 ln 2 = 44.4 nats
    assert float(bound.kl.mean()) >= math.log(4) - 1.0  # telling four pictures apart takes ln 4 nats


def test_heavy_kl_collapses_the_code() -> None:
    """The failure preset: no picture is worth 50 times its nats, so the code says nothing and all decodes are one."""
    beta = VAE.presets["kl-collapse"].values["beta"]
    model, images = tiny(learning_rate=3e-3, beta=beta), shapes()
    end = train(model, images, 100)
    assert end["kl"] < 0.02
    decodes = model.decode(model.encode(images)[0])
    assert float((decodes - decodes[:1]).abs().max()) < 0.1


def test_no_kl_leaves_the_prior() -> None:
    """The other failure preset: the KL is free, so it only grows."""
    beta = VAE.presets["no-kl"].values["beta"]
    images, kl = shapes(), {}
    for weight in (beta, 1.0):
        kl[weight] = train(tiny(learning_rate=3e-3, beta=weight), images, 100)["kl"]
    assert kl[beta] > 3 * kl[1.0]


def test_step_does_not_use_the_same_noise_twice() -> None:
    model = tiny(learning_rate=1e-9)
    optimizers = PlainOptimizers(model)
    losses = {float(model.training_step(shapes(), torch.zeros(4), optimizers)["reconstruction"]) for _ in range(3)}
    assert len(losses) == 3


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (5, 8), (7, 3), (32, 32)])
def test_any_size_comes_back(size: tuple[int, int]) -> None:
    model = tiny((3, *size))
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    assert model.decode(model.encode(images)[0]).shape == images.shape
