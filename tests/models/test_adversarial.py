"""The convolutional adversaries and the Wasserstein game: sizes, layers, steps, and what the failures on purpose show.

The losses of the probabilistic game are tested with the vanilla GAN, in test_gan.py.
"""

import math
from typing import Any

import pytest
import torch
from plain_optimizers import PlainOptimizers
from small_models import SMALL, small, strokes
from torch import Tensor, nn

from genlib.errors import GenlibError
from genlib.models import create, get, names
from genlib.models.adversarial import AdversarialModel
from genlib.models.contract import abilities
from genlib.models.dcgan import noise_side

ADVERSARIES = [name for name in names() if "adversaries" in abilities(get(name))]
CONVOLUTIONAL = ["dcgan", "dcgan-bn", "wgan-gp"]


def tiny(name: str, shape: tuple[int, int, int] = (1, 8, 8), **values: Any) -> Any:
    return small(name, shape, **values)


def bars(n: int = 16) -> Tensor:
    """Two pictures, as many of each: left half white, or right half white, [n, 1, 8, 8]."""
    images = torch.zeros(n, 1, 8, 8)
    images[: n // 2, ..., :4] = 1
    images[n // 2 :, ..., 4:] = 1
    return images


def run(model: AdversarialModel, images: Tensor, steps: int) -> dict[str, float]:
    optimizers = PlainOptimizers(model)
    model.train()
    for _ in range(steps):
        terms = model.training_step(images, torch.zeros(len(images)), optimizers)
    model.eval()
    return {name: float(value) for name, value in terms.items()}


def weights(network: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


# Architecture


def test_dcgan_is_that_of_the_model_book() -> None:
    model = create("dcgan", preset="tutorial", data="mnist")
    statistics = [b for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var"))]
    assert sum(b.numel() for b in statistics) == 992
    assert model.latent == 25
    assert model.noise_shape == (1, 5, 5)
    shapes: list[tuple[int, int]] = []
    for layer in [*model.generator_net.body, *model.discriminator_net.body]:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:3])))
    model.discriminator_net(model.generator_net(torch.zeros(2, 25)))
    assert shapes[:6] == [(256, 8), (128, 16), (64, 32), (32, 30), (16, 28), (1, 28)]
    assert shapes[6:] == [(128, 14), (64, 7), (32, 5), (16, 3)]
    for optimizer in model.optimizers().values():
        assert optimizer.param_groups[0]["lr"] == 1.5e-4
        assert optimizer.param_groups[0]["betas"] == (0.5, 0.999)


def test_the_noise_picture_is_the_smallest_that_fills_the_image() -> None:
    for size in range(1, 129):
        side = noise_side(size)
        assert 4 * (side + 3) - 4 >= size
        assert side == 1 or 4 * (side + 2) - 4 < size


