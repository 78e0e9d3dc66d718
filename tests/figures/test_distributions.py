"""Histograms of single images and bars of single latents."""

import numpy as np
import plotly.graph_objects as go
import pytest

from genlib.figures.distributions import Panel, description, distribution_figure, edges, panels
from genlib.models import get, names

GAN = get("gan").distributions
VAE = {
    "kl_per_latent": "KL(q || p) of each latent, mean over the images (nats)",
    "spread": "variance of the mean of each latent; it is active above 0.01",
}


@pytest.mark.parametrize("name", [name for name in names() if get(name).distributions])
def test_every_models_distributions_are_drawn(name: str) -> None:
    meanings = get(name).distributions
    values = {key: np.random.default_rng(0).random(40).tolist() for key in meanings}
    plots = panels(meanings)
    assert sorted(key for plot in plots for key in plot.names) == sorted(meanings)
    figure = go.Figure(distribution_figure(values, meanings))  # plotly checks every property
    assert len(figure.data) == len(meanings)
    assert {trace.xaxis for trace in figure.data} == {f"x{i + 1}" if i else "x" for i in range(len(plots))}
    assert all(word in description(values, meanings) for word in ("mean", "of 40"))


def test_rivals_are_overlaid_on_the_same_bins_and_add_up_to_one() -> None:
    assert panels(GAN) == [Panel(("d_real", "d_fake"), False)]
    values = {"d_real": [0.9, 0.95, 1.0, 0.5], "d_fake": [0.0, 0.01]}
    figure = distribution_figure(values, GAN)
    real, fake = figure["data"]
    assert np.array_equal(real["x"], fake["x"])
    assert figure["layout"]["barmode"] == "overlay"
    assert real["y"].sum() == fake["y"].sum() == pytest.approx(1)
    assert fake["y"][0] == 1  # both lie in the first bin
    assert real["name"] == "D(x)"
    assert real["marker"]["color"] != fake["marker"]["color"]


def test_bins_of_scores_reach_from_the_lowest_to_the_highest() -> None:
    borders = edges([np.array([-3.0, 1.0]), np.array([7.0])], bounded=False)
    assert (borders[0], borders[-1]) == (-3, 7)
    assert np.allclose(np.diff(borders), 0.4)
    assert (edges([np.array([2.0])], bounded=False)[[0, -1]] == [2, 3]).all()  # a single value has room
    assert (edges([np.array([0.4])], bounded=True)[[0, -1]] == [0, 1]).all()


def test_latents_are_sorted_and_the_active_ones_counted() -> None:
    values = {"kl_per_latent": [0.1, 3.0, 0.0], "spread": [0.5, 0.9, 0.001]}
    figure = distribution_figure(values, VAE)
    kl, spread = figure["data"]
    assert kl["y"].tolist() == pytest.approx([3.0, 0.1, 0.0])
    assert kl["customdata"].tolist() == [1, 0, 2]
    titles = [note["text"] for note in figure["layout"]["annotations"]]
    assert "2 of 3 active" in titles[1]
    assert figure["layout"]["yaxis"]["title"]["text"] == "nats"
    assert spread["xaxis"] == "x2"


def test_steps_stay_in_order() -> None:
    meanings = {"kl_per_step": "KL of each step (nats)"}
    (trace,) = distribution_figure({"kl_per_step": [1.0, 3.0, 2.0]}, meanings)["data"]
    assert list(trace["x"]) == [1, 2, 3]
    assert list(trace["y"]) == [1.0, 3.0, 2.0]


def test_what_is_missing_is_left_out() -> None:
    figure = distribution_figure({"kl_per_latent": [1.0]}, VAE)
    assert len(figure["data"]) == 1
    assert go.Figure(distribution_figure({}, VAE)).data[0].x == ()
    assert description({}, VAE).endswith("None yet.")
