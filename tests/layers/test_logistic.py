"""The discretised mixture of logistics against its definition, written out with plain numbers."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from genlib.layers.logistic import LogisticMixture, log_scales, mixture_size


def random_outputs(channels: int, components: int, n: int = 1, side: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    size = mixture_size(channels, components)
    outputs = torch.randn(n, size, side, side, generator=generator, dtype=torch.float64)
    outputs[:, log_scales(channels, components)] -= 1
    return outputs


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def joint(outputs: list[float], values: tuple[int, ...], levels: int) -> float:
    """p(all channels of a pixel) by eq. 2 and 3 of the paper, in Python's own numbers."""
    channels = len(values)
    components = len(outputs) // mixture_size(channels, 1)
    part = [outputs[i * components : (i + 1) * components] for i in range(mixture_size(channels, 1))]
    x = [-1 + 2 * value / (levels - 1) for value in values]
    half = 1 / (levels - 1)
    total = sum(math.exp(w) for w in part[0])
    p = 0.0
    for k in range(components):
        of_component = math.exp(part[0][k]) / total
        for c in range(channels):
            mean = part[1 + c][k]
            pairs = [(1, 0), (2, 0), (2, 1)]
            for pair, coefficients in zip(pairs, part[1 + 2 * channels :], strict=False):
                if pair[0] == c:
                    mean += math.tanh(coefficients[k]) * x[pair[1]]
            scale = math.exp(max(part[1 + channels + c][k], -7.0))
            upper = 1.0 if values[c] == levels - 1 else sigmoid((x[c] + half - mean) / scale)
            lower = 0.0 if values[c] == 0 else sigmoid((x[c] - half - mean) / scale)
            of_component *= upper - lower
        p += of_component
    return p


@pytest.mark.parametrize("levels", [2, 4, 16, 256])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_joint_of_a_pixel_is_the_papers(channels: int, levels: int) -> None:
    n, side, components = 2, 3, 4
    outputs = random_outputs(channels, components, n, side)
    values = torch.randint(levels, (n, channels, side, side), generator=torch.Generator().manual_seed(1))
    values[0, :, 0, 0], values[0, :, 0, 1] = 0, levels - 1  # both tails
    coded = values.double() / (levels - 1)
    found = LogisticMixture(outputs, channels, levels).value_log_probs(coded).sum(1)
    for i, row, column in product(range(n), range(side), range(side)):
        expected = joint(outputs[i, :, row, column].tolist(), tuple(values[i, :, row, column].tolist()), levels)
        assert found[i, row, column].item() == pytest.approx(math.log(expected), abs=1e-6)


@pytest.mark.parametrize("levels", [2, 3, 4, 16, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_values_of_a_sub_pixel_add_up_to_one(channels: int, levels: int) -> None:
    outputs = random_outputs(channels, 5, 3, 2) * 3  # narrow components, far outside means
    coded = torch.randint(levels, (3, channels, 2, 2)).double() / (levels - 1)
    logs = LogisticMixture(outputs, channels, levels).level_log_probs(coded)
    assert logs.shape == (3, channels, levels, 2, 2)
    torch.testing.assert_close(logs.logsumexp(2), torch.zeros(3, channels, 2, 2, dtype=torch.float64))
    of_values = logs.gather(2, (coded * (levels - 1)).round().long()[:, :, None])[:, :, 0]
    torch.testing.assert_close(of_values, LogisticMixture(outputs, channels, levels).value_log_probs(coded))


def test_the_channels_are_a_chain_of_the_joint() -> None:
    """p(g | r) and p(b | r, g) from the joint by adding up, for every r, g and b."""
    levels = 4
    outputs = random_outputs(3, 3, seed=2)
    p = torch.zeros(levels, levels, levels, dtype=torch.float64)
    for values in product(range(levels), repeat=3):
        p[values] = joint(outputs.flatten().tolist(), values, levels)
    assert p.sum().item() == pytest.approx(1)
    for r, g in product(range(levels), repeat=2):
        coded = torch.tensor([r, g, 0], dtype=torch.float64).view(1, 3, 1, 1) / (levels - 1)
        red, green, blue = LogisticMixture(outputs, 3, levels).level_log_probs(coded)[0, :, :, 0, 0].exp()
        torch.testing.assert_close(red, p.sum((1, 2)))
        torch.testing.assert_close(green, p[r].sum(1) / p[r].sum())
        torch.testing.assert_close(blue, p[r, g] / p[r, g].sum())
    assert (p[0].sum(1) / p[0].sum() - p[3].sum(1) / p[3].sum()).abs().max() > 0.01  # red matters to green


def test_channels_can_be_asked_for_one_by_one() -> None:
    outputs = random_outputs(3, 3, 2, 2)
    coded = torch.rand(2, 3, 2, 2, dtype=torch.float64).mul(4).floor() / 3
    mixture = LogisticMixture(outputs, 3, 4)
    whole = mixture.level_log_probs(coded)
    for channel in range(3):
        blind = coded.clone()
        blind[:, channel:] = 0  # nothing at or after it is looked at
        torch.testing.assert_close(mixture.level_log_probs(blind, slice(channel, channel + 1))[:, 0], whole[:, channel])


def test_two_levels_are_a_bernoulli_with_the_logit_mean_by_scale() -> None:
    outputs = random_outputs(1, 1, 50)
    logs = LogisticMixture(outputs, 1, 2).level_log_probs(torch.zeros(50, 1, 1, 1, dtype=torch.float64))
    torch.testing.assert_close(logs[:, 0, 1] - logs[:, 0, 0], outputs[:, 1:2, 0] * outputs[:, 2:3, 0].neg().exp())


@pytest.mark.parametrize("levels", [2, 16, 256])
def test_extreme_components_stay_numbers_in_32_bit(levels: int) -> None:
    """Means far outside, scales of e^-30 and e^200: logarithms and gradients are finite."""
    means, scales = torch.meshgrid(torch.tensor([-50.0, 0, 0.3, 50]), torch.tensor([-30.0, -5, 0, 200]), indexing="ij")
    outputs = torch.stack([torch.zeros(16), means.flatten(), scales.flatten()], 1)[:, :, None, None].requires_grad_()
    for value in (0, levels // 2, levels - 1):
        coded = torch.full((16, 1, 1, 1), value / (levels - 1))
        logs = LogisticMixture(outputs, 1, levels).value_log_probs(coded)
        assert logs.isfinite().all()
        assert (logs <= 1e-6).all()
        (gradient,) = torch.autograd.grad(logs.sum(), outputs)
        assert gradient.isfinite().all()