def test_the_critic_is_the_discriminator_without_batch_norm_and_without_sigmoid() -> None:
    gan, wgan = create("dcgan-bn", data="mnist"), create("wgan-gp", data="mnist")
    assert str(gan.generator_net) == str(wgan.generator_net)
    judge, critic = gan.discriminator_net.body, wgan.discriminator_net.body
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in judge)
    assert not any(isinstance(layer, nn.BatchNorm2d | nn.Sigmoid) for layer in critic)
    assert [type(layer) for layer in critic] == [
        type(layer) for layer in judge if not isinstance(layer, nn.BatchNorm2d)
    ]
    x = strokes((1, 28, 28), 6)
    alone = torch.cat([wgan.train().discriminator_net(x[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(alone, wgan.discriminator_net(x))  # an image's score is its own affair
    assert not torch.allclose(gan.train().discriminator_net(x[:3]), gan.discriminator_net(x)[:3])
    kinds = [type(layer) for layer in gan.generator_net.body]
    block = [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU]
    assert kinds == [nn.Unflatten, *block, *block, *block, nn.ConvTranspose2d, nn.Tanh]


def test_wgan_gp_has_the_papers_settings() -> None:
    config = create("wgan-gp", preset="tutorial", data="mnist").config
    assert (config.discriminator_steps, config.gradient_penalty, config.beta1, config.beta2) == (5, 10, 0.0, 0.9)
    assert (config.learning_rate, config.latent) == (5e-5, 64)
    assert config.divide_batch
    assert config.batch_size // config.discriminator_steps == 64
    assert create("wgan-gp", preset="paper", data="mnist").config.learning_rate == 1e-4


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 27, 31), (2, 9, 6), (1, 5, 3), (1, 1, 1)])
@pytest.mark.parametrize("name", ADVERSARIES)
def test_images_of_any_size(name: str, shape: tuple[int, int, int]) -> None:
    model = tiny(name, shape)
    images = model.sample(3, seed=0)
    assert images.shape == (3, *shape)
    assert model.discriminate(images).shape == (3,)
    assert model.noise(2, model.generator(0)).shape == (2, model.latent)


@pytest.mark.parametrize("name", ADVERSARIES)
def test_an_image_depends_on_its_own_noise_alone(name: str) -> None:
    model = tiny(name)
    run(model, bars(), 3)
    z = model.noise(6, model.generator(0))
    together = model.train().decode(z)
    assert torch.allclose(torch.cat([model.decode(z[i : i + 1]) for i in range(6)]), together, atol=1e-5)
    torch.testing.assert_close(model.sample(2, seed=2, temperature=0.0), model.decode(torch.zeros(2, model.latent)))
    judged = model.discriminate(together)
    assert torch.allclose(torch.cat([model.discriminate(image[None]) for image in together]), judged, atol=1e-5)


# The two players


@pytest.mark.parametrize("name", ADVERSARIES)
def test_each_player_steps_alone(name: str) -> None:
    """A step of one player moves all of its weights and none of the other's; together they are the training step."""
    model = tiny(name).train()
    optimizers = PlainOptimizers(model)
    before = {part: weights(network) for part, network in model.parts().items()}
    first = model.step_discriminator(bars(), optimizers)
    assert torch.equal(weights(model.generator_net), before["generator"])
    assert not torch.equal(weights(model.discriminator_net), before["discriminator"])
    before["discriminator"] = weights(model.discriminator_net)
    second = model.step_generator(8, optimizers)
    assert torch.equal(weights(model.discriminator_net), before["discriminator"])
    assert not torch.equal(weights(model.generator_net), before["generator"])
    assert optimizers.steps == ["discriminator", "generator"]
    assert first.keys() | second.keys() == model.terms.keys()
    assert all(p.requires_grad for p in model.parameters())


def test_each_critic_step_takes_its_own_share_of_the_batch() -> None:
    model = tiny("wgan-gp", discriminator_steps=4).train()
    seen: list[Tensor] = []
    step = model.step_discriminator
    model.step_discriminator = lambda images, optimizers: (seen.append(images), step(images, optimizers))[1]
    images = torch.arange(64.0)[:, None, None, None].expand(-1, 1, 8, 8) / 64
    model.training_step(images, torch.zeros(64), PlainOptimizers(model))
    assert [len(part) for part in seen] == [16] * 4
    assert torch.equal(torch.cat(seen), images)
    whole = tiny("wgan-gp", discriminator_steps=4, divide_batch=False).train()
    seen.clear()
    step = whole.step_discriminator
    whole.step_discriminator = lambda images, optimizers: (seen.append(images), step(images, optimizers))[1]
    whole.training_step(images, torch.zeros(64), PlainOptimizers(whole))
    assert all(torch.equal(part, images) for part in seen)


@pytest.mark.parametrize("name", ["gan", "dcgan", "dcgan-bn"])
def test_the_stabilisers_reach_the_discriminator(name: str) -> None:
    """A penalty raises the reported loss by its weight times the penalty, and adds its gradient to D's."""
    gradients, losses = [], []
    for weight in (0.0, 1.0, 3.0):
        model = tiny(name, gradient_penalty=weight, learning_rate=1e-9).train()
        optimizers = PlainOptimizers(model)
        terms = model.step_discriminator(bars(), optimizers)
        gradients.append(torch.cat([p.grad.flatten() for p in model.discriminator_net.parameters()]))
        losses.append(float(terms["discriminator_loss"]))
    assert losses[1] > losses[0]
    assert losses[2] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), rel=1e-3)
    torch.testing.assert_close(gradients[2] - gradients[0], 3 * (gradients[1] - gradients[0]), atol=1e-4, rtol=1e-3)
    names_of = [key for key, _ in tiny(name, spectral_norm=True).named_parameters() if "parametrizations" in key]
    layers = [layer for layer in tiny(name).discriminator_net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert len(names_of) == len(layers)
    assert all(key.startswith("discriminator_net.") for key in names_of)


@pytest.mark.parametrize("name", ADVERSARIES)
def test_all_stabilisers_together_train_and_save(name: str) -> None:
    values = {"spectral_norm": True, "instance_noise": 0.1, "gradient_penalty": 1.0, "discriminator_rate": 2.0}
    model = tiny(name, **values)
    end = run(model, bars(), 3)
    assert all(math.isfinite(value) for value in end.values())
    again = tiny(name, seed=1, **values)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.discriminate(bars()), model.discriminate(bars()))
    rates = [optimizer.param_groups[0]["lr"] for optimizer in model.optimizers().values()]
    assert rates[1] == pytest.approx(2 * rates[0])


