"""Distances of sets of features: closed forms, truths at the ends, and plain loops in place of strips."""

import math

import pytest
import torch
from torch import Tensor

from genlib.evaluation import distances
from genlib.evaluation.distances import frechet, frechet_distance, jackknife, neighbours


def normal(n: int, d: int = 4, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    return shift + scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def covariance(d: int, seed: int) -> Tensor:
    root = normal(d, d, seed)
    return root @ root.T


# --- Frechet ---------------------------------------------------------------------------------------------------------


def test_frechet_of_diagonal_gaussians_in_closed_form() -> None:
    """Where covariances commute it is |m1 - m2|^2 + sum of (s1 - s2)^2 over standard deviations."""
    a, b = torch.tensor([1.0, 2.0, 0.5]).double(), torch.tensor([3.0, 0.1, 0.5]).double()
    m, n = torch.tensor([0.0, 1.0, 2.0]).double(), torch.tensor([1.0, 1.0, -1.0]).double()
    expected = float((m - n).square().sum() + (a - b).square().sum())
    assert frechet(m, a.square().diag(), n, b.square().diag()) == pytest.approx(expected, rel=1e-12)


def test_frechet_of_full_covariances_agrees_with_the_eigenvalues_of_their_product() -> None:
    a, b = covariance(5, 1), covariance(5, 2)
    zero = torch.zeros(5).double()
    cross = torch.linalg.eigvals(a @ b).real.sqrt().sum()
    expected = float(a.trace() + b.trace() - 2 * cross)
    assert frechet(zero, a, zero, b) == pytest.approx(expected, rel=1e-9)
    assert frechet(zero, b, zero, a) == pytest.approx(expected, rel=1e-9)


def test_frechet_of_covariances_without_full_rank() -> None:
    """A collapsed model has no spread at all: then it is the distance of the means plus the real variance."""
    zero, one = torch.zeros(3).double(), torch.ones(3).double()
    a = covariance(3, 1)
    assert frechet(zero, a, one, torch.zeros(3, 3).double()) == pytest.approx(3 + float(a.trace()))


def test_frechet_distance_of_a_set_to_itself_is_zero() -> None:
    x = normal(200)
    assert frechet_distance(x, x).value == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, x.flip(0)).value == pytest.approx(0, abs=1e-9)


def test_frechet_distance_takes_the_sample_moments() -> None:
    a, b = normal(150, seed=1), normal(90, seed=2, scale=2, shift=1000)
    expected = frechet(a.mean(0), a.T.cov(), b.mean(0), b.T.cov())
    assert frechet_distance(a, b).value == pytest.approx(expected, rel=1e-9)


def test_frechet_error_is_the_spread_over_draws() -> None:
    real = normal(4000, seed=0)
    found = [frechet_distance(real, normal(400, seed=seed, shift=1)) for seed in range(1, 31)]
    spread = torch.tensor([one.value for one in found]).std()
    typical = torch.tensor([one.error for one in found]).mean()
    assert float(typical / spread) == pytest.approx(1, abs=0.4)


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = normal(10, 1).flatten()
    left_out = [float((values.sum() - value) / 9) for value in values]
    assert jackknife(left_out) == pytest.approx(float(values.std() / math.sqrt(10)))
    assert jackknife([1.0]) is None


# --- neighbours ------------------------------------------------------------------------------------------------------


def test_one_distribution_has_precision_and_recall_near_one() -> None:
    found = neighbours(normal(2000, seed=1), normal(2000, seed=2))
    assert found.precision.value > 0.85
    assert found.recall.value > 0.85
    assert found.density.value == pytest.approx(1, abs=0.06)
    # expected where both are one continuous distribution of n and m pictures (Naeem et al. 2020, section 3.3): 1 - 2^-k
    assert found.coverage.value == pytest.approx(1 - 2**-5, abs=0.02)


def test_a_set_against_itself_is_perfect() -> None:
    x = normal(120)
    found = neighbours(x, x)
    assert (found.precision.value, found.recall.value, found.coverage.value) == (1, 1, 1)


def test_disjoint_distributions_have_nothing_in_common() -> None:
    found = neighbours(normal(100, seed=1), normal(80, seed=2, shift=100))
    assert (found.precision.value, found.recall.value, found.density.value, found.coverage.value) == (0, 0, 0, 0)


def test_a_collapsed_model_is_precise_and_covers_nothing() -> None:
    real = normal(1000, seed=1)
    found = neighbours(real, normal(1000, seed=2, scale=0.01))
    assert found.precision.value == 1
    assert found.density.value > 1
    assert found.recall.value < 0.01
    assert found.coverage.value < 0.15


def test_an_outlier_fools_recall_but_not_coverage() -> None:
    """Generated far-away pictures span balls over everything: what coverage was made for."""
    real = normal(300, seed=1)
    fake = normal(300, seed=2, shift=40)
    fake[:3] = normal(3, seed=3, scale=0.1, shift=-60)
    found = neighbours(real, fake)
    assert found.recall.value > 0.9
    assert found.coverage.value == 0


def test_neighbours_equal_the_definitions_written_as_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "STRIP", 7)
    real, fake = normal(18, 3, seed=1), normal(22, 3, seed=2, scale=1.3, shift=0.4)

    def radius(x: Tensor, i: int, k: int) -> float:
        return sorted(float((x[i] - other).norm()) for other in x)[k]

    def inside(y: Tensor, x: Tensor, i: int, k: int) -> bool:
        return float((x[i] - y).norm()) <= radius(x, i, k)

    found = neighbours(real, fake, manifold_k=2, coverage_k=4)
    m, n = len(real), len(fake)
    precision = sum(any(inside(f, real, i, 2) for i in range(m)) for f in fake) / n
    recall = sum(any(inside(r, fake, j, 2) for j in range(n)) for r in real) / m
    density = sum(inside(f, real, i, 4) for f in fake for i in range(m)) / (4 * n)
    coverage = sum(any(inside(f, real, i, 4) for f in fake) for i in range(m)) / m
    assert found.precision.value == pytest.approx(precision)
    assert found.recall.value == pytest.approx(recall)
    assert found.density.value == pytest.approx(density)
    assert found.coverage.value == pytest.approx(coverage)


def test_neighbours_agree_with_the_authors_own_package() -> None:
    prdc = pytest.importorskip("prdc", reason="prdc is not installed")
    real, fake = normal(300, 6, seed=1), normal(250, 6, seed=2, scale=0.8, shift=0.3)
    expected = prdc.compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
    found = neighbours(real, fake, manifold_k=5, coverage_k=5)
    assert {name: estimate.value for name, estimate in vars(found).items()} == pytest.approx(expected)


def test_neighbours_say_how_far_they_are() -> None:
    seen: list[tuple[int, int]] = []
    neighbours(normal(60, seed=1), normal(50, seed=2), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (170, 170)
