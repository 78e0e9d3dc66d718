"""The Pixel by pixel page without a browser: its controls, its links, and the truth of what it shows."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

import genlib
from genlib.data import load
from genlib.models import catalogue
from genlib.training import checkpoint
from genlib.ui import links, pixel_by_pixel
from tests.pages.conftest import TINY, tiny


@pytest.fixture(scope="session")
def drawers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of every kind that the page knows: plain, told of classes, multi-scale, in colour."""
    folder = tmp_path_factory.mktemp("drawers")
    colour = catalogue.get("pixelcnn")
    small = {field: value for field, value in TINY.items() if field in colour.Config.model_fields}
    models = {
        "pixelcnn-mnist": (tiny("pixelcnn"), "mnist"),
        "gated-pixelcnn-mnist": (tiny("gated-pixelcnn", classes=10, layers=2), "mnist"),
        "multiscale-mnist": (tiny("multiscale", small_hidden=8, small_blocks=1), "mnist"),
        "pixelcnn-cifar10": (colour.from_config(colour.configure(None, (3, 32, 32), levels=4, **small)), "cifar10"),
        "pixelcnn-svhn": (tiny("pixelcnn", channels=3, levels=4), "svhn"),
        "video-pixel-mnist": (tiny("video-pixel", frame=10), "mnist"),
        "vae-mnist": (tiny("vae"), "mnist"),
    }
    for name, (model, data) in models.items():
        origin = checkpoint.Origin(data=data, step=1)
        checkpoint.save(folder / f"{name}.safetensors", model, model.state_dict(), origin)
    return folder


@pytest.fixture(autouse=True)
def installed(drawers: Path, sandbox: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(drawers))
    monkeypatch.setenv("GENLIB_DATA", str(tmp_path))
    pixel_by_pixel._walks._items.clear()


@pytest.fixture
def page(open_page: Callable[..., AppTest]) -> Callable[..., AppTest]:
    """``page(**query)`` opens the page and insists that it shows without an error."""

    def opened(**query: str) -> AppTest:
        app = open_page("pixel_by_pixel", **{"model": "pixelcnn-mnist", **query})
        return fine(app)

    return opened


def fine(app: AppTest) -> AppTest:
    assert not app.exception
    assert not app.error, app.error[0].value
    return app


def shown(app: AppTest) -> dict:
    """What the player got."""
    found = [element.proto for element in app.get("bidi_component")]
    data = [json.loads(proto.json) for proto in found if proto.component_name.endswith("genlib_player")]
    assert len(data) == 1
    return data[0]


def floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def series(app: AppTest) -> dict[str, np.ndarray]:
    return {one["name"]: floats(one["floats"]) for one in shown(app)["series"]}


def titles(app: AppTest) -> list[str]:
    return [panel["title"] for panel in shown(app)["panels"]]


def total(app: AppTest) -> float:
    """The nats that the page states in words."""
    return float(re.search(r"has ([\d.]+) nats", "\n".join(c.value for c in app.caption))[1])  # type: ignore[index]


def code(app: AppTest) -> dict:
    names: dict = {}
    exec(next(element.value for element in app.code if "pixel_distribution" in element.value), names)
    return names