# What is reported


def test_the_divergence_is_none_where_d_cannot_tell_and_ln_2_where_it_is_sure() -> None:
    model = tiny("gan")
    even, sure = torch.zeros(4), torch.full((4,), 40.0)
    told = model._discriminator_terms(even.mean(), even, even, None)
    assert float(told["jsd"]) == pytest.approx(0, abs=1e-6)
    assert float(model._discriminator_terms(even.mean(), sure, -sure, None)["jsd"]) == pytest.approx(math.log(2))


def test_the_estimate_is_the_divergence_for_the_best_discriminator() -> None:
    """Theorem 1: with D = p / (p + q), (V + log 4) / 2 is the Jensen-Shannon divergence of p and q."""
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.1, 0.3, 0.6])
    logits, draws = (p / q).log(), 10
    real = logits.repeat_interleave((p * draws).round().long())
    fake = logits.repeat_interleave((q * draws).round().long())
    middle = (p + q) / 2
    wanted = 0.5 * ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum())
    told = tiny("gan")._discriminator_terms(real.mean(), real, fake, None)
    torch.testing.assert_close(told["jsd"], wanted)


def test_wasserstein_losses_and_distance() -> None:
    """The critic's loss is minus the distance, and a constant added to all scores changes neither."""
    model = tiny("wgan-gp")
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-1.0, 0.0])
    assert float(model._discriminator_loss(real, fake)) == -2.5
    assert float(model._discriminator_loss(real + 7, fake + 7)) == -2.5
    assert float(model._generator_loss(fake)) == 0.5
    told = model._discriminator_terms(torch.tensor(0.0), real, fake, torch.tensor([0.5, 1.5]))
    assert (float(told["earth_movers_distance"]), float(told["slope"])) == (2.5, 1.0)
    assert model.verdict == "critic score"


def test_the_critic_finds_the_distance_between_two_pictures() -> None:
    """Real images all a, generated ones all b: the earth mover's distance is |a - b|, and a critic under a penalty of weight
    L is content with slope 1 + |a - b| / (2 L)."""
    model = tiny("wgan-gp", gradient_penalty=100.0, discriminator_width=8, learning_rate=4e-3).train()
    with torch.no_grad():
        for name, parameter in list(model.generator_net.body.named_parameters())[-2:]:
            assert name.startswith("10."), name  # the last layer: every image the same grey
            parameter.zero_()
    a = bars(8)[:4]
    distance = float((2 * a[0] - 1).norm())
    optimizers = PlainOptimizers(model)
    terms = [model.step_discriminator(a, optimizers) for _ in range(140)][-40:]
    mean = {name: sum(float(one[name]) for one in terms) / len(terms) for name in terms[0]}
    assert mean["earth_movers_distance"] == pytest.approx(distance * (1 + distance / 200), rel=0.08)
    assert mean["slope"] == pytest.approx(1 + distance / 200, abs=0.08)


