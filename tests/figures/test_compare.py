"""What may be compared with what."""

from genlib.figures.compare import Entry, speed_figure, verdicts

ENTRIES = [
    Entry("a", "autoregressive", "dynamic", True, 80.0, 0.01),
    Entry("b", "variational", "dynamic", False, 95.0, 0.001),
    Entry("c", "autoregressive", "threshold", True, 69.0, 0.01),
    Entry("d", "adversarial", None, False, None, 0.0001),
]


def test_only_figures_on_the_same_form_are_comparable_and_bounds_are_marked():
    exact, bound, other, none = verdicts(ENTRIES)
    assert exact.startswith("✓")
    assert bound.startswith("≤")
    assert other.startswith("✗")
    assert "threshold" in other
    assert "no likelihood" in none


def test_a_model_without_a_likelihood_has_no_place_on_the_scale_of_likelihoods():
    figure = speed_figure(ENTRIES)
    places = {name: y for trace in figure["data"] for name, y in zip(trace["text"], trace["y"], strict=True)}
    assert places["a"] == 80.0
    assert places["d"] < min(69.0, 80.0)  # on its own line, below all
    hover = {
        name: text for trace in figure["data"] for name, text in zip(trace["text"], trace["customdata"], strict=True)
    }
    assert hover["d"] == "no likelihood"
    assert hover["b"].startswith("≤")