QUERIES = [
    {"seed": "5"},
    {"seed": "5", "temperature": "0.4"},
    {"model": "gated-pixelcnn-mnist", "class": "7"},
    {"model": "gated-pixelcnn-mnist", "seed": "2"},
    {"model": "multiscale-mnist"},
    {"model": "pixelcnn-cifar10"},
    {"source": "Test image", "digit": "11"},
    {"model": "gated-pixelcnn-mnist", "source": "Test image", "digit": "11"},
    {"model": "gated-pixelcnn-mnist", "source": "Test image", "digit": "11", "class": "6"},
    {"source": "Draw", "picture": links.pack_picture(np.eye(28, dtype=np.uint8) * 255)},
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: "-".join(query.values())[:40])
def test_the_nats_of_all_steps_are_the_likelihood_and_the_code_gives_the_view(page, query: dict[str, str]) -> None:
    app = page(**query, step="200")
    names = code(app)
    model, images = names["model"], names["images"]
    asked = None if "class" not in query else int(query["class"])
    if asked is None and model.classes and "source" not in query:
        found = re.search(r"label=(\d)", next(c.value for c in app.code if "sample(" in c.value))
        asked = int(found[1])  # type: ignore[index]
        assert torch.equal(images, model.sample(1, seed=int(query["seed"]))), "the class that it draws by itself"
    truth = -float(model.log_prob(images, label=asked))
    numbers = series(app)
    assert numbers["Surprise"].sum() == pytest.approx(truth, rel=1e-4)
    assert numbers["Surprise so far"][-1] == pytest.approx(truth, rel=1e-4)
    assert total(app) == pytest.approx(truth, abs=0.02)
    assert float(names["surprise"].sum()) == pytest.approx(truth, rel=1e-4)
    order = model.order().flatten().argsort()
    assert np.allclose(numbers["Entropy"], names["entropy"].flatten()[order], atol=1e-4)
    assert np.allclose(numbers["Surprise"], names["surprise"].flatten()[order], atol=1e-4)
    (walk,) = pixel_by_pixel._walks._items.values()
    assert np.allclose(walk.p[199], names["now"], atol=1e-6)
    if 0 < float(query.get("temperature", 1)) != 1:
        drawn_from = walk.at_temperature(float(query["temperature"]))
        assert np.allclose(drawn_from[199], names["drawn_from"], atol=1e-5)


def test_the_code_draws_what_the_page_shows(page) -> None:
    app = page(seed="9", temperature="0.7")
    (walk,) = pixel_by_pixel._walks._items.values()
    assert np.array_equal(walk.picture(), (code(app)["images"][0, 0] * 255).round().byte().numpy())


@pytest.mark.parametrize(
    ("control", "value"), [("seed", 8), ("temperature", 0.5), ("source", "Test image"), ("model", "multiscale-mnist")]
)
def test_every_control_changes_the_picture(page, control: str, value: object) -> None:
    app = page()
    before = series(app)["Surprise"]
    kind = {
        "seed": app.number_input,
        "temperature": app.slider,
        "source": app.segmented_control,
        "model": app.selectbox,
    }
    kind[control](key=control).set_value(value)
    fine(app.run())
    after = series(app)["Surprise"]
    assert before.shape != after.shape or not np.allclose(before, after)


def test_a_test_image_is_chosen_by_number_and_class(page) -> None:
    app = page(source="Test image", digit="7")
    app.selectbox(key="pixels-class").set_value("4").run()
    fine(next(b for b in app.button if b.label == "Another 4").click().run())
    index = app.number_input(key="digit").value
    assert load("mnist").labels("test")[index] == 4
    assert index > 7
    model = genlib.load("pixelcnn-mnist")
    assert total(app) == pytest.approx(
        -float(model.log_prob(load("mnist").batch("test", slice(index, index + 1)))), abs=0.02
    )


def test_maps_change_the_map_and_nothing_else(page) -> None:
    app = page()
    source = shown(app)["source"]
    assert titles(app)[1] == "Entropy"
    for name, title in (("Surprise", "Surprise"), ("Mean", "Probability of ink")):
        app.segmented_control(key="map").set_value(name)
        fine(app.run())
        assert titles(app)[1] == title
        assert shown(app)["source"] == source, "the visitor stays at the step where they were"


def test_classes_are_offered_where_the_model_knows_them(page) -> None:
    app = page()
    assert "class" not in [box.key for box in app.selectbox]
    app.selectbox(key="model").set_value("gated-pixelcnn-mnist").run()
    assert app.selectbox(key="class").options == ["any", *"0123456789"]
    app.selectbox(key="class").set_value("3").run()
    assert "given class 3" in "\n".join(c.value for c in fine(app).caption)
    app.segmented_control(key="source").set_value("Test image")
    assert "given class 3" in "\n".join(c.value for c in fine(app.run()).caption)
    app.selectbox(key="class").set_value("any")
    assert "over all classes" in "\n".join(c.value for c in fine(app.run()).caption)
    app.selectbox(key="model").set_value("pixelcnn-mnist")
    fine(app.run())
    assert "class" not in [box.key for box in app.selectbox]


