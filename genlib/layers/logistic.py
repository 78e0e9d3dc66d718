"""The discretised mixture of logistics (Salimans et al. 2017, PixelCNN++, arXiv:1701.05517, section 2.1).

A sub-pixel is a continuous intensity, a mixture of logistic distributions on [-1, 1], seen through bins of equal width:
value k of L is the intensity -1 + 2k / (L - 1) and owns all that is nearer to it than to its neighbours; the first and
the last bin own the tails too:

    P(x | pi, mu, s) = sum_i pi_i [sigma((x + d - mu_i) / s_i) - sigma((x - d - mu_i) / s_i)],   d = 1 / (L - 1)   (eq. 2)

So the bins of a component tile the line and the probabilities of all values add up to one, for any number of levels.
With two levels a component is a Bernoulli with the logit mu / s, and the mixture one that is parametrised lavishly.

The components are of whole pixels (section 2.2): R, G and B of a pixel share the weights pi, and the mean of a channel
depends linearly on the channels before it, with coefficients of each component (eq. 3):

    mu_G = m_G + a r,   mu_B = m_B + b r + c g

As a chain of sub-pixels, p(g | r) is a mixture again, whose weights are pi updated by how well each component predicted
r, and so on. This is the joint distribution of the paper exactly, written channel by channel.

A pixel with C channels and K components takes K (1 + 2 C + C (C - 1) / 2) numbers: 10 K for colour (weight, three means,
three log scales, three coefficients), 3 K for grey (weight, mean, log scale).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_SCALES = (
    -7.0,
    7.0,
)  # narrower than a bin of 256, or flat over all values, is no gain; and beyond, 1 / s is no number
TOGETHER = 1 << 22  # numbers in one tensor of `_of_levels`


def mixture_size(channels: int, components: int) -> int:
    """How many numbers describe the distribution of one pixel."""
    return components * (1 + 2 * channels + channels * (channels - 1) // 2)


def log_scales(channels: int, components: int) -> slice:
    """Which of them are the log scales."""
    return slice((1 + channels) * components, (1 + 2 * channels) * components)


class LogisticMixture:
    """The distribution of every pixel, from what a network gives.

    ``outputs`` [N, P, H, W] with P = `mixture_size`: the logits of the weights, then for each channel the means, for each
    the log scales, for each pair of channels the coefficients before their tanh, K of each. Values are coded sub-pixels
    k / (levels - 1) in [0, 1], [N, C, H, W].
    """

    def __init__(self, outputs: Tensor, channels: int, levels: int) -> None:
        components = outputs.shape[1] // mixture_size(channels, 1)
        parts = outputs.unflatten(1, (-1, components))  # [N, P / K, K, H, W]
        self.channels, self.levels, self.components = channels, levels, components
        self.log_weights = parts[:, 0].log_softmax(1)  # [N, K, H, W]
        self.means = parts[:, 1 : 1 + channels]  # [N, C, K, H, W]
        self.log_scales = parts[:, 1 + channels : 1 + 2 * channels].clamp(*LOG_SCALES)
        self.coefficients = parts[
            :, 1 + 2 * channels :
        ].tanh()  # pairs (1, 0), (2, 0), (2, 1): of a channel, on another

    def means_given(self, channel: int, intensities: Tensor) -> Tensor:
        """The means of a channel's components given the channels before it, [N, K, H, W]."""
        means = self.means[:, channel]
        first = channel * (channel - 1) // 2
        for other in range(channel):
            means = means + self.coefficients[:, first + other] * intensities[:, other, None]
        return means

    def value_log_probs(self, coded: Tensor) -> Tensor:
        """ln p(value | network, the channels before it in its pixel), [N, C, H, W]."""
        intensities = 2 * coded - 1
        joint = self.log_weights
        so_far, found = torch.zeros_like(coded[:, 0]), []
        for channel in range(self.channels):
            joint = joint + self._of_components(channel, intensities)
            total = joint.logsumexp(1)
            found.append(total - so_far)
            so_far = total
        return torch.stack(found, 1)

    def level_log_probs(self, coded: Tensor, channels: slice = slice(None)) -> Tensor:
        """ln p of every value of every sub-pixel given the channels before it, [N, C, levels, H, W].

        Of ``channels`` only, where given; ``coded`` must be right in the channels before the last of them.
        """
        intensities = 2 * coded - 1
        weights, found = self.log_weights, []
        wanted = range(self.channels)[channels]
        for channel in range(wanted.stop):
            if channel in wanted:
                found.append(self._of_levels(channel, intensities, weights))
            if channel < wanted.stop - 1:
                weights = (weights + self._of_components(channel, intensities)).log_softmax(1)
        return torch.stack(found, 1)

    def _of_components(self, channel: int, intensities: Tensor) -> Tensor:
        """ln p of the given values under each component, [N, K, H, W]."""
        means, narrowness = self.means_given(channel, intensities), self.log_scales[:, channel].neg().exp()
        x = intensities[:, channel, None]
        if self.levels == 2:
            return F.logsigmoid(x * means * narrowness)  # the only border is at 0, and x is -1 or 1
        return _log_bins(x, means, narrowness, self.levels)

    def _of_levels(self, channel: int, intensities: Tensor, weights: Tensor) -> Tensor:
        """ln p of every value under the mixture with these log weights, [N, levels, H, W].

        A few components at a time: all at once would be as many times the memory.
        """
        means, narrowness = self.means_given(channel, intensities), self.log_scales[:, channel].neg().exp()
        borders = (2 * torch.arange(1, self.levels, device=means.device, dtype=means.dtype) - 1) / (self.levels - 1) - 1
        n, _, h, w = means.shape
        together = max(1, TOGETHER // (n * self.levels * h * w))
        total: Tensor | None = None
        for some in range(0, self.components, together):
            k = slice(some, some + together)
            z = (borders[:, None, None] - means[:, k, None]) * narrowness[:, k, None]  # [N, k, levels - 1, H, W]
            logs = weights[:, k, None].repeat(1, 1, self.levels, 1, 1)
            logs[:, :, :-1] += F.logsigmoid(z)
            logs[:, :, 1:] += F.logsigmoid(-z)
            logs[:, :, 1:-1] += _log_share(2 / (self.levels - 1) * narrowness[:, k, None])
            mixed = logs.logsumexp(1)
            total = mixed if total is None else torch.logaddexp(total, mixed)
        assert total is not None
        return total


def log_bins(intensities: Tensor, means: Tensor, log_scales: Tensor, levels: int) -> Tensor:
    """ln P of values under a single logistic each: intensities -1 + 2k / (levels - 1), means and log scales of one shape.

    Log scales outside `LOG_SCALES` are taken as its ends. Two levels' only border is at 0.
    """
    return _log_bins(intensities, means, log_scales.clamp(*LOG_SCALES).neg().exp(), levels)


def _log_bins(x: Tensor, means: Tensor, narrowness: Tensor, levels: int) -> Tensor:
    half = 1 / (levels - 1)
    below_upper = F.logsigmoid((x + half - means) * narrowness)
    above_lower = F.logsigmoid((means - x + half) * narrowness)
    # sigma(b) - sigma(a) = sigma(b) sigma(-a) (1 - exp(a - b)): nothing cancels
    inside = below_upper + above_lower + _log_share(2 * half * narrowness)
    return torch.where(x < half - 1, below_upper, torch.where(x > 1 - half, above_lower, inside))


def _log_share(width: Tensor) -> Tensor:
    """ln(1 - exp(-width)) for widths above 0."""
    return torch.expm1(-width).neg().log()
