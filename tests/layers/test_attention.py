"""Gaussian attention: against plain loops in float64, and by its identities."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from genlib.layers.attention import (
    FusedGrids,
    GlimpseBox,
    filter_bank,
    filter_banks,
    filter_offsets,
    glimpse_box,
    read,
    write,
)

SIZES = [(1, 7), (2, 28), (3, 9), (5, 28), (12, 32)]


def box(*values: float) -> GlimpseBox:
    """centre x, centre y, delta, sigma, gamma -> a box of float64 scalars."""
    return GlimpseBox.from_tensor(torch.tensor(values, dtype=torch.float64))


def random_boxes(n: int, size: int, seed: int = 0) -> GlimpseBox:
    """Boxes all over the place, some of them partly outside of the image."""
    u = torch.rand(n, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    centre = (u[:, :2] * 1.4 - 0.2) * size
    return GlimpseBox(centre[:, 0], centre[:, 1], u[:, 2] * 6, 0.3 + 3 * u[:, 3], 0.3 + 2 * u[:, 4])


def filters_by_hand(centre: float, delta: float, sigma: float, n: int, size: int) -> list[list[float]]:
    """The definition, one number at a time; filters and pixels counted from 1, as in the paper."""
    bank = []
    for i in range(1, n + 1):
        mu = (centre + 1) + (i - n / 2 - 0.5) * delta
        row = [math.exp(-((a - mu) ** 2) / (2 * sigma**2)) for a in range(1, size + 1)]
        bank.append([value / sum(row) for value in row])
    return bank


@pytest.mark.parametrize(("n", "size"), SIZES)
def test_filter_bank_is_the_definition(n: int, size: int) -> None:
    boxes = random_boxes(20, size)
    bank = filter_bank(boxes.centre_x, boxes.delta, boxes.sigma, n, size)
    assert bank.shape == (20, n, size)
    for i in range(20):
        # a filter so far outside that its Gaussian is 0.0 on all pixels has no quotient by hand
        reach = boxes.delta[i] * (n - 1) / 2
        if boxes.centre_x[i] - reach < -20 * boxes.sigma[i] or boxes.centre_x[i] + reach > size + 20 * boxes.sigma[i]:
            continue
        wanted = filters_by_hand(float(boxes.centre_x[i]), float(boxes.delta[i]), float(boxes.sigma[i]), n, size)
        torch.testing.assert_close(bank[i], torch.tensor(wanted, dtype=torch.float64), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("n", "offsets"), [(1, [0.0]), (2, [-0.5, 0.5]), (5, [-2.0, -1.0, 0.0, 1.0, 2.0])])
def test_filters_lie_about_the_centre(n: int, offsets: list[float]) -> None:
    """mu_i = g + (i - N/2 + 0.5) delta with i from 0: known places for N = 1, 2, 5, and symmetric."""
    assert filter_offsets(n).tolist() == offsets
    assert filter_offsets(n).flip(0).tolist() == [-offset for offset in offsets]
    centre, delta = torch.tensor(13.0, dtype=torch.float64), torch.tensor(4.0, dtype=torch.float64)
    bank = filter_bank(centre, delta, torch.tensor(0.5, dtype=torch.float64), n, 27)
    means = bank @ torch.arange(27, dtype=torch.float64)  # narrow filters far from the border: the mean is the centre
    torch.testing.assert_close(means, 13.0 + 4.0 * torch.tensor(offsets, dtype=torch.float64))


@pytest.mark.parametrize(("n", "size"), SIZES)
def test_middle_box_is_symmetric(n: int, size: int) -> None:
    """Outputs of zero put the grid over the middle, reaching from the first pixel to the last."""
    middle = glimpse_box(torch.zeros(5, dtype=torch.float64), n, size, size)
    assert float(middle.centre_x) == float(middle.centre_y) == (size - 1) / 2
    assert float(middle.sigma) == float(middle.gamma) == 1.0
    if n > 1:
        assert float(middle.width(n)) == pytest.approx(size - 1)
    fy, fx = filter_banks(middle, n, size, size)
    torch.testing.assert_close(fy, fx)
    torch.testing.assert_close(fx, fx.flip(0, 1))


def test_glimpse_box_is_the_papers_formula() -> None:
    """Equations 22 to 24 with A = 11, B = 7, N = 3; the paper's pixel 1 is our pixel 0."""
    found = glimpse_box(torch.tensor([0.5, -0.25, 0.8, -0.7, 0.3], dtype=torch.float64), 3, 7, 11)
    assert float(found.centre_x) == pytest.approx(12 / 2 * 1.5 - 1)
    assert float(found.centre_y) == pytest.approx(8 / 2 * 0.75 - 1)
    assert float(found.sigma) ** 2 == pytest.approx(math.exp(0.8))
    assert float(found.delta) == pytest.approx(10 / 2 * math.exp(-0.7))
    assert float(found.gamma) == pytest.approx(math.exp(0.3))
    torch.testing.assert_close(GlimpseBox.from_tensor(found.tensor()).tensor(), found.tensor())


@pytest.mark.parametrize(("n", "size"), SIZES)
def test_rows_sum_to_one_wherever_they_lie(n: int, size: int) -> None:
    for dtype in (torch.float32, torch.float64):
        for centre in (-1e4, -50.0, 0.0, size / 3, size + 50.0, 1e4):
            for sigma in (1e-3, 0.2, 3.0, 1e3):
                values = (torch.tensor(value, dtype=dtype) for value in (centre, 2.5, sigma))
                bank = filter_bank(*values, n, size)
                assert bank.isfinite().all()
                torch.testing.assert_close(bank.sum(-1), torch.ones(n, dtype=dtype))


