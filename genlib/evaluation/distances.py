"""How far apart two sets of pictures are, from their features: Frechet distance, precision and recall, density and coverage.

Real features are [M, D], generated ones [N, D]; the arithmetic is in 64 bits. The neighbour measures of 10,000 against 10,000
pictures look at 10^8 distances three times, in strips of `STRIP` rows: tens of megabytes at a time, where the
whole tables would take gigabytes. (The packages made for these measures, ``prdc`` and ``torchmetrics``, agree with what is here: the tests
hold the first against it where it is installed. ``prdc`` makes the whole tables and brings scikit-learn along; ``torchmetrics`` takes seconds to import.)

Sampling noise comes from a *jackknife*: the generated pictures are cut into `GROUPS` groups, and the measure is taken again with
each group left out (Efron 1982; the delete-a-group form). A bootstrap would draw pictures twice, and a picture that is its own
neighbour breaks every measure of neighbours.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

STRIP = 500  # rows of a table of distances that exist at a time
GROUPS = 10  # of the jackknife
MANIFOLD_K = 3  # neighbours of precision and recall (Kynkaanniemi et al. 2019, section 3)
COVERAGE_K = 5  # neighbours of density and coverage (Naeem et al. 2020, section 4)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Estimate:
    """A figure and its standard error, None where it cannot be told (fewer pictures than groups)."""

    value: float
    error: float | None


def frechet(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> float:
    """Squared Frechet distance of two Gaussians (Heusel et al. 2017, eq. 6; Dowson & Landau 1982):
    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)).

    The last trace is that of the square root of C_a^(1/2) C_b C_a^(1/2), which is symmetric: no complex parts, and covariances
    without full rank do no harm.
    """
    values, vectors = torch.linalg.eigh(covariance_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    inner = root @ covariance_b @ root
    cross = torch.linalg.eigvalsh((inner + inner.T) / 2).clamp_min(0).sqrt().sum()
    apart = (mean_a - mean_b).square().sum()
    return max(0.0, float(apart + covariance_a.trace() + covariance_b.trace() - 2 * cross))


@dataclass(frozen=True)
class Moments:
    """Sums over n features [D], from which the moments of a union or of a remainder follow."""

    n: int
    first: Tensor
    second: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """Of features [N, D]."""
        x = features.double()
        return cls(len(x), x.sum(0), x.T @ x)

    def without(self, other: "Moments") -> "Moments":
        return Moments(self.n - other.n, self.first - other.first, self.second - other.second)

    def gaussian(self) -> tuple[Tensor, Tensor]:
        """Mean [D] and covariance [D, D] (divided by n - 1)."""
        mean = self.first / self.n
        return mean, (self.second - self.n * torch.outer(mean, mean)) / max(1, self.n - 1)


def frechet_distance(real: Tensor, fake: Tensor) -> Estimate:
    """The Frechet distance of two sets of features.

    It is biased upwards by few pictures, so figures of different numbers of pictures must not be compared.
    """
    origin = real.double().mean(0)  # near the data, so that the sums cancel little
    a = Moments.of(real.double() - origin).gaussian()
    groups = [Moments.of(part.double() - origin) for part in cut(fake)]
    whole = Moments(len(fake), sum_of([g.first for g in groups]), sum_of([g.second for g in groups]))
    value = frechet(*a, *whole.gaussian())
    return Estimate(value, jackknife([frechet(*a, *whole.without(g).gaussian()) for g in groups]))


def sum_of(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum(0)


def cut(features: Tensor) -> tuple[Tensor, ...]:
    """The groups of the jackknife; one where there are too few pictures."""
    return features.tensor_split(GROUPS) if len(features) >= 2 * GROUPS else (features,)


def jackknife(left_out: list[float]) -> float | None:
    """Standard error, from the figures with each of G groups left out: sqrt((G - 1) / G x sum of squares about their mean)."""
    g = len(left_out)
    if g < 2:
        return None
    mean = sum(left_out) / g
    return math.sqrt((g - 1) / g * sum((value - mean) ** 2 for value in left_out))


@dataclass(frozen=True)
class Neighbours:
    """The measures of neighbours, each an `Estimate`."""

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


def neighbours(
    real: Tensor, fake: Tensor, *, manifold_k: int = MANIFOLD_K, coverage_k: int = COVERAGE_K,
    progress: Progress | None = None,
) -> Neighbours:  # fmt: skip
    """Precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991, eqs. 1-3), density and coverage (Naeem et al. 2020,
    arXiv:2002.09797, eqs. 2-4).

    A ball about each picture reaches to its k-th neighbour in its own set.

    * precision: share of generated pictures inside a real ball: are they good?
    * recall: share of real pictures inside a generated ball: is everything there?
    * density: real balls that a generated picture lies in, divided by k: like precision, but an outlier's large ball counts once;
      about 1 for equal distributions, and more where the generated ones crowd.
    * coverage: share of real balls with a generated picture inside: like recall, and fooled by no outlier among the generated.
    """
    real, fake = real.double(), fake.double()
    total = 2 * len(real) + len(fake)
    done = 0

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, total)

    near, far = sorted((manifold_k, coverage_k))
    real_radii = radii(real, (near, far), advance)
    real_small = real_radii[manifold_k]  # [M]
    real_wide = real_radii[coverage_k]  # [M]
    fake_small = radii(fake, (manifold_k,), advance)[manifold_k]  # [N]

    sizes = [len(part) for part in cut(fake)]
    inside = torch.zeros(len(fake), dtype=torch.bool)  # in some real ball
    crowd = torch.zeros(len(fake), dtype=torch.float64)  # real balls it lies in
    reached: list[Tensor] = []  # [rows, groups]: groups with a ball about the real picture
    covered: list[Tensor] = []  # [rows, groups]: groups with a picture in the real picture's ball
    for start in range(0, len(real), STRIP):
        rows = slice(start, start + STRIP)
        apart = torch.cdist(real[rows], fake)  # [rows, N]
        inside |= (apart <= real_small[rows, None]).any(0)
        in_ball = apart <= real_wide[rows, None]
        crowd += in_ball.sum(0)
        reached.append(torch.stack([part.any(1) for part in (apart <= fake_small).split(sizes, 1)], 1))
        covered.append(torch.stack([part.any(1) for part in in_ball.split(sizes, 1)], 1))
        advance(len(apart))
    return Neighbours(
        precision=average(inside.double()), recall=_any_group(torch.cat(reached)),
        density=average(crowd / coverage_k), coverage=_any_group(torch.cat(covered)),
    )  # fmt: skip


def radii(features: Tensor, ks: tuple[int, ...], advance: Callable[[int], None]) -> dict[int, Tensor]:
    """Distance of each picture to its k-th neighbour in its own set, itself not counted, [N] for each k.

    A set with fewer than k + 1 pictures takes its farthest.
    """
    found: dict[int, list[Tensor]] = {k: [] for k in ks}
    reach = min(max(ks) + 1, len(features))
    for part in features.split(STRIP):
        nearest = torch.cdist(part, features).topk(reach, 1, largest=False).values  # [rows, reach], ascending
        for k in found:
            found[k].append(nearest[:, min(k, reach - 1)])
        advance(len(part))
    return {k: torch.cat(parts) for k, parts in found.items()}


def average(values: Tensor) -> Estimate:
    """Mean of [N] and its standard error."""
    n = len(values)
    return Estimate(float(values.mean()), float(values.std() / math.sqrt(n)) if n >= 2 * GROUPS else None)


def _any_group(hit: Tensor) -> Estimate:
    """Share of rows of bool [M, G] with any hit, with the jackknife over the G groups (radii stay as they are)."""
    times = hit.sum(1, keepdim=True)  # [M, 1]
    left_out = ((times - hit.long()) > 0).double().mean(0)  # [G]
    return Estimate(float((times > 0).double().mean()), jackknife(left_out.tolist()))
