"""The fully connected VAE: both ways to score pixels against their densities, and what may be compared with what."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from genlib.data import DATASETS, Dataset
from genlib.evaluation import evaluate
from genlib.models import configure, count_parameters
from genlib.models.gaussian import log_standard_normal
from genlib.models.vae_mlp import VAEMLP
from genlib.models.variational import bernoulli_nll


def tiny(shape: tuple[int, int, int] = (1, 4, 4), **values: object) -> VAEMLP:
    """A small model, all its weights away from where they start, so that the code matters."""
    model = VAEMLP.from_config(
        VAEMLP.configure(None, shape, **{"latent": 3, "hidden": 12, "precision": "32", **values})
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def grey(n: int = 6, shape: tuple[int, int, int] = (1, 4, 4)) -> Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def exact(model: VAEMLP, images: Tensor) -> Tensor:
    """log p(x) of a model with one latent: the integral over z by the trapezoidal rule, [N]."""
    z = torch.linspace(-9, 9, 4001)[:, None]
    logits, prior = model.decoder(z), log_standard_normal(z)[:, 0]
    joint = torch.stack([prior - model.nll(logits, x.expand_as(logits)) for x in images])
    return joint.logsumexp(1) + math.log(18 / 4000)


# Gaussian


def test_squared_error_is_a_gaussian_of_variance_one_half() -> None:
    model, images = tiny(), grey()
    logits = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    expected = -Normal(logits.sigmoid(), math.sqrt(0.5)).log_prob(images).flatten(1).sum(1)
    torch.testing.assert_close(model.nll(logits, images), expected)


def test_loss_is_the_summed_squared_error_and_the_kl() -> None:
    model, images = tiny(beta=3.0), grey()
    terms = model.validation_step(images, torch.zeros(6), model.generator(5))
    bound = model._bound(images, model.generator(5))
    mean, log_var = model.encoder(images)
    noise = torch.randn(mean.shape, generator=model.generator(5))
    error = (model.decode(mean + (0.5 * log_var).exp() * noise) - images).square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(terms["reconstruction"], error)
    torch.testing.assert_close(terms["loss"], error + 3 * bound.kl.mean())
    torch.testing.assert_close(terms["elbo"], -(bound.reconstruction + bound.kl).mean())
    torch.testing.assert_close(
        bound.reconstruction.mean() - terms["reconstruction"], torch.tensor(8 * math.log(math.pi))
    )


@pytest.mark.parametrize("values", [{}, {"likelihood": "bernoulli", "binarisation": "dynamic"}])
def test_bounds_are_in_order_below_the_truth(values: dict[str, object]) -> None:
    model = tiny(latent=1, **values)
    with torch.no_grad():  # a q that is near the prior, so that draws of it reach all of the posterior
        for parameter in (*model.encoder.mean.parameters(), *model.encoder.log_var.parameters()):
            parameter.mul_(0.2)
    images = model._scored(grey())
    truth = exact(model, images)
    draws = images.repeat_interleave(300, 0)
    elbo, five = (values.view(6, 300).mean(1) for values in (model.elbo(draws), model.iwae(draws, 5)))
    assert (elbo < five + 0.02).all()
    assert (five < truth + 0.02).all()
    assert float((truth - elbo).mean()) > 0.05
    torch.testing.assert_close(model.iwae(images, 20_000), truth, atol=0.05, rtol=0.0)


def test_bernoulli_variant_is_a_distribution_over_binary_images() -> None:
    model = tiny((1, 2, 2), latent=1, likelihood="bernoulli", binarisation="dynamic")
    images = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4))).view(-1, 1, 2, 2)
    assert float(exact(model, images).exp().sum()) == pytest.approx(1.0, abs=1e-4)
    logits = model.decoder(torch.zeros(16, 1))
    assert torch.equal(model.nll(logits, images), bernoulli_nll(logits, images))


# What may be compared


def test_only_binary_bernoulli_nats_are_reported() -> None:
    """A Gaussian's are those of a density; intensities as probabilities are no likelihood of colours."""
    bernoulli = {"likelihood": "bernoulli", "binarisation": "dynamic"}
    assert tiny(**bernoulli).no_likelihood is None
    assert tiny(likelihood="bernoulli").no_likelihood is None  # grey: judged on drawn zeros and ones, as `vae` is
    for colour, values, word in ((1, {}, "Gaussian"), (3, {"likelihood": "bernoulli"}, "colour")):
        reason = tiny((colour, 4, 4), **values).no_likelihood
        assert reason is not None
        assert word in reason
    pixels = (grey(12, (1, 28, 28))[:, 0] * 255).byte().numpy()
    arrays = {f"{split}_{what}": pixels if what == "images" else pixels[:, 0, 0] % 10
              for split in ("train", "test") for what in ("images", "labels")}  # fmt: skip
    dataset = Dataset(DATASETS["mnist"], arrays)
    silent, scored = (evaluate(tiny((1, 28, 28), **values), dataset, iwae_images=0) for values in ({}, bernoulli))
    assert silent.as_json() == {
        "split": "test", "binarisation": None, "images": 12, "nll_nats": None, "bits_per_dim": None,
        "reason": tiny().no_likelihood,
    }  # fmt: skip
    assert scored.likelihood == "bound"
    assert scored.binarisation == "dynamic"


def test_what_has_no_likelihood_sees_images_as_they_are() -> None:
    images = grey()
    assert torch.equal(tiny()._scored(images), images)
    assert torch.equal(tiny((3, 4, 4), likelihood="bernoulli")._scored(images), images)
    assert set(tiny(likelihood="bernoulli")._scored(images).unique().tolist()) == {0.0, 1.0}


# The code


def test_kl_of_each_latent_adds_up_and_unused_ones_are_told() -> None:
    model, images = tiny(latent=4), grey(50)
    with torch.no_grad():
        for head in (model.encoder.mean, model.encoder.log_var):
            head.weight[1].zero_()
            head.bias[1].zero_()
    found = model.distribution_step(images, torch.zeros(50), model.generator(0))
    assert found.keys() == model.distributions.keys()
    assert found["kl_per_latent"].shape == found["code_variance"].shape == (4,)
    torch.testing.assert_close(found["kl_per_latent"].sum(), model.bound(images).kl.mean())
    assert found["kl_per_latent"][1] == found["code_variance"][1] == 0
    assert (found["code_variance"][[0, 2, 3]] > 0.01).all()


@pytest.mark.parametrize(
    ("preset", "data", "hidden", "latent", "pixels"),
    [
        ("paper", "mnist", 500, 64, 784),
        ("latent-512", "cifar10", 1024, 512, 3072),
        ("latent-2", "cifar10", 512, 2, 3072),
    ],
)
def test_parameter_count_by_hand(preset: str, data: str, hidden: int, latent: int, pixels: int) -> None:
    with torch.device("meta"):
        model = VAEMLP(configure("vae-mlp", preset, data))
    encoder = (pixels + 1) * hidden + (hidden + 1) * hidden + 2 * (hidden + 1) * latent
    decoder = (latent + 1) * hidden + (hidden + 1) * hidden + (hidden + 1) * pixels
    assert count_parameters(model) == encoder + decoder