@pytest.mark.parametrize("name", ["dcgan-bn", "wgan-gp", "gran"])
@pytest.mark.parametrize("hidden", [0, 16])
def test_only_a_hidden_layer_sees_how_parts_fit(name: str, hidden: int) -> None:
    """Without one, what two strokes far apart change together is the sum of what each changes."""
    model = create(name, data="mnist", generator_width=4, discriminator_width=8, discriminator_hidden=hidden)
    pictures = torch.full((4, 1, 28, 28), 0.5)  # the networks' zero, so that strokes turn hidden units on and off
    pictures[1::2, 0, 3:9, 5] = 1
    pictures[2:, 0, 20:26, 18] = 1
    with model.evaluating(), torch.no_grad():
        for parameter, weight in model.discriminator_net.named_parameters():
            weight.mul_(0 if parameter.endswith("bias") else 20)  # small as they begin, all would drown in rounding
        neither, first, second, both = model.discriminator_net(model._to_pixels(pictures)).double().tolist()
    together, apart = both - neither, (first - neither) + (second - neither)
    assert abs(apart) > 1e-2
    assert (abs(together - apart) < 1e-4 * abs(apart)) == (not hidden)


@pytest.mark.parametrize("name", ADVERSARIES)
def test_distributions_are_what_the_means_are_about(name: str) -> None:
    model = tiny(name)
    run(model, bars(), 2)
    seen = model.distribution_step(bars(), torch.zeros(16), model.generator(3))
    assert seen.keys() == model.distributions.keys()
    assert all(values.shape == (16,) for values in seen.values())
    told = model.validation_step(bars(), torch.zeros(16), model.generator(3))
    real, fake = (values.mean() for values in seen.values())
    if name == "wgan-gp":
        torch.testing.assert_close(told["earth_movers_distance"], real - fake)
    else:
        torch.testing.assert_close((told["d_real"], told["d_fake"]), (real, fake))
    if not model.config.instance_noise:
        torch.testing.assert_close(next(iter(seen.values())), model.discriminate(bars()))


# The recurrent generator


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 6)])
@pytest.mark.parametrize("feedback", ["increment", "canvas"])
def test_gran_adds_increments_to_a_canvas(feedback: str, shape: tuple[int, int, int]) -> None:
    model = tiny("gran", shape, steps=3, feedback=feedback)
    trace = model.trace(n=4, seed=5, temperature=0.7)
    assert trace.canvases.shape == trace.increments.shape == (4, 3, *shape)
    torch.testing.assert_close(trace.canvases, (trace.increments.cumsum(1).tanh() + 1) / 2)
    torch.testing.assert_close(trace.canvases[:, -1], model.sample(4, seed=5, temperature=0.7))
    assert trace.write is trace.read is trace.kl is trace.images is None


def test_gran_draws_noise_for_each_step_and_a_step_hears_of_the_last_ones() -> None:
    """By gradients: increment t depends on z_t itself, and, through the encoder, on all noise before; on none after."""
    model = tiny("gran", steps=3, noise_each_step=True)
    assert model.latent == 3 * 3
    z = model.noise(2, model.generator(0)).requires_grad_()
    for step, increment in enumerate(model.generator_net.increments(z)):
        (gradient,) = torch.autograd.grad(increment.sum(), z, retain_graph=True)
        heard = gradient.unflatten(1, (3, 3)).abs().amax((0, 2)) > 0
        assert heard.tolist() == [t <= step for t in range(3)]
    assert tiny("gran", steps=3, noise_each_step=False).latent == 3


def test_grans_first_steps_hear_the_noise_and_little_of_the_feedback() -> None:
    """A feedback as strong as the noise from the start drew all pictures to a few."""
    network = tiny("gran", steps=2, hidden=32).generator_net.train()
    z, fed = torch.randn(2, 64, 32, generator=torch.Generator().manual_seed(0)).tanh()
    both = network.decoder(torch.cat((z, fed), 1), 1)
    same_noise = network.decoder(torch.cat((z, fed.roll(1, 0)), 1), 1)
    other_noise = network.decoder(torch.cat((z.roll(1, 0), fed), 1), 1)
    assert (both - other_noise).abs().mean() > 3 * (both - same_noise).abs().mean()


