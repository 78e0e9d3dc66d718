"""A stack of causal convolutions as one matrix product for each tap that is in use, a few images at a time.

A masked 3x3 kernel has five taps in use of nine (mask B). A convolution library multiplies the zeros too, or at best the
two rows that are not all zero. Here the images lie in memory as one long list of pixels with all their maps. A tap is the
same list shifted by a fixed distance, a view without a copy, and a layer is

    y = b + sum_t shift_t(x) W_t                 x [pixels, in], W_t [in, out]

where a shift that leaves the image has brought in the far edge of a neighbouring row; those few pixels are put right
after each product. Both gradients are products of the same kind: dx = sum_t shift_-t(dy) W_t^T, dW_t = shift_t(x)^T dy.

A whole stack runs over a few images before it turns to the next: what passes from layer to layer, forward and backward,
stays in the cache, and so does what goes by pixel: bias, ReLU, residual. A residual's gradient is never added, its product
goes into what is there already. A 1x1 layer is a single tap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ROWS = 7000  # pixels at a time: a few MB of maps, what a core's caches hold
Taps = tuple[tuple[int, int], ...]
"""(rows down, columns right) of each tap from the pixel it serves: (-1, 0) is the pixel above."""
HERE: Taps = ((0, 0),)


@dataclass(frozen=True)
class Link:
    """One layer of a stack by taps and what surrounds it: y = [kept +] [relu] layer([relu] x)."""

    taps: Taps = HERE
    relu_before: bool = False
    relu_after: bool = False
    opens: bool = False
    """Its input is kept ..."""
    closes: bool = False
    """... and added to the output of the next link that closes."""

    def __post_init__(self) -> None:
        if any(not ((down == -1 and abs(right) <= 1) or (down == 0 and right in (-1, 0))) for down, right in self.taps):
            raise ValueError(f"these taps do not lie in the past within one pixel: {self.taps}")


def tap_convolution(x: Tensor, weight: Tensor, bias: Tensor, taps: Taps) -> Tensor:
    """x [N, in, H, W], weight [T, in, out], bias [out] -> [N, out, H, W]; outside of the image lies zero.

    Taps may lie one row up and one column to either side, or one to the left in the same row, or at the pixel itself.
    """
    return tap_stack(x, [Link(taps)], [weight, bias])


def tap_stack(x: Tensor, links: Sequence[Link], parameters: Sequence[Tensor]) -> Tensor:
    """x [N, in, H, W] -> [N, out, H, W], in channels-last; ``parameters``: weight [T, in, out] and bias [out] a link.

    A second derivative is computed the plain way, in more time and memory.
    """
    if not links or len(parameters) != 2 * len(links):
        raise ValueError(
            f"a stack of {len(links)} links needs a weight and a bias for each, not {len(parameters)} tensors"
        )
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (x, *parameters))
    y: Tensor = _TapStack.apply(x, tuple(links), keep, *parameters)
    return y.permute(0, 3, 1, 2)


def plain_stack(x: Tensor, links: Sequence[Link], parameters: Sequence[Tensor]) -> Tensor:
    """The same by differentiable operations, each tap a shifted copy."""
    kept = x = x.permute(0, 2, 3, 1)
    for link, weight, bias in zip(links, parameters[::2], parameters[1::2], strict=True):
        kept = x if link.opens else kept
        x = x.relu() if link.relu_before else x
        x = bias + sum(
            F.pad(x, (0, 0, -right, right, -down, down)) @ w for (down, right), w in zip(link.taps, weight, strict=True)
        )
        x = x.relu() if link.relu_after else x
        x = kept + x if link.closes else x
    return x.permute(0, 3, 1, 2)


def _pixels(images: Tensor) -> Tensor:
    """[n, H, W, C] -> [n H W, C], a view."""
    return images.view(-1, images.shape[-1])


def _edge(images: Tensor, right: int) -> Tensor:
    """The column whose neighbour to the left (-1) or to the right (1) lies outside, [n, H, C], a view."""
    return images[:, :, 0 if right < 0 else -1]


def _parts(n: int, size: int) -> list[slice]:
    """A few of n images of so many pixels after another."""
    step = max(1, ROWS // size)
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def _convolve(x: Tensor, taps: Taps, weight: Tensor, bias: Tensor) -> Tensor:
    """[n, H, W, in] -> [n, H, W, out]."""
    y = x.new_empty(*x.shape[:3], weight.shape[2])
    source, target = _pixels(x), _pixels(y)
    target.copy_(bias.expand_as(target))

    def add(row: int) -> None:
        for (down, right), w in zip(taps, weight, strict=True):
            if down != row:
                continue
            distance = -(down * x.shape[2] + right)
            outside = _edge(y, right).clone() if right else None
            if distance < len(target):
                target[distance:].addmm_(source[: len(source) - distance], w)
            if outside is not None:
                _edge(y, right).copy_(outside)

    if any(down for down, _ in taps):
        add(-1)
        y[:, 0] = bias  # what lies above the first row belongs to another image
    add(0)
    return y


def _gradients(
    read: Tensor, d_y: Tensor, taps: Taps, weight: Tensor, d_weight: Tensor | None, d_read: Tensor | None
) -> Tensor:
    """Add to ``d_weight`` and to ``d_read``, which is returned and made anew without one. Writes on ``d_y``."""
    fresh = d_read is None and HERE[0] in taps  # the first product covers all of it
    if d_read is None:
        d_read = torch.empty_like(read) if fresh else torch.zeros_like(read)
    source, gradient = _pixels(read), _pixels(d_y)
    # The pixel itself comes first, those above last
    for i, (down, right) in sorted(enumerate(taps), key=lambda tap: tap[1], reverse=True):
        if down:
            d_y[:, 0] = 0
        outside = _edge(d_y, right).clone() if right else None
        if outside is not None:
            _edge(d_y, right).zero_()
        distance = -(down * read.shape[2] + right)
        size = len(gradient) - distance
        if size > 0:
            _pixels(d_read)[:size].addmm_(gradient[distance:], weight[i].t(), beta=0 if fresh else 1)
            fresh = False
        if size > 0 and d_weight is not None:
            a, b, d_w = source[:size], gradient[distance:], d_weight[i]
            if len(d_w.t()) < len(d_w):  # a product with the fewer maps in its rows is a tenth faster; measured
                a, b, d_w = b, a, d_w.t()
            d_w.addmm_(a.t(), b)
        if outside is not None:
            _edge(d_y, right).copy_(outside)
    return d_read


def _zeros(parameter: Tensor) -> Tensor:
    """Room for a gradient; of the maps a weight [T, in, out] joins, the more lie side by side."""
    if parameter.dim() == 3 and parameter.shape[2] < parameter.shape[1]:
        return torch.zeros_like(parameter.mT, memory_format=torch.contiguous_format).mT
    return torch.zeros_like(parameter, memory_format=torch.contiguous_format)


def _through_relu(d_y: Tensor, y: Tensor, out: Tensor) -> Tensor:
    """The gradient before a ReLU that gave ``y``, written to ``out``, which may be ``d_y``."""
    result: Tensor = torch.ops.aten.threshold_backward.grad_input(d_y, y, 0, grad_input=out)
    return result


def _plain_gradients(
    links: Sequence[Link], tensors: Sequence[Tensor], wanted: Sequence[bool], d_y: Tensor
) -> list[Tensor | None]:
    """The gradients of what goes into a stack, which can be derived in their turn."""
    x, *parameters = [t.view_as(t) for t in tensors]  # whatever else joins them is no part of this derivative
    y = plain_stack(x, links, parameters).permute(0, 2, 3, 1)
    asked = [t for t, want in zip((x, *parameters), wanted, strict=True) if want]
    gradients = iter(torch.autograd.grad(y, asked, d_y, create_graph=True))
    return [next(gradients) if want else None for want in wanted]


class _TapStack(torch.autograd.Function):
    """Inside, images are [n, H, W, C]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, links: tuple[Link, ...], keep: bool, *parameters: Tensor) -> Tensor:
        n, _, h, w = x.shape
        images = x.permute(0, 2, 3, 1).contiguous()
        y = x.new_empty(n, h, w, parameters[-1].shape[0])
        saved: list[Tensor | None] = []  # of each part and link: what it reads and, if it is rectified, what it gives
        ctx.links, ctx.parts = links, _parts(n, h * w)
        for part in ctx.parts:
            kept = z = images[part]
            for link, weight, bias in zip(links, parameters[::2], parameters[1::2], strict=True):
                kept = z if link.opens else kept
                read = z.relu() if link.relu_before else z
                z = _convolve(read, link.taps, weight, bias)
                if link.relu_after:
                    z.relu_()
                if keep:
                    saved += [read, z if link.relu_after else None]
                if link.closes:
                    z = kept + z if link.relu_after else z.add_(kept)
            y[part] = z
        ctx.save_for_backward(x, *parameters, *saved)
        return y

    @staticmethod
    def backward(ctx: Any, d_images: Tensor) -> tuple[Tensor | None, ...]:
        links: tuple[Link, ...] = ctx.links
        x, *rest = ctx.saved_tensors
        parameters, saved = rest[: 2 * len(links)], rest[2 * len(links) :]
        wanted = [ctx.needs_input_grad[0], *ctx.needs_input_grad[3:]]
        if torch.is_grad_enabled():  # a derivative of this derivative is wanted
            d_x, *d_parameters = _plain_gradients(links, [x, *parameters], wanted, d_images)
            return d_x, None, None, *d_parameters
        d_x = torch.empty_like(x, memory_format=torch.channels_last) if wanted[0] else None
        d_parameters = [_zeros(p) if want else None for p, want in zip(parameters, wanted[1:], strict=True)]
        for index, part in enumerate(ctx.parts):
            d_z = d_images[part].clone(memory_format=torch.contiguous_format)
            d_kept: Tensor | None = None
            for i, link in reversed(list(enumerate(links))):
                read, given = saved[2 * (index * len(links) + i) :][:2]
                if link.closes:
                    d_kept = d_z
                if given is not None:
                    d_z = _through_relu(d_z, given, out=torch.empty_like(d_z) if link.closes else d_z)
                elif link.closes:
                    d_z = d_z.clone()
                d_weight, d_bias = d_parameters[2 * i : 2 * i + 2]
                if d_bias is not None:
                    d_bias += _pixels(d_z).sum(0)
                joins = link.opens and not link.relu_before  # then the product goes into the residual's gradient
                d_read = _gradients(read, d_z, link.taps, parameters[2 * i], d_weight, d_kept if joins else None)
                d_z = _through_relu(d_read, read, out=d_read) if link.relu_before else d_read
                if link.opens and d_kept is not None:
                    d_z = d_z if joins else d_z.add_(d_kept)
                    d_kept = None
            if d_kept is not None:  # what nothing opened was the stack's own input
                d_z += d_kept
            if d_x is not None:
                d_x[part] = d_z.permute(0, 3, 1, 2)
        return d_x, None, None, *d_parameters
