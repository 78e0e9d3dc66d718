"""The GAN's losses against their theory, its two players apart, and what its presets promise."""

import math

import pytest
import torch
from plain_optimizers import PlainOptimizers
from torch import Tensor, nn

from genlib.models.contract import count_parameters
from genlib.models.gan import GAN


def tiny(shape: tuple[int, int, int] = (1, 4, 4), seed: int = 0, **values: object) -> GAN:
    small = {"latent": 4, "generator_width": 16, "discriminator_width": 32}
    return GAN.from_config(GAN.configure(None, shape, **{**small, **values}), seed).eval()


def bars() -> Tensor:
    """Two pictures, 32 of each: left half white, or right half white, [64, 1, 4, 4]."""
    images = torch.zeros(64, 1, 4, 4)
    images[:32, ..., :2] = 1
    images[32:, ..., 2:] = 1
    return images


def run(model: GAN, images: Tensor, steps: int) -> dict[str, float]:
    optimizers = PlainOptimizers(model)
    model.train()
    for _ in range(steps):
        terms = model.training_step(images, torch.zeros(len(images)), optimizers)
    model.eval()
    return {name: float(value) for name, value in terms.items()}


# Architecture


def test_running_statistics_and_layers_of_the_model_book() -> None:
    model = GAN.from_config(GAN.configure("paper", (1, 28, 28)))
    statistics = [b for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var"))]
    assert sum(b.numel() for b in statistics) == 3_584
    kinds = [type(layer) for layer in model.generator_net.body]
    hidden = [nn.Linear, nn.LeakyReLU, nn.BatchNorm1d]
    assert kinds == [*hidden, *hidden, *hidden, nn.Linear, nn.Tanh, nn.Unflatten]
    assert [layer.out_features for layer in model.generator_net.body if isinstance(layer, nn.Linear)] == [
        256,
        512,
        1024,
        784,
    ]
    assert [layer.out_features for layer in model.discriminator_net.body if isinstance(layer, nn.Linear)] == [
        512,
        256,
        1,
    ]
    assert not any(isinstance(layer, nn.BatchNorm1d) for layer in model.discriminator_net.modules())
    for optimizer in model.optimizers().values():
        assert optimizer.param_groups[0]["lr"] == 2e-4
        assert optimizer.param_groups[0]["betas"] == (0.5, 0.999)
    assert count_parameters(model) == 1_489_936 + 533_505


def test_running_statistics_take_a_fifth_of_each_batch() -> None:
    """Keras momentum 0.8 is PyTorch momentum 0.2."""
    model = tiny()
    z = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    linear, leaky, norm = model.generator_net.body[:3]
    seen = leaky(linear(z)).detach()
    torch.testing.assert_close(torch.where(linear(z) > 0, linear(z), 0.2 * linear(z)), seen)
    model.train()
    model.generator_net(z)
    torch.testing.assert_close(norm.running_mean, 0.2 * seen.mean(0))
    torch.testing.assert_close(norm.running_var, 0.8 + 0.2 * seen.var(0))


def test_an_image_depends_on_its_own_noise_alone() -> None:
    """Sampling uses running statistics: an image is the same alone and in company."""
    model = tiny()
    run(model, bars(), 5)
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    together = model.train().decode(z)
    for i in range(6):
        torch.testing.assert_close(together[i : i + 1], model.decode(z[i : i + 1]))
    torch.testing.assert_close(model.sample(3, seed=2, temperature=0.0), model.decode(torch.zeros(3, 4)))


# Losses


def test_non_saturating_and_minimax_gradients() -> None:
    """With D = sigmoid(s): d(-log D)/ds = -(1 - D) and d log(1 - D)/ds = -D: the same direction, but only the second
    vanishes where D is sure that the image is false."""
    s = torch.linspace(-12, 12, 49, dtype=torch.float64, requires_grad=True)
    gradient = {}
    for loss in ("non-saturating", "minimax"):
        total = len(s) * tiny(loss=loss)._generator_loss(s)
        (gradient[loss],) = torch.autograd.grad(total, s)
    d = s.detach().sigmoid()
    torch.testing.assert_close(gradient["non-saturating"], -(1 - d))
    torch.testing.assert_close(gradient["minimax"], -d)
    assert abs(float(gradient["minimax"][0])) < 1e-5
    assert float(gradient["non-saturating"][0]) == pytest.approx(-1, abs=1e-5)


def test_losses_where_the_discriminator_cannot_tell() -> None:
    """D = 1/2: V = -2 ln 2, and G's losses are ln 2 and -ln 2."""
    even = torch.zeros(8)
    assert float(tiny()._discriminator_loss(even, even)) == pytest.approx(2 * math.log(2))
    assert float(tiny()._generator_loss(even)) == pytest.approx(math.log(2))
    assert float(tiny(loss="minimax")._generator_loss(even)) == pytest.approx(-math.log(2))


@pytest.mark.parametrize("smooth", [0.0, 0.1])
def test_best_discriminator_and_the_jensen_shannon_divergence(smooth: float) -> None:
    """Goodfellow et al., proposition 1 and theorem 1: the best D is p / (p + q), its loss 2 ln 2 - 2 JSD(p, q).
    With targets 1 - s for real images it is (1 - s) p / (p + q)."""
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    q = torch.tensor([0.1, 0.3, 0.6], dtype=torch.float64)
    model, draws = tiny(label_smoothing=smooth), 10

    def loss(logits: Tensor) -> Tensor:  # exact expectations: each of the three values as often as p, or q, says
        real = logits.repeat_interleave((p * draws).round().long())
        fake = logits.repeat_interleave((q * draws).round().long())
        return model._discriminator_loss(real, fake)

    best = torch.logit((1 - smooth) * p / (p + q)).requires_grad_()
    (slope,) = torch.autograd.grad(loss(best), best)
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-12, rtol=0)
    for shift in torch.eye(3, dtype=torch.float64) * 0.1:
        assert loss(best + shift) > loss(best)
        assert loss(best - shift) > loss(best)
    if not smooth:
        middle = (p + q) / 2
        jsd = 0.5 * ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum())
        torch.testing.assert_close(loss(best).detach(), 2 * math.log(2) - 2 * jsd)


