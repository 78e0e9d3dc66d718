"""Multi-scale PixelRNN: the small image comes first, is counted once, and tells the large one what raster order cannot."""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from naive import naive_complete, naive_sample
from plain_optimizers import train
from small_models import small
from torch import Tensor

from genlib.errors import GenlibError
from genlib.models.multiscale import MultiScale
from genlib.sampling import MaskedStackState


def network(shape: tuple[int, int, int] = (1, 5, 6), *, strong: float = 1.0, **values) -> MultiScale:
    """A small model in float64."""
    model = small("multiscale", shape, seed=1, **values).double()
    assert isinstance(model, MultiScale)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(strong)
    return model


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- the order, and what a pixel sees ---------------------------------------------------------------------------------


def test_the_small_image_is_drawn_first_and_then_the_rest() -> None:
    assert network((1, 3, 4)).order().tolist() == [[[0, 4, 1, 5], [6, 7, 8, 9], [2, 10, 3, 11]]]
    colours = network((3, 2, 2), factor=2).order()
    assert colours[:, 0, 0].tolist() == [0, 1, 2]
    assert colours[:, 0, 1].tolist() == [3, 4, 5]


def seen(model: MultiScale, row: int, column: int) -> Tensor:
    """[H, W]: where the input changes the logit of a pixel, by gradient; with weights and inputs above 0 nothing cancels."""
    with torch.no_grad():
        for p in model.parameters():
            p.abs_().add_(0.01)
    x = (noise(1, *model.config.shape) + 0.1).requires_grad_()
    model(x)[0, 0, row, column].backward()
    assert x.grad is not None
    return x.grad[0, 0] != 0


@pytest.mark.parametrize("factor", [2, 3])
def test_a_pixel_sees_the_whole_small_image_and_a_small_pixel_only_what_is_before_it_there(factor: int) -> None:
    model = network((1, 9, 9), factor=factor, small_blocks=9, blocks=9, up_layers=5)
    in_small, order = model.small_pixels(), model.order()[0]
    of_large = seen(model, 5, 5)
    assert of_large[in_small].all()  # above and below, left and right
    assert not of_large[~in_small & (order >= order[5, 5])].any()
    assert of_large[~in_small & (order < order[5, 5])].sum() > 10
    place = 2 * factor
    of_small = seen(model, place, place)
    assert not of_small[~in_small].any()
    assert not of_small[order >= order[place, place]].any()
    assert of_small[:place][in_small[:place]].sum() > 3


def test_a_model_that_is_not_told_sees_nothing_below() -> None:
    model = network((1, 9, 9), conditioning="none", blocks=9)
    field = seen(model, 5, 4)
    assert field[4].any()
    assert not field[5, 4:].any()
    assert not field[6:].any()
    assert model.parts().keys() == {"small", "large"}


# --- likelihood -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conditioning", ["biased", "none"])
def test_both_stages_are_distributions_and_nothing_is_counted_twice(conditioning: str) -> None:
    """p(x_s) adds up over the small images, and p(x | x_s) over the full images around *each* small one."""
    model = network((1, 3, 3), strong=2.5, conditioning=conditioning)
    images = torch.tensor(list(product([0.0, 1.0], repeat=9)), dtype=torch.float64).view(-1, 1, 3, 3)
    stages = model.log_prob_of_stages(images)
    torch.testing.assert_close(stages.sum(1), model.log_prob(images))
    torch.testing.assert_close(stages[:, 0], model.small.log_prob(model.sub_sample(images)))
    which = (model.sub_sample(images).flatten(1) @ torch.tensor([8.0, 4, 2, 1], dtype=torch.float64)).long()
    of_each = torch.zeros(16, dtype=torch.float64).index_add_(0, which, stages[:, 1].exp())
    torch.testing.assert_close(of_each, torch.ones(16, dtype=torch.float64))
    assert stages[:, 0].exp().sum().item() == pytest.approx(32)  # each small image is in 32 full ones
    assert stages.std(0).min() > 0.2


@pytest.mark.parametrize(("shape", "factor"), [((1, 2, 5), 3), ((1, 3, 3), 4), ((3, 1, 3), 2), ((1, 1, 1), 2)])
def test_any_factor_and_size_adds_up(shape: tuple[int, int, int], factor: int) -> None:
    model = network(shape, strong=2.0, factor=factor)
    images = torch.tensor(list(product([0.0, 1.0], repeat=math.prod(shape))), dtype=torch.float64).view(-1, *shape)
    assert model.log_prob(images).exp().sum().item() == pytest.approx(1)


# --- drawing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [{"body": "residual"}, {"body": "plain", "factor": 3}, {"factor": 4}, {"conditioning": "none"}, {"levels": 5}],
    ids=str,
)
def test_cached_and_naive_agree(values: dict) -> None:
    model = network(strong=2.0, **values)
    assert torch.equal(model.sample(4, seed=3), naive_sample(model, 4, seed=3))
    known = torch.ones(5, 6, dtype=torch.bool)
    known[2, 1:4] = known[4, 2:] = False
    images = noise(2, 1, 5, 6)
    assert torch.equal(model.complete(images, known, 2, seed=4), naive_complete(model, images, known, 2, seed=4))


