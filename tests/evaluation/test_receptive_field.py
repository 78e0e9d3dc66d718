"""What the receptive field's measurement promises: the very taps, the known blind spot, the names of forms."""

import numpy as np
import pytest
import torch

from genlib.errors import GenlibError
from genlib.evaluation import receptive_field
from genlib.evaluation.receptive_field import BEYOND, BLIND, FUTURE, LEAK, SEEN, ReceptiveField, grow, measure, narrow
from genlib.figures import receptive_field as figures
from genlib.models import catalogue
from genlib.models.autoregressive import AutoregressiveModel
from genlib.models.pixelcnn import PixelCNN

ARCHITECTURES = receptive_field.architectures()
SHAPE = (1, 11, 13)


def by_taps(shape: tuple[int, int], row: int, column: int, blocks: int, first_kernel: int) -> np.ndarray:
    """[H, W]: what a PixelCNN of 3x3 mask B blocks on a mask A layer reaches, by following taps back pixel by pixel."""
    reach = first_kernel // 2
    half = [(dr, dc) for dr in range(-reach, 0) for dc in range(-reach, reach + 1)]
    mask_a = [*half, *((0, -d) for d in range(1, reach + 1))]
    mask_b = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0)]
    front = {(row, column)}
    for taps in [mask_b] * blocks + [mask_a]:
        front = {
            (r + dr, c + dc) for r, c in front for dr, dc in taps if 0 <= r + dr < shape[0] and 0 <= c + dc < shape[1]
        }
    found = np.zeros(shape, bool)
    for place in front:
        found[place] = True
    return found


def field(seen: np.ndarray, row: int, column: int) -> ReceptiveField:
    """A field of one depth and one channel that sees just this, [H, W], in raster order."""
    order = np.arange(seen.size).reshape(1, *seen.shape)
    return ReceptiveField(row, column, 0, 1, seen[None, None], order)


# --- against the taps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [(0, 0), (0, 5), (5, 0), (10, 3), (10, 12)])
@pytest.mark.parametrize("first_kernel", [3, 7])
def test_every_depth_of_a_pixelcnn_is_what_its_taps_allow(first_kernel, place):
    found = grow(PixelCNN, SHAPE, *place, values={"first_kernel": first_kernel})
    assert found.first == 0
    for depth in range(14):
        assert np.array_equal(found.at(depth)[0], by_taps(SHAPE[1:], *place, depth, first_kernel)), depth


@pytest.mark.parametrize("body", ["residual", "bottleneck", "plain"])
def test_every_body_reaches_alike(body):
    model = narrow(PixelCNN, SHAPE, 4, body=body, first_kernel=5)
    assert model.config.body == body
    assert np.array_equal(measure(model, 8, 6)[0].numpy() != 0, by_taps(SHAPE[1:], 8, 6, 4, 5))


def test_the_known_blind_spot():
    found = grow(PixelCNN, SHAPE, 10, 3, values={"first_kernel": 3})
    counts = found.counts(found.last)
    assert counts.blind == 36  # 8 + 7 + .. + 1
    assert counts.past == 10 * 13 + 3
    assert counts.seen == counts.past - 36
    assert counts.beyond == counts.leaks == 0
    assert found.form(found.last) == "blind spot"
    shallow = found.counts(2)
    assert shallow.blind == 36  # blind at any depth, so at this one
    assert shallow.seen + shallow.blind + shallow.beyond == shallow.past
    states = found.states(2)
    assert states[10, 3] == FUTURE
    assert states[10, 2] == SEEN
    assert states[0, 0] == BEYOND
    assert states[9, 12] == BLIND


# --- every architecture of the catalogue ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ARCHITECTURES))
@pytest.mark.parametrize("place", [(0, 0), (4, 3), (7, 7)])
def test_nothing_after_the_pixel_in_the_models_own_order_is_seen(name, place):
    found = grow(ARCHITECTURES[name], (1, 8, 8), *place)
    assert not found.leaks(found.last).any()
    assert found.counts(found.last).seen > 0 or place == (0, 0)
    for depth in range(found.first, found.last):
        assert not (found.at(depth) & ~found.at(depth + 1)).any()  # a deeper network sees no less


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_within_a_pixel_colour_sees_the_channels_before(name):
    for channel in range(3):
        found = grow(ARCHITECTURES[name], (3, 4, 5), 2, 2, channel)
        assert found.own(found.last).tolist() == [c < channel for c in range(3)]
        assert not found.leaks(found.last).any()


@pytest.mark.parametrize("name", ["gated-pixelcnn"])
def test_two_stacks_leave_nothing_out(name):
    if name not in ARCHITECTURES:
        pytest.skip(f"{name} is not in the catalogue")
    found = grow(ARCHITECTURES[name], (1, 28, 28), 14, 10)
    assert found.counts(found.last) == (402, 402, 0, 0, 0)
    assert found.form(found.last) == "full past"
    assert found.form(found.first) == "window"