# The two players


def test_each_player_moves_alone_and_as_often_as_asked() -> None:
    model = tiny(discriminator_steps=3, generator_steps=2).train()
    parts = model.parts()

    def weights(part: str) -> Tensor:
        return torch.cat([p.detach().flatten() for p in parts[part].parameters()])

    last = {part: weights(part) for part in parts}

    def watch(name: str) -> None:
        for part in parts:
            assert torch.equal(weights(part), last[part]) == (part != name), f"{name}'s step and {part}"
            last[part] = weights(part)

    optimizers = PlainOptimizers(model, watch=watch)
    model.training_step(bars(), torch.zeros(64), optimizers)
    assert optimizers.steps == ["discriminator"] * 3 + ["generator"] * 2


def test_every_draw_of_noise_is_fresh() -> None:
    model = tiny(discriminator_steps=2, generator_steps=2).train()
    seen: list[Tensor] = []
    hook = model.generator_net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    model.training_step(bars(), torch.zeros(64), PlainOptimizers(model))
    hook.remove()
    assert len(seen) == 4
    assert not any(torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i])


def test_discriminator_learns_to_tell_apart() -> None:
    """Against a generator that stands still, D(x) goes to 1 and D(G(z)) to 0."""
    model = tiny(learning_rate=1e-9, discriminator_rate=100.0)
    for optimizer in (optimizers := PlainOptimizers(model)).named.values():
        optimizer.param_groups[0]["lr"] = 2e-3 if optimizer is optimizers.named["discriminator"] else 0.0
    model.train()
    for _ in range(100):
        terms = model.training_step(bars(), torch.zeros(64), optimizers)
    assert terms["d_real"] > 0.95
    assert terms["d_fake"] < 0.05
    judged = model.discriminate(bars())
    assert judged.shape == (64,)
    assert (judged > 0.8).all()
    assert (model.discriminate(model.sample(64, seed=1)) < 0.2).all()


def test_instance_noise_blurs_what_the_discriminator_sees() -> None:
    x = torch.zeros(4, 1, 4, 4)
    clear, noisy = tiny(), tiny(instance_noise=0.5)
    draws = torch.Generator().manual_seed(0)
    assert torch.equal(clear._judge(x, draws), clear._judge(x, draws))
    assert not torch.equal(noisy._judge(x, draws), noisy._judge(x, draws))


def test_learns_two_pictures() -> None:
    """A set of two pictures is learned: every sample is near one of them, and both are drawn."""
    model, images = tiny(learning_rate=2e-3), bars()
    run(model, images, 400)
    samples = model.sample(64, seed=0)
    distance = (samples[:, None] - images[[0, -1]][None]).abs().mean((2, 3, 4))  # [64, 2]
    assert float(distance.min(1).values.median()) < 0.1
    share = float((distance.argmin(1) == 0).float().mean())
    assert 0.1 < share < 0.9


# Failures on purpose


def test_strong_discriminator_leaves_the_generator_without_a_gradient() -> None:
    values = {name: value for name, value in GAN.presets["strong-discriminator"].values.items() if name != "epochs"}
    model = tiny(**values)
    end = run(model, bars(), 60)
    assert end["d_real"] > 0.99
    assert end["d_fake"] < 0.01
    assert abs(end["discriminator_loss"]) + abs(end["generator_loss"]) < 0.02

    def gradient(loss: str) -> float:
        weights = tuple(model.generator_net.parameters())
        judge = GAN._generator_loss
        fake = model.discriminator_net(
            model.generator_net(torch.randn(64, 4, generator=torch.Generator().manual_seed(1)))
        )
        return math.sqrt(
            sum(float(g.square().sum()) for g in torch.autograd.grad(judge(tiny(loss=loss), fake), weights))
        )

    assert gradient("minimax") < 0.02 * gradient("non-saturating")


def test_mode_collapse_draws_one_picture_and_then_another() -> None:
    """Of a set of two pictures, the preset's generator draws mostly one, and jumps between them."""
    values = {name: value for name, value in GAN.presets["mode-collapse"].values.items() if name != "epochs"}
    model = tiny(**values)
    optimizers = PlainOptimizers(model)
    shares = []
    for step in range(1, 121):
        model.train().training_step(bars(), torch.zeros(64), optimizers)
        if step % 10 == 0:
            left = model.sample(64, seed=0)[..., :2].mean((1, 2, 3)) > 0.5
            shares.append(float(left.float().mean()))
    assert sum(max(share, 1 - share) for share in shares) / len(shares) > 0.75
    assert max(shares) - min(shares) > 0.6
