"""The scatter of the comparison: nothing that was not measured has a place in it, and labels leave each other alone."""

import itertools
import math

import pytest

from genlib.figures.compare import (
    FAMILY_COLOURS,
    FAMILY_SHAPES,
    GROUND,
    MARK,
    Axis,
    Place,
    Spot,
    label_box,
    log_ticks,
    missing,
    overlap,
    place_labels,
    scatter,
)

X, Y = ("ms", Axis("ms an image", log=True)), ("frechet", Axis("Frechet distance", log=True))
SPOTS = [
    Spot("pixelcnn-mnist", "autoregressive", {"ms": 9.0, "frechet": 90.0}, frozenset({"frechet"}), {"frechet": "other scale"}),
    Spot("diagonal-bilstm-mnist", "autoregressive", {"ms": 5.0, "frechet": 6.0}),
    Spot("vae-mnist", "variational", {"ms": 0.2, "frechet": 170.0}),
    Spot("gan-mnist", "adversarial", {"ms": 0.1, "frechet": 15.0}),
    Spot("new", "adversarial", {"ms": 0.1, "frechet": None}),
    Spot("zero", "adversarial", {"ms": 0.0, "frechet": 3.0}),
]  # fmt: skip


def points(figure):
    return {
        name: (trace["name"], x, y, symbol)
        for trace in figure["data"]
        for name, x, y, symbol in zip(trace["text"], trace["x"], trace["y"], trace["marker"]["symbol"], strict=True)
    }


def test_each_measured_checkpoint_has_its_place_its_family_and_its_mark():
    found = points(scatter(SPOTS, X, Y))
    assert found == {
        "pixelcnn-mnist": ("autoregressive", 9.0, 90.0, "circle-open"),  # on another scale: hollow
        "diagonal-bilstm-mnist": ("autoregressive", 5.0, 6.0, "circle"),
        "vae-mnist": ("variational", 0.2, 170.0, "square"),
        "gan-mnist": ("adversarial", 0.1, 15.0, "diamond"),
    }
    assert missing(SPOTS, X, Y) == ["new", "zero"]  # a logarithm has no place for zero
    assert missing(SPOTS, ("ms", Axis("ms")), ("frechet", Axis("d"))) == ["new"]
    assert len(set(FAMILY_COLOURS.values())) == len(set(FAMILY_SHAPES.values())) == 3


def test_what_is_apart_says_so_under_the_pointer():
    texts = [text for trace in scatter(SPOTS, X, Y)["data"] for text in trace["hovertext"]]
    assert sum("(other scale)" in text for text in texts) == 1


@pytest.mark.parametrize("log", [False, True])
def test_all_marks_and_the_floor_lie_within_the_axes(log):
    axes = ("ms", Axis("ms", log=log)), ("frechet", Axis("d", log=log))
    found = scatter(SPOTS, *axes, floor=(1.4, "real images"))["layout"]
    for name, values in (("xaxis", [0.1, 9.0]), ("yaxis", [1.4, 170.0])):
        low, high = found[name]["range"]
        assert all(low < (math.log10(value) if log else value) < high for value in values)
    assert found["shapes"][0]["y0"] == 1.4
    assert found["annotations"][0]["y"] == (math.log10(1.4) if log else 1.4)  # plotly places words by the logarithm


def test_a_picture_of_one_or_of_none_is_a_picture():
    for spots in (SPOTS[:1], []):
        low, high = scatter(spots, X, Y)["layout"]["xaxis"]["range"]
        assert low < high


def test_labels_touch_no_label_and_no_mark():
    places = [Place(100 + 23 * (n % 5) + 140 * (n // 10), 60 + 31 * (n % 7)) for n in range(24)]
    names = [f"a-checkpoint-{n}" for n in range(24)]
    positions = place_labels(places, names)
    boxes = {n: label_box(places[n], names[n], position) for n, position in enumerate(positions) if position}
    assert len(boxes) >= 8
    for (_, one), (_, other) in itertools.combinations(boxes.items(), 2):
        assert not overlap(one, other)
    for n, box in boxes.items():
        assert 0 <= box[0] <= box[2] <= GROUND[0]
        for m, (x, y) in enumerate(places):
            if m != n:
                assert not overlap(box, (x - MARK / 2, y - MARK / 2, x + MARK / 2, y + MARK / 2))


def test_a_lone_mark_has_its_label_above_and_one_of_a_heap_none():
    assert place_labels([Place(300, 100)], ["alone"]) == ["top center"]
    assert None in place_labels([Place(300 + n, 100 + n) for n in range(12)], ["a-rather-long-name"] * 12)


def test_ticks_are_round_numbers_within_the_axis():
    assert log_ticks(-0.1, 1.1) == [1, 2, 5, 10]
    assert log_ticks(0.2, 0.8) == [2, 5]
    assert log_ticks(0, 4) == [1, 10, 100, 1000, 10000]
