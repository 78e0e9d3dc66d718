"""Planes through spaces of many dimensions: what the Latent space page shows of codes and noise of more than two numbers.

A `Flat` lays the page's plane (x, y) into the space of codes z [latent]:

* `principal_plane`: through the mean of many codes, along the two directions in which they vary most (Pearson 1901; the first
  two principal components). Both axes have length one, so distances on the plane are distances between codes.
* `through_three`: through three draws of noise, which stand at the corners of a triangle. Noise of n numbers lies near the
  sphere of radius sqrt(n); a straight mixture of two draws falls inside, where a generator has seen nothing. So every point of
  this plane is stretched to the sphere on which its neighbours lie (White 2016, "Sampling Generative Networks",
  arXiv:1609.04468).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlib.figures import images, palette

CORNERS = ((0.0, 2.0), (-math.sqrt(3), -1.0), (math.sqrt(3), -1.0))
"""Where `through_three` puts its three draws: a triangle with equal sides around the origin."""
CLASS_COLOURS = (  # those of the latent pad
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#d6c700", "#8c6bb1", "#8a8a8a", "#8c510a",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Flat:
    """z = origin + (x, y) axes, [latent]; then stretched to ``norm`` + (x, y) slope, where that is given."""

    origin: Tensor
    """[latent]."""
    axes: Tensor
    """[2, latent]."""
    share: float | None = None
    """Of the codes' variance, how much lies along the axes."""
    norm: tuple[float, Tensor] | None = None
    """Distance from zero at the origin, and how it changes along the axes [2]."""

    def lift(self, xy: Tensor) -> Tensor:
        """Points of the plane [N, 2] -> codes [N, latent]."""
        codes = self.origin.to(xy.device) + xy @ self.axes.to(xy.device)
        if self.norm is None:
            return codes
        at, slope = self.norm
        wanted = (at + xy @ slope.to(xy.device)).clamp_min(at / 10)
        return codes * (wanted / codes.norm(dim=1).clamp_min(1e-6))[:, None]

    def project(self, codes: Tensor) -> Tensor:
        """Codes [N, latent] -> the points [N, 2] of the plane below them. The axes must be orthonormal."""
        return (codes - self.origin.to(codes.device)) @ self.axes.to(codes.device).T


def whole_plane() -> Flat:
    """Codes of two numbers are the plane itself."""
    return Flat(torch.zeros(2), torch.eye(2), 1.0)


def principal_plane(codes: Tensor) -> Flat:
    """The plane of a cloud of codes [N, latent], N at least 2: see the module docstring.

    Each axis points to where its largest component is positive, so that the same codes give the same plane everywhere.
    """
    mean = codes.double().mean(0)
    _, values, axes = torch.linalg.svd(codes.double() - mean, full_matrices=False)
    axes = axes[:2]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    variance = values.square()
    share = float(variance[:2].sum() / variance.sum().clamp_min(1e-12))
    return Flat(mean.float(), axes.float(), share)


def through_three(draws: Tensor) -> Flat:
    """The plane through three draws of noise [3, latent], which stand at `CORNERS`: see the module docstring."""
    back = torch.linalg.pinv(torch.tensor(CORNERS, dtype=torch.float64))  # [2, 3]
    z, norms = draws.double().cpu(), draws.double().cpu().norm(dim=1)
    axes = back @ (z - z.mean(0))
    slope = back @ (norms - norms.mean())
    return Flat(z.mean(0).float(), axes.float(), None, (float(norms.mean()), slope.float()))


