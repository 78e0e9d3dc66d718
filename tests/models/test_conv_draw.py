"""Convolutional DRAW: equal to a plain loop over its equations, honest bounds, and codes that can be kept step by step."""

import math

import pytest
import torch
import torch.nn.functional as F
from plain_optimizers import train
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from genlib.layers.logistic import log_bins
from genlib.models import configure, count_parameters, get
from genlib.models.contract import Bound
from genlib.models.conv_draw import ConvDRAW, kl_of_step
from genlib.models.gaussian import log_standard_normal

SHAPES = [(1, 8, 8), (1, 6, 9), (3, 7, 5)]
LEVELS = [2, 256]


def tiny(shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0, noise: float = 0.2, **values: object) -> ConvDRAW:
    """A small model; ``noise`` is added to all parameters, so that nothing is at its start value."""
    values = {"steps": 3, "hidden": 6, "latent": 2, "read": 4, "patch": 2, **values}
    model = ConvDRAW.from_config(ConvDRAW.configure(None, shape, **values), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(noise * torch.randn(parameter.shape, generator=generator))
    return model


def pictures(shape: tuple[int, int, int] = (1, 8, 8), n: int = 4, seed: int = 0, levels: int = 2) -> Tensor:
    values = torch.randint(levels, (n, *shape), generator=torch.Generator().manual_seed(seed))
    return values.float() / (levels - 1)


# Against the equations


def lstm(p: dict[str, Tensor], name: str, inputs: Tensor, state: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    gates = F.conv2d(torch.cat([inputs, state], 1), p[f"{name}.gates.weight"], p[f"{name}.gates.bias"], padding=1)
    i, f, o, g = gates.chunk(4, 1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def conv(p: dict[str, Tensor], name: str, maps: Tensor) -> Tensor:
    return F.conv2d(maps, p[f"{name}.weight"], p[f"{name}.bias"], padding=1)


def plain(model: ConvDRAW, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """-log p(x | z) [N] and the KL of each step [N, T], straight from the equations; sides are multiples of a patch."""
    p, side, channels = dict(model.named_parameters()), model.config.patch, model.config.channels
    binary, n = model.config.levels == 2, len(images)

    def start(maps: Tensor) -> Tensor:
        return maps.repeat(n, 1, 1, 1)

    canvas = F.pixel_shuffle(start(p["initial_canvas"]), side)
    h_enc, h_dec = start(p["initial_encoder"]), start(p["initial_decoder"])
    c_enc, c_dec = torch.zeros_like(h_enc), torch.zeros_like(h_dec)
    x = images if binary else 2 * images - 1
    kls = []
    for e in noise:
        error = x - (canvas.sigmoid() if binary else canvas[:, :channels])
        seen = [
            conv(p, f"read_{name}", F.pixel_unshuffle(what, side)).relu()
            for name, what in (("image", x), ("error", error))
        ]
        prior_mean, prior_log_sigma = conv(p, "prior_code", h_dec).chunk(2, 1)
        h_enc, c_enc = lstm(p, "encoder", torch.cat([*seen, h_dec], 1), h_enc, c_enc)
        shift, factor = conv(p, "posterior_code", h_enc).chunk(2, 1)
        prior = Normal(prior_mean, prior_log_sigma.exp())
        posterior = Normal(prior.loc + prior.scale * shift, prior.scale * factor.exp())
        kls.append(kl_divergence(posterior, prior).sum((1, 2, 3)))
        h_dec, c_dec = lstm(p, "decoder", posterior.loc + posterior.scale * e, h_dec, c_dec)
        canvas = canvas + F.pixel_shuffle(conv(p, "write", h_dec), side)
    if binary:
        log_p = images * F.logsigmoid(canvas) + (1 - images) * F.logsigmoid(-canvas)
    else:
        mean, scale = canvas[:, :channels], canvas[:, channels:].exp()
        sign = torch.where(x < mean, 1, -1)  # a difference of two numbers near 1 would have no digits left
        upper = torch.where(images == 1, math.inf, (x + 1 / 255 - mean) / scale)
        lower = torch.where(images == 0, -math.inf, (x - 1 / 255 - mean) / scale)
        log_p = (sign * ((sign * upper).sigmoid() - (sign * lower).sigmoid())).log()
    return -log_p.flatten(1).sum(1), torch.stack(kls, 1)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 4, 6)])
def test_bound_and_gradients_are_the_papers(shape: tuple[int, int, int], levels: int) -> None:
    """The model and the plain loop over the equations, in float64 under the same noise."""
    model = tiny(shape, levels=levels).double()
    images = pictures(shape, 5, levels=levels).double()
    bound = model._bound(images, model.generator(7))
    nll, kl = plain(model, images, model.noise(5, model.generator(7)))
    torch.testing.assert_close(bound.reconstruction, nll)
    torch.testing.assert_close(bound.kl, kl.sum(1))
    weights = list(model.parameters())
    found = torch.autograd.grad((bound.reconstruction + bound.kl).sum(), weights)
    wanted = torch.autograd.grad((nll + kl.sum(1)).sum(), weights)
    for (name, _), gradient, other in zip(model.named_parameters(), found, wanted, strict=True):
        torch.testing.assert_close(gradient, other, msg=lambda text, name=name: f"{name}: {text}")
        assert gradient.any(), name


@pytest.mark.parametrize(
    ("preset", "data", "total"),
    [("tutorial", "mnist", 190_880), ("colour", "cifar10", 462_136), ("paper", "mnist", None)],
)
def test_parameter_count_by_hand(preset: str, data: str, total: int | None) -> None:
    with torch.device("meta"):
        model = get("conv-draw")(configure("conv-draw", preset, data))
    c = model.config
    places, pixels = math.ceil(c.height / 4) * math.ceil(c.width / 4), 16 * c.channels
    written = pixels * (2 if c.levels == 256 else 1)  # a logit, or a mean and a log scale
    reads = 2 * c.read * (9 * pixels + 1)
    encoder = 4 * c.hidden * (9 * (2 * c.read + c.hidden + c.hidden) + 1)
    decoder = 4 * c.hidden * (9 * (c.latent + c.hidden) + 1)
    codes = 2 * 2 * c.latent * (9 * c.hidden + 1)
    write = written * (9 * c.hidden + 1)
    starts = places * (2 * c.hidden + written)
    count = count_parameters(model)
    assert count == reads + encoder + decoder + codes + write + starts
    assert total in (None, count)


# Pixels


def test_values_under_a_logistic_sum_to_one() -> None:
    mean, log_scale = torch.tensor([-1.4, -0.3, 0.0, 0.99]), torch.tensor([-9.0, -3.0, 0.5, -6.0])
    values = torch.linspace(-1, 1, 256).double()[:, None].expand(-1, 4)
    log_p = log_bins(values, mean.double().expand(256, 4), log_scale.double().expand(256, 4), 256)
    torch.testing.assert_close(log_p.exp().sum(0), torch.ones(4).double())


@pytest.mark.parametrize("shape", SHAPES)
def test_fold_and_unfold_are_inverse(shape: tuple[int, int, int]) -> None:
    model, images = tiny(shape, patch=4), torch.rand(2, *shape)
    assert torch.equal(model.unfold(model.fold(images)), images)


def test_bits_per_dim_of_all_values_are_those_of_a_flat_canvas_at_the_start() -> None:
    """A wide logistic over the 256 values costs near 8 bits, and is a likelihood of the values: no reason against it."""
    model = ConvDRAW.from_config(ConvDRAW.configure("colour", (3, 16, 16)))
    images = pictures((3, 16, 16), 8, levels=256)
    bits = model.bound(images).reconstruction.mean() / math.log(2) / (3 * 16 * 16)
    assert 7.9 < float(bits) < 9.0
    assert model.no_likelihood is None


# The bound


@torch.no_grad()
def exact(model: ConvDRAW, images: Tensor) -> Tensor:
    """log p(x) of a model with one number as its code: the integral over z, by the trapezoidal rule in float64."""
    z = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    mean, log_sigma = model.prior(model.begin(len(z)))
    state = model.take(model.begin(len(z)), mean + log_sigma.exp() * z.view(-1, 1, 1, 1))
    nll = torch.stack([model.nll(state.canvas, image.expand(len(z), -1, -1, -1)) for image in images])
    return ((log_standard_normal(z) - nll).exp().sum(1) * (z[1] - z[0])).log()


@pytest.mark.parametrize("levels", LEVELS)
def test_bounds_are_in_order_below_the_truth(levels: int) -> None:
    """E ELBO <= E IWAE(5) <= E IWAE(50) <= log p(x), and many draws come near."""
    model = tiny((1, 2, 2), seed=3, noise=0.3, steps=1, latent=1, levels=levels).double()
    with torch.no_grad():
        model.write.weight.mul_(3)  # a code that matters
    images = pictures((1, 2, 2), 5, seed=1, levels=levels).double()
    truth = exact(model, images)
    draws = images.repeat_interleave(100, 0)
    elbo, five, fifty = model.elbo(draws), model.iwae(draws, 5), model.iwae(draws, 50)
    assert elbo.mean() < five.mean() < fifty.mean() < truth.mean() + 0.02
    torch.testing.assert_close(model.iwae(images, 2_000), truth, atol=0.15, rtol=0.0)  # E w = p(x)


def test_posterior_equal_to_the_prior_costs_nothing() -> None:
    model = tiny()
    with torch.no_grad():
        model.posterior_code.weight.zero_()
        model.posterior_code.bias.zero_()
    assert float(model.bound(pictures()).kl.abs().max()) < 1e-4


def test_kl_of_steps_and_of_channels_add_up() -> None:
    model, images = tiny(), pictures(n=40)
    found = model.distribution_step(images, torch.zeros(40), model.generator(2))
    assert found.keys() == model.distributions.keys()
    assert found["kl_per_step"].shape == (3,)
    assert found["kl_per_latent"].shape == (2,)
    terms = model.validation_step(images, torch.zeros(40), model.generator(2))
    for values in found.values():
        torch.testing.assert_close(values.sum(), terms["kl"])


# Training


def test_pixel_weight_weighs_the_pixels_in_the_loss_alone() -> None:
    images, labels = pictures(), torch.zeros(4, dtype=torch.long)
    even, shy = (
        model.validation_step(images, labels, model.generator(0)) for model in (tiny(), tiny(pixel_weight=0.25))
    )
    assert even["elbo"] == shy["elbo"]
    torch.testing.assert_close(even["loss"], -even["elbo"])
    torch.testing.assert_close(shy["loss"], 0.25 * shy["reconstruction"] + shy["kl"])


def test_a_cut_code_ends_in_the_priors_mean_and_pays_for_what_is_kept() -> None:
    model, images = tiny(), pictures()
    noise = model.noise(4, model.generator(0))
    steps = list(model.steps(noise, images, kept=1))
    assert [step.posterior is None for step in steps] == [False, True, True]
    for step in steps[1:]:
        assert torch.equal(step.z, step.prior.mean)
    whole = next(model.steps(noise, images))
    bound = model._bound(images, model.generator(0), kept=1)
    torch.testing.assert_close(bound.kl, kl_of_step(whole).sum((1, 2, 3)))
    torch.testing.assert_close(bound.reconstruction, model.nll(steps[-1].state.canvas, images))


def test_cutting_is_drawn_anew_for_each_training_step() -> None:
    """With the share that the config says; and without it nothing is drawn, so that older runs stay what they were."""

    class Watched(ConvDRAW):
        def _bound(self, x: Tensor, generator: torch.Generator, kept: int | None = None) -> Bound:
            seen.append(kept)
            return super()._bound(x, generator, kept)

    for share in (0.0, 0.5):
        seen: list[int | None] = []
        config = tiny(cut=share, hidden=2, latent=1, read=2).config
        train(Watched.from_config(config), pictures(n=1), 60)
        assert set(seen) == ({None, 1, 2, 3} if share else {None})
        assert abs(sum(kept is None for kept in seen) / 60 - (1 - share)) < 0.25


@pytest.mark.parametrize(("levels", "nats"), [(2, 6.0), (256, 28.0)])
def test_one_batch_can_be_learned_by_heart(levels: int, nats: float) -> None:
    """Four crosses: what tells them apart, at least ln 4, goes through the code, and then few nats are left of the pixels
    (64 ln 2 = 44 at the start, or 64 ln 256 = 355)."""
    images = torch.zeros(4, 1, 8, 8)
    for image, (row, column) in zip(images, ((1, 2), (3, 6), (5, 1), (6, 4)), strict=True):
        image[:, row] = image[..., column] = 1
    model = tiny(noise=0.0, hidden=16, read=8, patch=4, learning_rate=0.01, levels=levels)
    for _ in range(12):  # how soon differs from processor to processor
        after = train(model, images, 60)
        if after["reconstruction"] < nats and after["kl"] > 0.8 * math.log(4):
            break
    assert after["reconstruction"] < nats
    assert 0.8 * math.log(4) < after["kl"] < 20


# Steps, and what they show


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_traces_end_in_the_sample_or_add_up_to_the_bound(shape: tuple[int, int, int], levels: int) -> None:
    model = tiny(shape, levels=levels)
    made = model.trace(n=3, seed=4, temperature=0.5)
    assert made.canvases.shape == made.patches.shape == (3, 3, *shape)
    assert torch.equal(made.canvases[:, -1], model.sample(3, seed=4, temperature=0.5))
    assert made.kl is made.images is made.read is made.write is None
    images = pictures(shape, levels=levels)
    read = model.trace(images, seed=4)
    assert read.kl is not None
    torch.testing.assert_close(read.kl.sum(1), model.bound(images, seed=4).kl)
    assert torch.equal(read.images, images)
    if levels == 2:
        start = model.unfold(model.initial_canvas[None])
        torch.testing.assert_close((start + read.patches.cumsum(1)).sigmoid(), read.canvases)


def test_code_taken_step_by_step_is_the_one_of_the_bound() -> None:
    """`begin`, `prior`, `see`, `posterior`, `take`, `picture` alone give the trace; the decoder needs no image."""
    model, images = tiny(), pictures()
    noise = model.noise(4, model.generator(1))
    seen, state, blind = model.see(images), model.begin(4), model.begin(4)
    with torch.no_grad():
        for step, e in zip(model.steps(noise, images), noise, strict=True):
            prior = model.prior(state)
            assert torch.equal(prior[0], model.prior(blind)[0])
            state, (mean, log_sigma) = model.posterior(state, prior, seen)
            z = torch.addcmul(mean, log_sigma.exp(), e)
            state, blind = model.take(state, z), model.take(blind, z)
            assert torch.equal(z, step.z)
            assert torch.equal(model.picture(blind), model.picture(step.state))
            assert (kl_of_step(step) >= -1e-6).all()


def test_grey_images_are_seen_as_their_likeliest_draw() -> None:
    model = tiny()
    grey = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.see(grey)[0], model.fold((grey > 0.5).float()))


def test_large_batches_go_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny()
    whole = model.sample(7, seed=2)
    monkeypatch.setattr("genlib.models.conv_draw.IMAGES_AT_ONCE", 3)
    torch.testing.assert_close(model.sample(7, seed=2), whole)
    assert model.bound(pictures(n=7)).kl.shape == (7,)
    assert model.iwae(pictures(n=2), 5).shape == (2,)