def test_the_leak_preset_sees_itself():
    found = grow(PixelCNN, SHAPE, 5, 5, values=PixelCNN.presets["leak"].values)
    assert found.leaks(0)[5, 5]
    assert found.leaks(0).sum() == 1
    assert found.states(0)[5, 5] == LEAK
    assert found.form(0) == "sees itself"


def test_only_architectures_with_a_depth_are_looked_at():
    assert set(ARCHITECTURES) <= set(catalogue.names())
    assert all(issubclass(kind, AutoregressiveModel) for kind in ARCHITECTURES.values())
    assert {"pixelcnn"} <= set(ARCHITECTURES)


# --- names of forms ---------------------------------------------------------------------------------------------------


def test_forms_are_told_from_the_map_alone():
    row, column = 6, 5
    rows, columns = np.indices((9, 12))
    up, right = row - rows, columns - column
    past = receptive_field.past((9, 12), row, column)
    forms = {
        "full past": past,
        "blind spot": past & (right <= up + 1),
        "triangle": past & (abs(right) <= up + 1),
        "quadrant": past & (right <= 2),
        "window": past & (up <= 3) & (abs(right) <= 3),
        "sees itself": past | ((up == 0) & (right == 0)),
        "sees later pixels": past | ((up == 0) & (right == 2)),
    }
    for form, seen in forms.items():
        assert field(seen, row, column).form(1) == form


# --- trained weights --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [2, 4])
def test_the_gradient_of_trained_weights_is_the_mean_of_finite_differences(levels):
    """A step in one input pixel changes the log odds, or ln p of the value there, by the gradient times the step."""
    values = {"hidden": 4, "blocks": 1, "head": 4, "first_kernel": 3, "levels": levels}
    model = PixelCNN.from_config(PixelCNN.configure(None, (1, 5, 5), **values), 1).double()
    images = torch.rand(3, 1, 5, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    target = model.values(images)[:, 0, 3, 2]

    def output(x: torch.Tensor) -> torch.Tensor:
        log_probs = model.level_log_probs(model(x), x)[:, 0, :, 3, 2]
        return log_probs[:, 1] - log_probs[:, 0] if levels == 2 else log_probs.gather(1, target[:, None])[:, 0]

    gradient = measure(model, 3, 2, 0, images)
    step = 1e-6
    for r, c in [(3, 1), (2, 2), (2, 3), (1, 1)]:
        moved = [images.clone(), images.clone()]
        moved[0][:, 0, r, c] += step
        moved[1][:, 0, r, c] -= step
        slopes = (output(moved[0]) - output(moved[1])) / (2 * step)
        assert gradient[0, r, c].item() == pytest.approx(slopes.abs().mean().item(), rel=1e-5, abs=1e-9)
    assert gradient[0, 3, 2:].count_nonzero() == 0
    assert model.training  # as it was


def test_shares_within_a_distance():
    gradient = np.zeros((1, 5, 5))
    gradient[0, 2, 1], gradient[0, 0, 2], gradient[0, 1, 1] = 3, 1, 4
    assert receptive_field.within(gradient, 2, 2).tolist() == [0, 7 / 8, 1, 1, 1]


def test_a_place_outside_the_image_is_one_sentence():
    with pytest.raises(GenlibError, match=r"row 11, column 0.*1 x 11 x 13"):
        measure(narrow(PixelCNN, SHAPE, 0), 11, 0)


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_pictures_know_the_measurements_codes():
    states = list(figures.STATES)
    assert [states[code] for code in (FUTURE, SEEN, BLIND, BEYOND, LEAK)] == [
        "later",
        "seen",
        "blind",
        "deeper",
        "leak",
    ]
    shown = figures.tile(np.array([[SEEN, BLIND, BLIND, BLIND]]))
    assert len(np.unique(shown[0, 1:], axis=0)) == 2  # stripes: the blind spot does not hang on hue


def test_the_logarithmic_scale_gives_each_decade_the_same():
    shown = figures.logarithmic(10.0 ** np.array([[[0, -2, -4, -9]]]))
    ends = figures.HEAT[[255, 128, 0, 0]]
    assert np.abs(shown[0].astype(int) - ends.astype(int)).max() <= 4
    assert (figures.logarithmic(np.zeros((1, 2, 2))) == figures.HEAT[0]).all()


def test_a_kernels_figure_fills_the_taps_in_use():
    text = figures.kernel_figure(np.array([[1, 1, 1], [1, 0, 0]]))
    assert text.count(f'fill="{figures.SEEN}"') == 4
    assert text.count(f'fill="{figures.MASKED}"') == 2
    assert text.count(f'fill="{figures.ABSENT}"') == 3
