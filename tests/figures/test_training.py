"""Loss curves: every term is there with its unit, spikes survive thinning, axes show what matters."""

from __future__ import annotations

import json
import math

import numpy as np
import plotly.graph_objects as go
import plotly.io
import plotly.tools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genlib.figures import training
from genlib.models import catalogue


def curve(n: int, seed: int = 0) -> training.Curve:
    rng = np.random.default_rng(seed)
    steps = np.arange(1, n + 1)
    return steps, 100 + 400 / steps + rng.normal(size=n)


def history(name: str, n: int = 300) -> dict[tuple[str, str], training.Curve]:
    terms = catalogue.get(name).terms
    return {(split, term): curve(n, i) for i, term in enumerate(terms) for split in training.SPLITS}


@pytest.mark.parametrize("name", catalogue.names())
def test_every_term_of_every_model_is_drawn_for_both_splits_with_a_unit(name: str) -> None:
    kind = catalogue.get(name)
    plots = training.panels(kind.terms, kind.family == "adversarial")
    assert sorted(term for plot in plots for term in plot.terms) == sorted(kind.terms)
    assert all(plot.unit for plot in plots), "a term's meaning names no unit that the plot knows"
    figure = training.loss_figure(history(name), kind.terms, adversarial=kind.family == "adversarial")
    assert len(figure["data"]) == 2 * len(kind.terms)
    axes = {trace["yaxis"] for trace in figure["data"]}
    assert len(axes) == len(plots)
    units = {figure["layout"][axis.replace("y", "yaxis")]["title"]["text"] for axis in axes}
    assert units == {plot.unit for plot in plots}
    go.Figure(figure)  # plotly itself accepts every property
    json.loads(plotly.io.to_json(figure, validate=False))


def test_rivals_face_each_other_and_probabilities_have_their_own_plot() -> None:
    gan = catalogue.get("gan")
    losses, chances = training.panels(gan.terms, adversarial=True)
    assert set(losses.terms) == {"discriminator_loss", "generator_loss", "jsd"}
    assert (set(chances.terms), chances.bounded) == ({"d_real", "d_fake"}, True)
    assert [training.label(term, gan.terms[term]) for term in chances.terms] == ["D(x)", "D(G(z))"]
    figure = training.loss_figure(history("gan"), gan.terms, adversarial=True)
    low, high = figure["layout"]["yaxis2"]["range"]
    assert low < 0 < 1 < high
    colours = {(trace["name"].split(",")[0], trace["line"]["color"]) for trace in figure["data"]}
    assert len(colours) == len(gan.terms), "a term keeps one colour in both splits"


def test_labels() -> None:
    assert training.label("kl") == "KL"
    assert training.label("generator_loss") == "generator loss"
    assert training.label("reconstruction", "-log p(x | z), nats per image") == "reconstruction"


@pytest.mark.parametrize(
    ("meaning", "unit"),
    [
        ("-log p(x | z), nats per image", "nats per image"),
        ("share of pixels that are right (share)", "share"),
        ("D(x), mean probability of real", "probability"),
        ("something without one", ""),
    ],
)
def test_units_are_read_from_the_meaning(meaning: str, unit: str) -> None:
    assert training.unit(meaning) == unit


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(math.nan)), min_size=1, max_size=700),
    limit=st.integers(8, 200),
)
def test_thinning_keeps_ends_extremes_and_order(values: list[float], limit: int) -> None:
    steps, whole = np.arange(len(values)), np.array(values)
    thin_steps, thin_values = training.thin(steps, whole, limit)
    assert len(thin_steps) <= max(limit, 2)
    assert (np.diff(thin_steps) > 0).all()
    assert thin_steps[0] == 0
    assert thin_steps[-1] == len(values) - 1
    assert np.array_equal(thin_values, whole[thin_steps], equal_nan=True)
    if not np.isnan(whole).all():
        assert np.nanmax(thin_values) == np.nanmax(whole)
        assert np.nanmin(thin_values) == np.nanmin(whole)


def test_a_long_run_stays_small() -> None:
    terms = catalogue.get("vae").terms
    figure = training.loss_figure(history("vae", n=50_000), terms)
    assert max(len(trace["x"]) for trace in figure["data"]) <= 800


def test_linear_axes_are_not_dwarfed_by_the_first_steps_and_logarithmic_ones_show_them() -> None:
    steps = np.arange(1, 1001)
    values = np.where(steps < 10, 5000.0, 100 + 50 / steps)
    terms = {"loss": "what falls (nats per image)", "elbo": "what rises (nats per image)"}
    curves = {("train", "loss"): (steps, values), ("train", "elbo"): (steps, -values)}
    linear = training.loss_figure(curves, terms)
    assert linear["layout"]["yaxis"]["range"][1] < 200
    both = training.loss_figure(curves, terms, log_loss=True, log_steps=True)["layout"]
    assert both["yaxis"]["type"] == "log"
    assert both["yaxis"]["autorange"]
    assert both["yaxis2"]["type"] == "linear", "a negative term has no logarithm"
    assert both["xaxis"]["type"] == both["xaxis2"]["type"] == "log"


def test_the_first_point_can_be_seen() -> None:
    terms = {"loss": "what falls (nats per image)"}
    figure = training.loss_figure({("train", "loss"): (np.array([1]), np.array([543.4]))}, terms)
    (trace,) = figure["data"]
    assert "markers" in trace["mode"]
    assert figure["layout"]["yaxis"]["autorange"]


def test_nothing_yet_is_an_empty_plot_with_its_axes() -> None:
    terms = catalogue.get("draw").terms
    figure = training.loss_figure({}, terms)
    assert [len(trace["x"]) for trace in figure["data"]] == [0]
    plotly.tools.return_figure_from_figure_or_data(figure, validate_figure=True)  # as the page hands it over
    assert figure["layout"]["yaxis"]["title"]["text"] == "nats per image"
    assert training.description(terms, {}) == "Loss curves. No point yet."


def test_description_gives_the_newest_values() -> None:
    terms = {"loss": "what falls (nats per image)"}
    told = training.description(terms, {("train", "loss"): (np.array([1, 2]), np.array([5.0, 4.25]))})
    assert told == "Loss curves. loss (train) 4.25 at step 2"
