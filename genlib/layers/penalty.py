"""The gradient penalty that keeps a critic's slope near one, and the spectral norm that keeps it below.

Gulrajani, Ahmed, Arjovsky, Dumoulin & Courville 2017, "Improved Training of Wasserstein GANs" (arXiv:1704.00028), eq. 3:

    P = E[ (||grad_x C(x)|| - 1)^2 ]      at x = share x real + (1 - share) x fake, share ~ U[0, 1] for each image

The weights' gradient of P needs a derivative of a derivative. Differentiating a backward pass works for any network, but
most critics are plain chains of linear layers and rectifiers, whose slopes are constant around x. For them, with
g = grad_x C(x) and v = dP/dg held fixed, dP/dW = d/dW <v, g> = d/dW [J v], J v being the directional derivative of C along
v: v sent through the layers without their biases, each rectifier replaced by its slope at x. That is one more ordinary
forward pass, and its backward pass is an ordinary one too, which is much faster than the general way on a CPU.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm, spectral_norm
from torch.nn.utils.parametrize import cached

RECTIFIERS = (nn.ReLU, nn.LeakyReLU)
LINEAR = (nn.Conv2d, nn.Linear, nn.Flatten)


class Penalty(NamedTuple):
    """``norms`` [N]: the slopes ||grad_x C(x)||. ``loss``: a scalar whose gradient for the weights is that of
    mean (norms - 1)^2, though its value is another one. Read the penalty's value from ``norms``."""

    norms: Tensor
    loss: Tensor


def interpolates(real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
    """Random points between pairs of images [N, C, H, W], a share for each pair (algorithm 1, line 6)."""
    share = torch.rand((len(real), 1, 1, 1), generator=generator, device=real.device, dtype=real.dtype)
    return torch.lerp(fake, real, share)


def slopes(critic: nn.Module, x: Tensor) -> Tensor:
    """||grad_x C(x)|| at each image [N, C, H, W] -> [N], without a graph. Works inside ``inference_mode`` too."""
    with torch.inference_mode(False), torch.enable_grad():
        x = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(x).sum(), x)
    return _norms(gradient)


def gradient_penalty(critic: nn.Module, x: Tensor) -> Penalty:
    """The penalty of ``critic``, images [N, C, H, W] -> [N], at x.

    A critic whose ``body`` is an `nn.Sequential` of convolutions, linear layers and rectifiers takes the fast way.
    """
    body = getattr(critic, "body", None)
    if isinstance(body, nn.Sequential) and all(isinstance(layer, (*RECTIFIERS, *LINEAR)) for layer in body):
        with cached():  # a parametrised weight, as under spectral norm, is the same one in both passes
            return _by_direction(body, x.detach())
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    norms = _norms(gradient)
    return Penalty(norms.detach(), (norms - 1).square().mean())


def _by_direction(body: nn.Sequential, x: Tensor) -> Penalty:
    gradient, at = _gradient_and_slopes(body, x)
    norms = _norms(gradient)
    weight = 2 * (norms - 1) / norms.clamp_min(torch.finfo(norms.dtype).tiny) / len(x)
    h = gradient * weight.view(-1, 1, 1, 1)  # v = dP/dg
    rectified = iter(at)
    for layer in body:
        h = h * next(rectified) if isinstance(layer, RECTIFIERS) else _without_bias(layer, h)
    return Penalty(norms, h.float().sum())


def _gradient_and_slopes(body: nn.Sequential, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """grad_x of the chain's summed output, and the slope of each rectifier at x; no graph for the weights."""
    at = []
    with torch.enable_grad():
        h = x = x.requires_grad_()
        for layer in body:
            if isinstance(layer, RECTIFIERS):
                low = getattr(layer, "negative_slope", 0.0)
                at.append(torch.where(h.detach() > 0, 1.0, low).to(h.dtype))
                h = h * at[-1]
            else:
                fixed = {name: getattr(layer, name).detach() for name in ("weight", "bias") if _has(layer, name)}
                h = _apply(layer, h, fixed.get("weight"), fixed.get("bias"))
        (gradient,) = torch.autograd.grad(h.sum(), x)
    return gradient, at


def _has(layer: nn.Module, name: str) -> bool:
    return getattr(layer, name, None) is not None


def _without_bias(layer: nn.Module, h: Tensor) -> Tensor:
    return _apply(layer, h, layer.weight if _has(layer, "weight") else None, None)  # type: ignore[arg-type]


def _apply(layer: nn.Module, h: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """A linear layer with other weights."""
    if isinstance(layer, nn.Conv2d):
        assert weight is not None
        return F.conv2d(h, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
    if isinstance(layer, nn.Linear):
        assert weight is not None
        return F.linear(h, weight, bias)
    return layer(h)


def _norms(gradient: Tensor) -> Tensor:
    return (
        gradient.float().flatten(1).norm(dim=1) if gradient.dtype != torch.float64 else gradient.flatten(1).norm(dim=1)
    )


def normalise_spectrally(network: nn.Module) -> None:
    """Divide every weight matrix of ``network`` by its largest singular value, in place (Miyato et al. 2018,
    "Spectral Normalization for GANs", arXiv:1802.05957): a dense network with rectifiers is then 1-Lipschitz.

    One step of the power iteration for each forward pass in training mode. A convolution's kernel counts as the matrix
    [out, in x k x k], as in the paper; that bounds its slope up to a constant factor.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            spectral_norm(layer)


def copy_singular_vectors(source: nn.Module, target: nn.Module) -> None:
    """Give the spectrally normalised layers of ``target``, whose weights are averages of those of ``source``, the singular vectors of
    ``source``. An average of unit vectors is shorter than one: it would make the norm too small, and the weights, divided by it, too large.
    """
    for new, kept in zip(source.modules(), target.modules(), strict=True):
        if isinstance(new, _SpectralNorm):
            for name, vector in new.named_buffers(recurse=False):
                kept.get_buffer(name).copy_(vector)