def slerp(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """From a to b [latent] along the great circle between their directions, lengths mixed evenly: [steps, latent].

    Shoemake 1985, "Animating rotation with quaternion curves".
    """
    t = torch.linspace(0, 1, steps, device=a.device)[:, None]
    directions = a / a.norm(), b / b.norm()
    angle = torch.arccos((directions[0] @ directions[1]).clamp(-1 + 1e-6, 1 - 1e-6))
    mixed = (torch.sin((1 - t) * angle) * directions[0] + torch.sin(t * angle) * directions[1]) / torch.sin(angle)
    return mixed * ((1 - t) * a.norm() + t * b.norm())


def lerp(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """From a to b [latent] on the straight line: [steps, latent]."""
    t = torch.linspace(0, 1, steps, device=a.device)[:, None]
    return (1 - t) * a + t * b


def traversal(base: Tensor, number: int, values: Tensor) -> Tensor:
    """The code ``base`` [latent] with one of its numbers set to each of the values [F]: [F, latent]."""
    codes = base.repeat(len(values), 1)
    codes[:, number] = values
    return codes


# -- figures -----------------------------------------------------------------------------------------------------------


def strips_figure(
    tiles: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str, *, height: int = 520
) -> dict[str, Any]:
    """Pictures uint8 [R, F, H, W(, 3)] in rows with a name each, ``columns`` under them."""
    r, f = tiles.shape[:2]
    flat = tiles.reshape(r * f, *tiles.shape[2:])
    pixels = flat if flat.ndim == 4 else np.repeat(flat[..., None], 3, -1)
    scale = max(1, math.ceil(1100 / (f * pixels.shape[2])))  # enlarged here: the browser would blur it
    picture = {
        "source": images.data_url(images.sheet(pixels, f, scale=scale, gap=scale)),
        "layer": "below", "sizing": "stretch", "xref": "x", "yref": "y", "x": -0.5, "y": -0.5, "sizex": f, "sizey": r,
    }  # fmt: skip
    common = {"showgrid": False, "constrain": "domain"}
    return {
        "data": [{"type": "scatter", "x": [], "y": []}],
        "layout": palette.layout(
            xaxis=palette.axis(
                **common, range=[-0.5, f - 0.5], tickvals=list(range(f)), ticktext=list(columns),
                title={"text": title, "standoff": 4},
            ),
            yaxis=palette.axis(
                **common, range=[r - 0.5, -0.5], tickvals=list(range(r)), ticktext=list(rows), scaleanchor="x",
                constraintoward="top",
            ),
            images=[picture],
            height=height,
            hovermode=False,
            dragmode=False,
        ),
    }  # fmt: skip


def kl_figure(kl: np.ndarray, shown: Sequence[int], active: np.ndarray, *, height: int = 520) -> dict[str, Any]:
    """Nats that each number of the code takes, [latent], in falling order; ``shown`` ones are marked, unused ones grey."""
    order = np.argsort(-kl, kind="stable")
    marked = set(shown)
    colours = [palette.ORANGE if i in marked else palette.SKY if active[i] else palette.GREY for i in order.tolist()]
    bars = {
        "type": "bar",
        "x": list(range(1, len(kl) + 1)),
        "y": kl[order].round(4).tolist(),
        "customdata": order.tolist(),
        "marker": {"color": colours},
        "hovertemplate": "z<sub>%{customdata}</sub>: %{y:.3f} nats<extra></extra>",
    }
    return {
        "data": [bars],
        "layout": palette.layout(
            xaxis=palette.axis(title={"text": "number of the code, the costliest first"}, showgrid=False),
            yaxis=palette.axis(title={"text": "KL, nats"}, rangemode="tozero"),
            height=height,
            bargap=0.15,
            hovermode="closest",
            dragmode=False,
        ),
    }


def scatter_figure(
    points: np.ndarray, labels: np.ndarray | None, names: Sequence[str], extent: float
) -> dict[str, Any]:
    """Codes [N, 2] on the plane [-extent, extent]^2, coloured by class, with the circles of the prior; a square without a
    legend, to stand beside others."""
    groups = [(None, points)] if labels is None else [(k, points[labels == k]) for k in range(len(names))]
    traces: list[dict[str, Any]] = [
        {
            "type": "scattergl",
            "mode": "markers",
            "x": part[:, 0].round(3).tolist(),
            "y": part[:, 1].round(3).tolist(),
            "marker": {"size": 4, "opacity": 0.7, "color": CLASS_COLOURS[(k or 0) % len(CLASS_COLOURS)]},
            "hovertemplate": (names[k] if k is not None else "code") + " (%{x:.2f}, %{y:.2f})<extra></extra>",
        }
        for k, part in groups
    ]
    rings = [
        {
            "type": "circle",
            "x0": -r,
            "x1": r,
            "y0": -r,
            "y1": r,
            "line": {"color": palette.GREY, "width": 1, "dash": "dot"},
        }
        for r in (1, 2, 3)
    ]
    common = {"range": [-extent, extent], "constrain": "domain", "nticks": 5}
    return {
        "data": traces,
        "layout": palette.layout(
            xaxis=palette.axis(**common),
            yaxis=palette.axis(**common, scaleanchor="x"),
            shapes=rings,
            showlegend=False,
            hovermode="closest",
            dragmode=False,
            margin={"l": 4, "r": 4, "t": 4, "b": 4},
        ),
    }