def test_grans_feedback_differs_from_picture_to_picture_however_large_its_weights() -> None:
    """Hidden states that are +1 or -1 for every picture drown the noise: all pictures become the same one."""
    model = tiny("gran", steps=3)
    network = model.generator_net.train()
    assert network.encoder is not None
    with torch.no_grad():
        network.encoder.dense.weight.mul_(1e4)
        increment = next(network.increments(model.noise(64, model.generator(0))))
        states = network.encoder(increment, 0)
    assert states.std(0).min() > 0.3


def test_gran_with_one_step_feeds_nothing_back() -> None:
    single, triple = tiny("gran", steps=1), tiny("gran", steps=3)
    assert single.generator_net.encoder is None
    assert triple.generator_net.encoder is not None
    assert len(triple.generator_net.decoder.norms) == 3
    assert single.trace(n=2).canvases.shape == (2, 1, 1, 8, 8)
    with pytest.raises(GenlibError, match="leave the images out"):
        single.trace(bars())


# Learning, and failing on purpose


@pytest.mark.parametrize(
    ("name", "steps", "values"),
    [
        ("dcgan", 60, {"discriminator_width": 32, "noise_channels": 4, "learning_rate": 2e-3}),
        ("dcgan-bn", 125, {"discriminator_width": 8, "learning_rate": 2e-3}),
        ("wgan-gp", 100, {"discriminator_width": 16, "learning_rate": 4e-3, "beta1": 0.5}),
        ("gran", 100, {"discriminator_width": 16, "learning_rate": 2e-3, "instance_noise": 0.3}),
    ],
)
def test_learns_two_pictures(name: str, steps: int, values: dict[str, Any]) -> None:
    """A set of two pictures is learned by heart: every sample is near one of them, and both are drawn."""
    model, images = tiny(name, generator_width=8, **values), bars()
    run(model, images, steps)
    samples = model.sample(64, seed=0)
    distance = (samples[:, None] - images[[0, -1]][None]).abs().mean((2, 3, 4))  # [64, 2]
    assert float(distance.min(1).values.median()) < 0.15
    share = float((distance.argmin(1) == 0).float().mean())
    assert 0.1 < share < 0.9


def preset(name: str, chosen: str) -> dict[str, Any]:
    """A preset's settings of training, without those of the size of the networks."""
    values = dict(get(name).presets[chosen].values)
    return {
        key: value for key, value in values.items() if key not in (*SMALL[name], "epochs", "ema_decay", "batch_size")
    }


def test_without_a_penalty_the_critics_slope_runs_away() -> None:
    free = preset("wgan-gp", "no-penalty")
    assert free == {"gradient_penalty": 0.0}
    fast = {"learning_rate": 1e-3, "discriminator_steps": 5, "discriminator_width": 8, "divide_batch": False}
    runaway, held = tiny("wgan-gp", **free, **fast), tiny("wgan-gp", **fast)
    assert run(runaway, bars(), 32)["slope"] > 4
    assert run(held, bars(), 32)["slope"] < 2
    cured = tiny("wgan-gp", **free, **fast, spectral_norm=True)
    assert run(cured, bars(), 32)["slope"] < 2


def test_with_batch_norm_a_score_depends_on_the_neighbours() -> None:
    model = tiny("wgan-gp", **preset("wgan-gp", "batch-norm-critic")).train()
    assert model.config.critic_batch_norm
    one, two = bars(), bars().flip(0)
    assert not torch.allclose(
        model.discriminator_net(one[:8]), model.discriminator_net(torch.cat((one[:8], two[:8])))[:8]
    )
    assert all(math.isfinite(value) for value in run(model, bars(), 3).values())


def test_a_fast_discriminator_is_certain_and_a_penalty_keeps_it_in_doubt() -> None:
    values = preset("dcgan", "diverges")
    assert values["discriminator_rate"] == 10
    end = run(tiny("dcgan", **values, discriminator_width=32), bars(), 40)
    cured = run(tiny("dcgan", **values, discriminator_width=32, gradient_penalty=10.0), bars(), 40)
    assert end["jsd"] > 0.4
    assert cured["jsd"] < end["jsd"] - 0.1