def test_stages_are_the_sample_and_the_plan_it_was_drawn_around() -> None:
    model = network((3, 5, 6), strong=2.0, levels=4)
    small_image, full = model.stages(5, seed=7)
    assert small_image.shape == (5, 3, 3, 3)
    assert torch.equal(full, model.sample(5, seed=7))
    assert torch.equal(small_image, full[..., ::2, ::2])
    with torch.no_grad():
        for p in model.large.parameters():
            p.add_(0.3)
    changed = model.stages(5, seed=7)
    assert torch.equal(changed.small, small_image)  # what comes later has no say in it
    assert not torch.equal(changed.full, full)


def test_many_full_images_fit_one_small_one() -> None:
    model = network(strong=2.0)
    small_images = noise(2, 1, 3, 3).round()
    full = model.enlarge(small_images, 20, seed=1)
    assert full.shape == (2, 20, 1, 5, 6)
    assert torch.equal(model.sub_sample(full), small_images[:, None].expand(-1, 20, -1, -1, -1))
    assert full[0].std(0)[:, ~model.small_pixels()].min() > 0  # no other pixel is fixed by it
    with pytest.raises(GenlibError, match=r"1 x 3 x 3.*not 1 x 5 x 6"):
        model.enlarge(noise(2, 1, 5, 6), 1)


def test_known_pixels_of_the_large_image_do_not_move_the_small_one() -> None:
    """The small image is drawn first: it knows its own known pixels, and no others."""
    model = network(strong=2.0)
    known = torch.zeros(5, 6, dtype=torch.bool)
    known[:2] = True
    one, two = noise(1, 1, 5, 6, seed=1).round(), noise(1, 1, 5, 6, seed=2).round()
    two[..., :1, ::2] = one[..., :1, ::2]  # the same small pixels, others elsewhere
    first, second = (model.sub_sample(model.complete(x, known, 30, seed=5)) for x in (one, two))
    assert torch.equal(first, second)
    two[..., :1, ::2] = 1 - one[..., :1, ::2]
    third = model.sub_sample(model.complete(two, known, 30, seed=5))
    assert not torch.equal(first[..., 1:, :], third[..., 1:, :])


def test_rows_appear_when_they_are_finished() -> None:
    model = network(strong=2.0)
    known = torch.ones(5, 6, dtype=torch.bool)
    known[2, 2] = known[3, 1] = known[4, 4] = False  # rows 2 and 4 hide a pixel of the small image only
    images = noise(1, 1, 5, 6)
    final = model.complete(images, known, 3, seed=2)
    rows = list(model.complete_rows(images, known, 3, seed=2))
    assert [row for row, _ in rows] == [2, 3, 4]
    for row, so_far in rows:
        assert torch.equal(so_far[..., : row + 1, :], final[..., : row + 1, :])
        assert torch.equal(model.sub_sample(so_far), model.sub_sample(final))  # drawn everywhere, before all else


def test_only_layers_with_a_kernel_are_shifted_while_drawing() -> None:
    model = network()
    steps = model.large.steps()
    steps[-1] = replace(steps[-1], shift=torch.zeros(2, 1, 5, 6))
    with pytest.raises(ValueError, match="1x1 kernel"):
        MaskedStackState(steps, 2, 1, 6)


# --- learning ---------------------------------------------------------------------------------------------------------


def test_the_small_image_tells_what_raster_order_cannot_see() -> None:
    """Each other pixel is that of the small image below it or to its right: certain if one is told, chance if not."""
    bits = noise(48, 1, 4, 4).round().float()
    images = bits.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., 1:, 1:]  # a small pixel ends each block of four
    shape = tuple(images.shape[1:])
    rest = {}
    for conditioning in ("biased", "none"):
        model = small("multiscale", shape, conditioning=conditioning, learning_rate=2e-2)
        train(model, images, 50)
        rest[conditioning] = -model.log_prob_of_stages(images)[:, 1].mean().item()  # type: ignore[operator]
    assert rest["biased"] < 0.3 * rest["none"]


def test_half_precision_stays_in_the_network() -> None:
    model = small("multiscale", (3, 6, 5), levels=4)
    images, labels = torch.rand(4, 3, 6, 5), torch.zeros(4, dtype=torch.long)
    full = model.validation_step(images, labels, model.generator(0))["nll"]
    exact = model.log_prob(images)  # type: ignore[operator]
    with torch.autocast("cpu", torch.bfloat16):
        half = model.validation_step(images, labels, model.generator(0))["nll"]
        assert torch.equal(exact, model.log_prob(images))  # type: ignore[operator]
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=0.01, atol=0)
