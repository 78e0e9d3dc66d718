"""The pixel codings: each form of binary MNIST is what its name says, and no coding loses what it should keep."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genlib.data import BINARISATIONS, binarise
from genlib.data.codings import fixed_generator, from_levels, from_symmetric, to_levels, to_symmetric

GREYS = torch.arange(256).view(1, 1, 16, 16).float() / 255  # every grey value once


def test_threshold_is_the_tutorials_rule_on_bytes():
    wanted = torch.tensor([float(value >= 0.33 * 256) for value in range(256)])
    assert torch.equal(binarise(GREYS, "threshold").flatten(), wanted)


@pytest.mark.parametrize("form", BINARISATIONS)
def test_binary_images_are_fixed_points(form: str):
    bits = (torch.rand(4, 1, 9, 7, generator=fixed_generator()) < 0.5).float()
    assert torch.equal(binarise(bits, form), bits)
    assert torch.equal(binarise(bits, form, torch.Generator().manual_seed(1)), bits)


@pytest.mark.parametrize("form", ["dynamic", "static"])
def test_each_pixel_is_a_bernoulli_draw_with_its_grey_value(form: str):
    n = 4000
    mean = binarise(GREYS.expand(n, -1, -1, -1), form, torch.Generator().manual_seed(0)).mean(0, keepdim=True)
    assert (mean - GREYS).abs().max() < 5 * 0.5 / n**0.5  # five standard deviations of the mean of n draws
    assert (mean - GREYS).mean().abs() < 5 * 0.5 / (n * 256) ** 0.5


def test_draws_are_new_with_a_stream_and_the_same_without():
    stream = torch.Generator().manual_seed(3)
    assert not torch.equal(binarise(GREYS, "dynamic", stream), binarise(GREYS, "dynamic", stream))
    torch.manual_seed(1)
    first = binarise(GREYS, "static")
    torch.manual_seed(2)
    assert torch.equal(first, binarise(GREYS, "static"))


def test_unknown_form_is_refused():
    with pytest.raises(ValueError, match="sometimes"):
        binarise(GREYS, "sometimes")


@pytest.mark.parametrize("form", BINARISATIONS)
def test_forms_work_without_data_on_the_meta_device(form: str):
    assert binarise(GREYS.to("meta"), form).shape == GREYS.shape


@given(st.integers(2, 256))
@settings(deadline=None, max_examples=60)
def test_levels_round_trip_and_have_equal_bins(levels: int):
    values = torch.arange(levels)
    assert torch.equal(to_levels(from_levels(values, levels), levels), values)
    greys = torch.arange(256)
    assert torch.equal(to_levels(greys.float() / 255, levels), greys * levels // 256)
    assert from_levels(values, levels)[[0, -1]].tolist() == [0.0, 1.0]


def test_256_levels_are_the_bytes():
    assert torch.equal(to_levels(GREYS, 256).flatten(), torch.arange(256))


def test_symmetric_round_trip():
    assert torch.allclose(from_symmetric(to_symmetric(GREYS)), GREYS, atol=1e-7)
    assert to_symmetric(GREYS).aminmax() == (-1.0, 1.0)
    assert from_symmetric(torch.tensor([-1.5, 1.5])).tolist() == [0.0, 1.0]
