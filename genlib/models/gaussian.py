"""Diagonal Gaussians: the few formulas that every variational model needs. All results are in nats and per element.

Sum over the latent axis for the value of a whole code, e.g. ``standard_kl(mean, log_var).sum(1)``.
"""

import math

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


def standard_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL( N(mean, exp(log_var)) || N(0, 1) ) of each element, same shape, nats (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var)


def gaussian_kl(mean: Tensor, log_var: Tensor, prior_mean: Tensor, prior_log_var: Tensor) -> Tensor:
    """KL( N(mean, exp(log_var)) || N(prior_mean, exp(prior_log_var)) ) of each element, nats."""
    spread = (log_var - prior_log_var).exp() + (mean - prior_mean).square() * (-prior_log_var).exp()
    return 0.5 * (spread - 1 - log_var + prior_log_var)


def log_normal(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log N(z; mean, exp(log_var)) of each element, nats."""
    return -0.5 * (LOG_2PI + log_var + (z - mean).square() * (-log_var).exp())


def log_standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, 1) of each element, nats."""
    return -0.5 * (LOG_2PI + z.square())


def reparameterise(mean: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    """A draw of N(mean, exp(log_var)) through which gradients reach both: mean + sigma * noise, same shape."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return mean + (0.5 * log_var).exp() * noise
