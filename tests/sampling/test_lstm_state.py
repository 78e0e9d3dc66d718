"""The memory of a PixelRNN: what it draws, by the kernel or in tensor operations, is what the naive sampler draws."""

import pytest
import torch
from naive import naive_complete, naive_sample
from torch import Tensor

from genlib.layers import lstm2d_kernel
from genlib.layers.maps import run, to_maps
from genlib.models import get
from genlib.models.pixelrnn import PixelRNN
from genlib.sampling import lstm as module
from genlib.sampling.lstm import EagerNetwork, KernelNetwork

NAMES = ["row-lstm", "diagonal-bilstm", "spatial-lstm"]
needs_kernel = pytest.mark.skipif(not lstm2d_kernel.serves(), reason="no C compiler on this machine")


def network(name: str, shape: tuple[int, int, int], **values) -> PixelRNN:
    kind = get(name)
    values = {"hidden": 6, "layers": 2, "head": 6, "first_kernel": 5, **values}
    model = kind.from_config(kind.configure(None, shape, **values)).eval()
    assert isinstance(model, PixelRNN)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2)
    return model


@pytest.fixture(params=["kernel", "eager"])
def way(request, monkeypatch):
    """Both ways of computing a pixel."""
    if request.param == "kernel":
        if not lstm2d_kernel.serves():
            pytest.skip("no C compiler on this machine")
    else:
        monkeypatch.setattr(module, "serves", lambda *_: False)
    return request.param


def known_pixels(height: int, width: int) -> Tensor:
    """Two whole rows and a few pixels further down, the last one unknown."""
    known = torch.zeros(height, width, dtype=torch.bool)
    known[:2] = True
    known[3:, 1] = True
    known[-1, -1] = False
    return known


@pytest.mark.parametrize(("shape", "levels"), [((1, 5, 4), 2), ((1, 4, 5), 5), ((3, 4, 3), 2), ((3, 4, 3), 4)])
@pytest.mark.parametrize("name", NAMES)
def test_cached_and_naive_draw_the_same(name, shape, levels, way):
    model = network(name, shape, levels=levels)
    assert torch.equal(model.sample(5, seed=3), naive_sample(model, 5, seed=3))
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    known = known_pixels(*shape[1:])
    ours = model.complete(images, known, 3, seed=4, temperature=0.8)
    assert torch.equal(ours, naive_complete(model, images, known, 3, seed=4, temperature=0.8))


@pytest.mark.parametrize("shape", [(1, 1, 5), (1, 5, 1), (2, 1, 1)])
def test_one_row_one_column_one_pixel(shape, way):
    model = network("diagonal-bilstm", shape)
    assert torch.equal(model.sample(4, seed=1), naive_sample(model, 4, seed=1))


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 3, 3)])
def test_a_map_that_is_not_moved_down_draws_like_the_naive_sampler_too(shape, way):
    model = network("diagonal-bilstm", shape, shifted=False)
    assert torch.equal(model.sample(5, seed=2), naive_sample(model, 5, seed=2))
    known = known_pixels(*shape[1:])
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(model.complete(images, known, 2, seed=4), naive_complete(model, images, known, 2, seed=4))


@needs_kernel
def test_more_images_than_the_kernel_takes_at_once():
    model = network("diagonal-bilstm", (1, 4, 4))
    images = model.sample(101, seed=5)
    assert torch.equal(images, naive_sample(model, 101, seed=5))


@needs_kernel
@pytest.mark.parametrize("name", NAMES)
def test_both_ways_keep_the_same_maps(name):
    """Row by row or pixel by pixel, by the kernel or not: the logits are those of a pass over whole maps."""
    model = network(name, (1, 5, 6))
    images = torch.rand(3, 1, 5, 6, generator=torch.Generator().manual_seed(0)).round()
    with torch.no_grad():
        whole = run(model.steps(), to_maps(images))
        for kind in (KernelNetwork, EagerNetwork):
            for by_pixel in (False, True):
                walk = kind(model.steps(), to_maps(images))
                walk.forward_rows(0, 2)
                for row in range(2, 5):
                    if not by_pixel:
                        walk.forward_rows(row, row + 1)
                        continue
                    for column in range(6):
                        walk.forward_pixel(row, column)
                    walk.end_row(row)
                torch.testing.assert_close(walk.logits, whole, rtol=1e-4, atol=1e-5)
