"""A walk through a picture says what the model says: its likelihood, its entropies, in its own order."""

import math

import numpy as np
import pytest
import torch

from genlib.figures import pixel_by_pixel as figures
from genlib.models import catalogue
from genlib.models.contract import Model

SMALL = {"hidden": 6, "blocks": 1, "head": 6, "head_layers": 1, "layers": 2, "small_hidden": 6, "small_blocks": 1}


def small(name: str, shape: tuple[int, int, int], **values: object) -> Model:
    kind = catalogue.get(name)
    fitting = {field: value for field, value in SMALL.items() if field in kind.Config.model_fields}
    model = kind.from_config(kind.configure(None, shape, **{**fitting, **values}), seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # fresh weights predict next to nothing
    return model


MODELS = {
    "binary": lambda: small("pixelcnn", (1, 7, 6)),
    "colour": lambda: small("pixelcnn", (3, 4, 5), levels=4),
    "multiscale": lambda: small("multiscale", (1, 7, 6)),
}


def walk_of(model: Model, images: torch.Tensor) -> figures.Walk:
    return figures.walk(model.pixel_distribution(images)[0], model.code(images)[0], model.order())


@pytest.mark.parametrize("name", MODELS)
def test_the_steps_sum_to_the_likelihood(name: str) -> None:
    model = MODELS[name]()
    drawn = model.sample(1, seed=1)
    given = torch.rand(1, *model.config.shape, generator=torch.Generator().manual_seed(0))
    for images in (drawn, given):
        walk = walk_of(model, images)
        assert walk.so_far[-1] == pytest.approx(-float(model.log_prob(images)), rel=1e-5)
        assert walk.surprise.sum() == pytest.approx(walk.so_far[-1])
        assert np.allclose(walk.p.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_way_on_which_the_picture_was_drawn(name: str) -> None:
    """Drawn at temperature 0, every value is the likeliest of the prediction at its step, and of no later one."""
    model = MODELS[name]()
    images = model.sample(1, seed=1, temperature=0)
    walk = walk_of(model, images)
    assert (walk.values == walk.p.argmax(1)).all()
    # what comes later plays no part: with all later values changed, the prediction at a step stays as it was
    step = walk.steps * 3 // 5
    later = model.order() >= step
    other = torch.where(later, 1 - images[0], images[0])[None]
    assert np.allclose(walk_of(model, other).p[: step + 1], walk.p[: step + 1], atol=1e-6)


def test_order_places_and_pictures_agree() -> None:
    model = MODELS["colour"]()
    images = model.sample(1, seed=2)
    walk = walk_of(model, images)
    assert sorted(walk.order.ravel()) == list(range(60))
    for step in (0, 1, 2, 17, 59):
        channel, row, column = walk.places[step]
        assert step == (row * 5 + column) * 3 + channel, "rows from the top; red, green, blue in turn"
        assert walk.values[step] == round(float(images[0, channel, row, column]) * 3)
        assert walk.picture()[row, column, channel] == round(float(images[0, channel, row, column]) * 255)
        assert walk.picture_order()[row, column, channel] == step
        assert walk.strips(walk.order)[row, 3 * column + channel] == step
        p = model.pixel_distribution(images)[0, channel, :, row, column].double().numpy()
        assert np.allclose(walk.p[step], p)
        assert walk.entropy[step] == pytest.approx(-sum(v * math.log2(v) for v in p))
        assert walk.surprise[step] == pytest.approx(-math.log(p[walk.values[step]]))
        assert walk.mean[step] == pytest.approx((p * np.arange(4)).sum() / 3)


def test_a_multiscale_model_begins_with_its_small_image() -> None:
    model = MODELS["multiscale"]()
    walk = walk_of(model, model.sample(1, seed=2))
    first = {(int(row), int(column)) for _, row, column in walk.places[:12]}  # 4 x 3 of the 7 x 6 pixels
    assert first == {(row, column) for row in (0, 2, 4, 6) for column in (0, 2, 4)}


def test_certain_predictions_cost_nothing_and_impossible_values_stay_finite() -> None:
    p = np.array([[1.0, 0.0], [1.0, 0.0]])
    walk = figures.Walk(p, np.array([0, 1]), np.arange(2).reshape(1, 1, 2))
    assert walk.surprise[0] == 0
    assert 80 < walk.surprise[1] < 100
    assert (walk.entropy == 0).all()


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.5])
def test_temperature(temperature: float) -> None:
    walk = walk_of(MODELS["colour"](), torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(1)))
    drawn_from = walk.at_temperature(temperature)
    if temperature == 0:
        assert (drawn_from.argmax(1) == walk.p.argmax(1)).all()
        assert (drawn_from.max(1) == 1).all()
    else:
        power = walk.p ** (1 / temperature)
        assert np.allclose(drawn_from, power / power.sum(1, keepdims=True))


@pytest.mark.parametrize(("levels", "bars", "size"), [(2, 2, 1), (64, 64, 1), (100, 50, 2), (255, 64, 4), (256, 64, 4)])
def test_bars_hold_all_of_the_probability(levels: int, bars: int, size: int) -> None:
    table = np.random.default_rng(0).dirichlet(np.ones(levels), size=5)
    values = np.array([0, 1, levels // 2, levels - 2, levels - 1])
    heights, chosen, values_a_bar = figures.grouped(table, values)
    assert (heights.shape, values_a_bar) == ((5, bars), size)
    assert np.allclose(heights.sum(1), 1)
    for step, value in enumerate(values):
        low = chosen[step] * size
        assert low <= value < low + size
        assert heights[step, chosen[step]] == pytest.approx(table[step, low : low + size].sum())


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (3, 2), (1, 16), (3, 64), (3, 256)])
def test_ticks_name_values_from_first_to_last(channels: int, levels: int) -> None:
    ticks = figures.ticks(channels, levels)
    values = [value for value, _ in ticks]
    assert values == sorted(set(values))
    assert (values[0], values[-1]) == (0, levels - 1)


def test_frames_of_a_film_stand_in_rows() -> None:
    film = np.arange(6 * 2 * 3).reshape(12, 3)  # six frames of two rows
    sheet = figures.side_by_side(film, 2, gap=-1)
    columns = (sheet.shape[1] + 1) // 4
    for t in range(6):
        top, left = t // columns * 3, t % columns * 4
        assert (sheet[top : top + 2, left : left + 3] == film[2 * t : 2 * t + 2]).all()
    assert (sheet == -1).sum() == sheet.size - film.size
    cut = figures.side_by_side(film[:11], 2, gap=-1)
    assert cut.shape == sheet.shape
    assert (cut[sheet == 33] == -1).all()
