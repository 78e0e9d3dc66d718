"""The gradient penalty against closed forms and against the general way; the spectral norm's bound."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from genlib.layers.penalty import gradient_penalty, interpolates, normalise_spectrally, slopes

SHAPE = (2, 6, 5)


class Chain(nn.Module):
    """A critic, images [N, C, H, W] -> [N], whose penalty goes the fast way where its layers allow it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers, nn.Flatten(0))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Opaque(nn.Module):
    """The same critic as a black box: only differentiating twice is left."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.inner = critic

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def linear(slope: float) -> Chain:
    """C(x) = slope <unit vector, x> + 3."""
    critic = Chain(nn.Flatten(), nn.Linear(math.prod(SHAPE), 1)).double()
    with torch.no_grad():
        weight = critic.body[1].weight
        weight.mul_(slope / weight.norm())
        critic.body[1].bias.fill_(3)
    return critic


def convolutional(rectifier: type[nn.Module]) -> Chain:
    torch.manual_seed(0)
    return Chain(
        nn.Conv2d(2, 4, (4, 3), stride=2, padding=1),
        rectifier(),
        nn.Conv2d(4, 6, 3, padding=1, bias=False),
        rectifier(),
        nn.Flatten(),
        nn.Linear(6 * 3 * 3, 5),
        rectifier(),
        nn.Linear(5, 1),
    ).double()


def images(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def weight_gradients(critic: nn.Module, loss: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(loss, list(critic.parameters()), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(critic.parameters(), found, strict=True)]


@pytest.mark.parametrize("slope", [1.0, 0.25, 3.0])
@pytest.mark.parametrize("wrap", [lambda critic: critic, Opaque])
def test_a_linear_critic_costs_its_slope_less_one_squared(slope: float, wrap: type[nn.Module]) -> None:
    """C(x) = <w, x> + b: P = (|w| - 1)^2 at every x, and dP/dw = 2 (|w| - 1) w / |w|; nothing at all for |w| = 1."""
    critic = linear(slope)
    norms, loss = gradient_penalty(wrap(critic), images(7))
    torch.testing.assert_close(norms, torch.full((7,), slope, dtype=torch.float64))
    torch.testing.assert_close(slopes(critic, images(7)), norms)
    by_weight, by_bias = weight_gradients(critic, loss)
    weight = critic.body[1].weight.detach()
    torch.testing.assert_close(by_weight, 2 * (slope - 1) * weight / slope, atol=1e-12, rtol=1e-9)
    assert by_bias.abs().max() == 0


@pytest.mark.parametrize("rectifier", [nn.ReLU, lambda: nn.LeakyReLU(0.2)])
def test_the_fast_way_equals_differentiating_twice(rectifier: type[nn.Module]) -> None:
    critic = convolutional(rectifier)
    fast, slow = gradient_penalty(critic, images(9)), gradient_penalty(Opaque(critic), images(9))
    torch.testing.assert_close(fast.norms, slow.norms)
    torch.testing.assert_close(slopes(critic, images(9)), slow.norms)
    by_fast, by_slow = weight_gradients(critic, fast.loss), weight_gradients(critic, slow.loss)
    for one, two in zip(by_fast, by_slow, strict=True):
        torch.testing.assert_close(one, two)
    assert by_fast[0].abs().max() > 1e-6


def test_the_penaltys_gradient_by_finite_differences() -> None:
    critic, x, step = convolutional(lambda: nn.LeakyReLU(0.2)), images(5), 1e-6
    gradient = weight_gradients(critic, gradient_penalty(critic, x).loss)[0]
    weight = critic.body[0].weight
    for at in ((0, 0, 0, 0), (3, 1, 2, 1)):
        values = []
        for shift in (step, -step):
            moved = copy.deepcopy(critic)
            with torch.no_grad():
                moved.body[0].weight[at] += shift
            values.append(float((slopes(moved, x) - 1).square().mean()))
        assert float(gradient[at]) == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-7, rel=1e-4)
    assert weight.grad is None


def test_under_spectral_norm_too() -> None:
    """The weight that the penalty sees is a function of the stored one; one power iteration serves both passes."""
    critic = convolutional(lambda: nn.LeakyReLU(0.2))
    normalise_spectrally(critic)
    critic.eval()
    fast, slow = gradient_penalty(critic, images(4)), gradient_penalty(Opaque(critic), images(4))
    torch.testing.assert_close(fast.norms, slow.norms)
    for one, two in zip(weight_gradients(critic, fast.loss), weight_gradients(critic, slow.loss), strict=True):
        torch.testing.assert_close(one, two)


def test_a_flat_critic_has_a_finite_penalty() -> None:
    critic = linear(1.0)
    with torch.no_grad():
        critic.body[1].weight.zero_()
    norms, loss = gradient_penalty(critic, images(3))
    assert (norms == 0).all()
    assert all(gradient.isfinite().all() for gradient in weight_gradients(critic, loss))


def test_the_best_linear_critic_between_two_points() -> None:
    """Real images at a, generated ones at b, |a - b| = d. A linear critic of slope s along a - b has the loss
    -s d + L (s - 1)^2, which is least at s = 1 + d / (2 L): there the gradient of both terms together is zero."""
    a, b, weight = images(1, 1), images(1, 2), 10.0
    distance = float((a - b).norm())
    critic = linear(1.0)
    with torch.no_grad():
        critic.body[1].weight.copy_((a - b).flatten()[None] / distance * (1 + distance / (2 * weight)))
    between = interpolates(a, b, torch.Generator().manual_seed(0))
    loss = critic(b).mean() - critic(a).mean() + weight * gradient_penalty(critic, between).loss
    assert weight_gradients(critic, loss)[0].abs().max() < 1e-12


def test_interpolates_lie_between() -> None:
    """On the line from a generated to a real image, each pair at a share of its own, the shares uniform."""
    n = 4000
    real, fake = images(n, 1), images(n, 2)
    between = interpolates(real, fake, torch.Generator().manual_seed(0))
    share = ((between - fake) * (real - fake)).flatten(1).sum(1) / (real - fake).square().flatten(1).sum(1)
    torch.testing.assert_close(between, fake + share[:, None, None, None] * (real - fake))
    assert share.min() >= 0
    assert share.max() <= 1
    assert float(share.mean()) == pytest.approx(0.5, abs=4 * math.sqrt(1 / 12 / n))
    assert float(share.var()) == pytest.approx(1 / 12, rel=0.1)


def test_slopes_can_be_looked_at_in_inference_mode() -> None:
    critic = convolutional(nn.ReLU)
    wanted = slopes(critic, images(3))
    with torch.inference_mode():
        torch.testing.assert_close(slopes(critic, images(3)), wanted)
    assert all(p.grad is None for p in critic.parameters())


def test_spectral_norm_bounds_the_slope() -> None:
    """Every matrix has largest singular value 1, so a dense critic is 1-Lipschitz: |C(x) - C(y)| <= |x - y|."""
    torch.manual_seed(0)
    width = math.prod(SHAPE)
    critic = Chain(
        nn.Flatten(), nn.Linear(width, 40), nn.LeakyReLU(0.2), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)
    ).double()
    with torch.no_grad():
        for layer in critic.body:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(20)
    steep = copy.deepcopy(critic)
    normalise_spectrally(critic)
    for _ in range(300):  # the power iteration runs along with training
        critic.train()(images(1))
    critic.eval()
    for layer in critic.body:
        if isinstance(layer, nn.Linear):
            assert float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) == pytest.approx(1, rel=1e-3)
    x, y = images(500, 1), images(500, 2)
    apart = (x - y).flatten(1).norm(dim=1)
    assert ((critic(x) - critic(y)).abs() <= apart * 1.01).all()
    assert (slopes(critic, x) <= 1.01).all()
    assert ((steep(x) - steep(y)).abs() > apart).any()