def test_panels_follow_the_model(page) -> None:
    assert len(titles(page())) == 3
    app = page(model="multiscale-mnist")
    assert titles(app)[0] == "First a small one"
    assert "The small image took" in "\n".join(c.value for c in app.caption)
    small, large = shown(app)["panels"][:2]
    order = np.frombuffer(base64.b64decode(small["order"]), "<u2")
    assert order.tolist() == list(range(14 * 14)), "small to large"
    whole = np.frombuffer(base64.b64decode(large["order"]), "<u2").reshape(28, 28)
    assert whole[::2, ::2].max() < 196
    colour = shown(page(model="pixelcnn-cifar10"))
    assert colour["total"] == 3 * 32 * 32
    channels = colour["captions"]["columns"][-1]
    steps = np.frombuffer(base64.b64decode(channels["bytes"]), "u1")[:6]
    assert [channels["words"][place] for place in steps] == ["red", "green", "blue"] * 2


@pytest.mark.parametrize("model", ["pixelcnn-mnist", "pixelcnn-cifar10"])
def test_a_film_weighs_as_much_as_a_picture(page, model: str) -> None:
    assert len(json.dumps(shown(page(model=model)))) < 300_000


def test_a_link_restores_the_step_and_another_picture_begins_anew(page) -> None:
    app = page(seed="4", step="300")
    assert shown(app)["start"] == 299
    app.number_input(key="seed").set_value(6).run()
    entropy = series(app)["Entropy"]
    assert shown(app)["start"] == int(entropy.argmax()), "where the model was least sure"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"model": "../../etc/passwd"}, "passwd"),
        ({"model": "vae-mnist"}, "vae-mnist"),
        ({"source": "Steal"}, "Steal"),
        ({"map": "treasure"}, "treasure"),
        ({"seed": "-1"}, "-1"),
        ({"temperature": "nan"}, "nan"),
        ({"step": "785"}, "785"),
        ({"step": "<script>"}, "<script>"),
        ({"class": "3"}, "3"),
        ({"model": "gated-pixelcnn-mnist", "class": "10"}, "10"),
        ({"source": "Test image", "digit": "10000"}, "10000"),
        ({"source": "Draw", "picture": "AAAA"}, "picture"),
        ({"model": "pixelcnn-svhn", "source": "Test image"}, "svhn"),
    ],
)
def test_a_wrong_link_is_one_sentence(open_page, query: dict[str, str], named: str) -> None:
    app = open_page("pixel_by_pixel", **{"model": "pixelcnn-mnist", **query})
    assert not app.exception
    said = [element.value for element in app.error]
    assert len(said) == 1
    assert named in said[0]
    assert "Traceback" not in said[0]
    assert not re.search(r"\. [A-Z]", said[0]), "one sentence"


def test_several_wrong_values_are_named_each_and_the_page_goes_on(open_page) -> None:
    app = open_page("pixel_by_pixel", model="pixelcnn-mnist", seed="x", temperature="-1", map="none", step="0")
    assert not app.exception
    assert len(app.error) == 4
    assert shown(app)["total"] == 784
    assert not app.run().error, "said once"


def test_frames_of_a_film_stand_side_by_side(page: Callable[..., AppTest]) -> None:
    """28 rows in frames of ten: three of them, the last cut off; what they cost adds up."""
    app = page(model="video-pixel-mnist", seed="3")
    drawn = shown(app)["panels"][0]
    assert (drawn["height"], drawn["width"]) == (21, 57)
    order = np.frombuffer(base64.b64decode(drawn["order"]), "<u2").reshape(21, 57)
    assert order[0, 29] == 280  # the second frame's first pixel
    assert (order == 65535).sum() == 21 * 57 - 784
    model = genlib.load("video-pixel-mnist")
    nats = model.nats_by_frame(model.sample(1, seed=3))[0].tolist()
    said = "Frame by frame: " + ", ".join(f"{one:.1f}" for one in nats)
    assert any(said in caption.value for caption in app.caption)