def test_reading_a_constant_image_gives_it_times_gamma() -> None:
    boxes = random_boxes(30, 12)
    image = torch.full((30, 2, 12, 12), 0.7, dtype=torch.float64)
    wanted = (0.7 * boxes.gamma).view(30, 1, 1, 1).expand(30, 2, 4, 4)
    torch.testing.assert_close(read(image, boxes, 4), wanted)


def test_read_and_write_are_the_definition() -> None:
    """Sums over all pixels and filters, one number at a time, on an image that is not square."""
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(2, 5, 8, generator=generator, dtype=torch.float64)
    patch = torch.randn(2, 3, 3, generator=generator, dtype=torch.float64)
    place = box(3.2, 1.9, 1.4, 0.8, 1.7)
    fy = filters_by_hand(1.9, 1.4, 0.8, 3, 5)
    fx = filters_by_hand(3.2, 1.4, 0.8, 3, 8)
    glimpse = torch.zeros(2, 3, 3, dtype=torch.float64)
    spread = torch.zeros(2, 5, 8, dtype=torch.float64)
    for c, i, j, b, a in itertools.product(range(2), range(3), range(3), range(5), range(8)):
        glimpse[c, i, j] += 1.7 * fy[i][b] * image[c, b, a] * fx[j][a]
        spread[c, b, a] += fy[i][b] * patch[c, i, j] * fx[j][a] / 1.7
    torch.testing.assert_close(read(image, place, 3), glimpse)
    torch.testing.assert_close(write(patch, place, (5, 8)), spread)


def test_writing_is_the_transpose_of_reading() -> None:
    """<read(x), p> / gamma = <x, write(p)> gamma for all x and p."""
    generator = torch.Generator().manual_seed(2)
    boxes = random_boxes(40, 10, seed=3)
    image = torch.randn(40, 3, 10, 14, generator=generator, dtype=torch.float64)
    patch = torch.randn(40, 3, 4, 4, generator=generator, dtype=torch.float64)
    left = (read(image, boxes, 4) * patch).sum((1, 2, 3)) / boxes.gamma
    right = (image * write(patch, boxes, (10, 14))).sum((1, 2, 3)) * boxes.gamma
    torch.testing.assert_close(left, right)


def test_fine_grid_over_all_pixels_copies_the_image() -> None:
    """Stride 1, narrow filters, as many as pixels: reading and writing are the identity."""
    image = torch.rand(1, 9, 9, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    place = box(4, 4, 1, 0.05, 1)
    torch.testing.assert_close(read(image, place, 9), image)
    torch.testing.assert_close(write(image, place, (9, 9)), image)


def test_a_moved_box_sees_a_moved_image() -> None:
    image = torch.zeros(1, 20, 20, dtype=torch.float64)
    image[:, 8:11, 7:12] = torch.rand(3, 5, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    moved = image.roll((2, -3), (1, 2))  # two down, three to the left
    torch.testing.assert_close(read(image, box(9, 9, 1.5, 0.7, 1), 3), read(moved, box(6, 11, 1.5, 0.7, 1), 3))


def test_gradients_are_right() -> None:
    """Of the five numbers, the image and the patch, by finite differences in float64."""
    generator = torch.Generator().manual_seed(6)
    image = torch.randn(2, 2, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    patch = torch.randn(2, 2, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    raw = (0.5 * torch.randn(2, 5, generator=generator, dtype=torch.float64)).requires_grad_()

    def glimpse(image: Tensor, raw: Tensor) -> Tensor:
        return read(image, glimpse_box(raw, 3, 4, 5), 3)

    def written(patch: Tensor, raw: Tensor) -> Tensor:
        return write(patch, glimpse_box(raw, 3, 4, 5), (4, 5))

    assert torch.autograd.gradcheck(glimpse, (image, raw))
    assert torch.autograd.gradcheck(written, (patch, raw))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (5, 9)])
def test_fused_grids_are_the_plain_ones(height: int, width: int) -> None:
    """Filters, intensities and the extra product of three grids, and the gradients of all weights."""
    torch.manual_seed(0)
    heads = [(nn.Linear(6, 5).double(), n, sign) for n, sign in ((2, 1), (5, -1), (1, 1))]
    extra = nn.Linear(6, 4).double()
    state = torch.randn(7, 6, dtype=torch.float64, requires_grad=True)
    weights = [state, *extra.parameters(), *(p for linear, *_ in heads for p in linear.parameters())]

    found, rode_along = FusedGrids(heads, height, width, extra)(state)
    torch.testing.assert_close(rode_along, extra(state))
    score, wanted = rode_along.sin().sum(), extra(state).sin().sum()
    for (linear, n, sign), (fy, fx, gamma) in zip(heads, found, strict=True):
        place = glimpse_box(linear(state), n, height, width)
        plain_y, plain_x = filter_banks(place, n, height, width)
        torch.testing.assert_close(fy, plain_y)
        torch.testing.assert_close(fx, plain_x)
        torch.testing.assert_close(gamma[:, 0], place.gamma**sign)
        score = score + fy.sin().sum() + fx.square().sum() + gamma.sin().sum()
        wanted = wanted + plain_y.sin().sum() + plain_x.square().sum() + (place.gamma**sign).sin().sum()
    gradients = torch.autograd.grad(score, weights)
    for gradient, plain in zip(gradients, torch.autograd.grad(wanted, weights), strict=True):
        torch.testing.assert_close(gradient, plain)
