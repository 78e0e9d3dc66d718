"""The Completion page without a browser: its controls, its links, and the truth of what it says."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

import genlib
from genlib.data import load
from genlib.data.occlusions import NAMES, occlusion
from genlib.models.autoregressive import AutoregressiveModel
from genlib.models.contract import count_parameters
from genlib.training import checkpoint
from genlib.ui import completion_draw, links, models
from tests.pages.conftest import shown_pictures, tiny


@pytest.fixture(autouse=True)
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """A list that grows whenever a model really draws; nothing is remembered from other tests."""
    completion_draw._drawn._items.clear()
    calls: list[dict] = []
    original = AutoregressiveModel.complete_rows

    def counted(self, images, known, n, **settings):
        calls.append({"images": images.clone(), "known": known.clone(), "n": n, **settings})
        return original(self, images, known, n, **settings)

    monkeypatch.setattr(AutoregressiveModel, "complete_rows", counted)
    return calls


@pytest.fixture
def page(open_page: Callable[..., AppTest]) -> Callable[..., AppTest]:
    """``page(**query)`` opens the page and insists that it shows without an error."""

    def opened(**query: str) -> AppTest:
        app = open_page("completion", **query)
        assert not app.exception
        assert not app.error, app.error[0].value
        return app

    return opened


def link(app: AppTest) -> dict[str, str]:
    """The page's address."""
    return {name: value if isinstance(value, str) else value[-1] for name, value in app.query_params.items()}


def text(app: AppTest) -> str:
    words = [element.value for element in [*app.markdown, *app.caption]]
    return "\n".join([*words, *(re.sub("<.*?>", "", element.proto.body) for element in app.get("html"))])


def code(app: AppTest) -> str:
    return next(element.value for element in app.code if "model.complete" in element.value)


def run(lines: str) -> dict:
    names: dict = {}
    exec(lines, names)  # the page's own lines, which a reader would paste
    return names


def test_first_view(page, drawings) -> None:
    app = page()
    assert len(drawings) == 1
    call = drawings[0]
    assert torch.equal(call["known"], occlusion("lower-half", 28, 28)), "the lower half is hidden at first"
    assert torch.equal(call["images"], load("mnist").batch("test", slice(0, 1)))
    assert (call["n"], call["seed"], call["temperature"], call["label"]) == (8, 1, 1.0, None)
    assert "can use all 392 known pixels" in text(app)
    assert len(shown_pictures(app)) == 4


@pytest.mark.parametrize("control", ["seed", "n", "temperature", "digit", "mask"])
def test_what_changes_the_input_draws_anew(page, drawings, control: str) -> None:
    app = page()
    before = shown_pictures(app)
    if control == "seed":
        app.number_input(key="seed").set_value(5)
    elif control == "digit":
        app.number_input(key="digit").set_value(3)
    elif control == "n":
        app.slider(key="n").set_value(3)
    elif control == "temperature":
        app.slider(key="temperature").set_value(0.5)
    else:
        app.button_group(key="completion-preset").set_value("left-half")
    app.run()
    assert not app.exception
    assert len(drawings) == 2
    assert shown_pictures(app)[0] != before[0]


@pytest.mark.parametrize(("place", "button"), [(0, "Another image"), (1, "New seed")])
def test_what_was_drawn_in_advance_is_what_the_button_asks_for(page, drawings, planned, place, button) -> None:
    app = page()
    planned["completion"][place]()
    assert len(drawings) == 2
    next(one for one in app.button if one.label == button).click().run()
    assert not app.exception
    assert len(drawings) == 2, "drawn once more"


def test_looking_inside_draws_nothing(page, drawings) -> None:
    app = page()
    before = shown_pictures(app)
    app.selectbox(key="look").set_value("completion 7").run()
    assert shown_pictures(app)[:3] == before[:3]
    app.selectbox(key="look").set_value("original").run()
    app.toggle(key="tint").set_value(False).run()
    assert not app.exception
    assert len(drawings) == 1
    assert shown_pictures(app)[0] != before[0], "without the tint"


def test_fewer_completions_than_the_one_looked_at(page) -> None:
    app = page(n="12", look="completion 12")
    app.slider(key="n").set_value(2).run()
    assert not app.exception
    assert not app.error
    assert app.selectbox(key="look").value == "completion 2"


def test_every_preset_mask_is_shown_and_goes_into_the_link(page, drawings) -> None:
    app = page()
    for name in reversed(NAMES):
        completion_draw._drawn._items.clear()
        app.button_group(key="completion-preset").set_value(name).run()
        assert not app.exception
        assert torch.equal(drawings[-1]["known"], occlusion(name, 28, 28))
        assert link(app)["mask"] == name


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ("upper-half", "can use none of the 392 known pixels"),
        ("left-half", "378 of the 392 known pixels count only for what is hidden after them, 14 come last"),
        ("right-half", "378 of the 392 known pixels count only for what is hidden after them."),
        ("everything", "Everything is hidden"),
        ("nothing", "Nothing is hidden"),
    ],
)
def test_says_what_raster_order_cannot_see(page, mask: str, said: str) -> None:
    assert said in text(page(mask=mask))


def test_what_it_calls_blind_is_without_effect() -> None:
    """The sentences above, checked on the model: other known pixels below the hidden ones change nothing."""
    model = genlib.create("pixelcnn", hidden=8, blocks=1, head=8, head_layers=1)
    known = occlusion("upper-half", 28, 28)
    images = load("mnist").batch("test", slice(0, 2))
    hidden = ~known
    drawn = model.complete(images, known, 2, seed=1)
    assert torch.equal(drawn[0][..., hidden], drawn[1][..., hidden]) is False, "each picture has its own numbers"
    other = images.flip(-1) * known + images * hidden
    assert torch.equal(drawn[..., hidden], model.complete(other, known, 2, seed=1)[..., hidden])


def test_another_image_of_a_class(page, drawings) -> None:
    app = page(digit="7")
    labels = load("mnist").labels("test")
    app.selectbox(key="completion-class").set_value("4").run()
    seen = [app.number_input(key="digit").value]
    next(b for b in app.button if b.label == "Another 4").click().run()
    seen.append(app.number_input(key="digit").value)
    assert seen == (labels == 4).nonzero()[:, 0][(labels == 4).nonzero()[:, 0] > 7][:2].tolist()
    assert torch.equal(drawings[-1]["images"], load("mnist").batch("test", slice(seen[1], seen[1] + 1)))


def test_the_mask_stays_when_the_image_changes(page, drawings) -> None:
    app = page(mask="centre-square")
    app.number_input(key="digit").set_value(9).run()
    assert torch.equal(drawings[-1]["known"], occlusion("centre-square", 28, 28))


@pytest.fixture
def odd() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {"known": rng.random((28, 28)) < 0.6, "picture": rng.integers(0, 256, (28, 28), dtype=np.uint8)}


def test_a_link_restores_the_view(page, drawings, odd) -> None:
    query = {
        "mask": links.pack_mask(odd["known"]),
        "picture": links.pack_picture(odd["picture"]),
        "n": "3",
        "seed": "11",
        "temperature": "0.7",
        "look": "completion 2",
        "pixel": "20.4",
    }
    app = page(**query)
    assert np.array_equal(drawings[0]["known"].numpy(), odd["known"])
    assert np.allclose(drawings[0]["images"][0, 0].numpy() * 255, odd["picture"], atol=1e-4)
    assert (drawings[0]["n"], drawings[0]["seed"], drawings[0]["temperature"]) == (3, 11, 0.7)
    assert "Row 20, column 4" in text(app)
    again = page(**query)
    assert shown_pictures(again) == shown_pictures(app)
    assert len(drawings) == 1, "the same link is drawn once for all visitors"
    assert {name: link(again)[name] for name in ("mask", "picture")} == {
        name: query[name] for name in ("mask", "picture")
    }


@pytest.mark.parametrize("source", ["test image", "own picture", "empty canvas"])
def test_the_code_gives_the_view(page, source: str, odd) -> None:
    query = {"seed": "4", "n": "3", "temperature": "0.8", "look": "completion 2", "pixel": "15.9"}
    if source == "own picture":
        query |= {"mask": links.pack_mask(odd["known"]), "picture": links.pack_picture(odd["picture"])}
    if source == "empty canvas":
        query |= {"source": "Draw", "look": "original"}
    app = page(**query)
    names = run(code(app))
    (shown,) = completion_draw._drawn._items.values()
    assert torch.equal(names["completions"][0], shown.pictures)
    ink = float(names["p"][0, 0, 1, 15, 9])
    assert f"Probability of ink: {ink:.1%}" in text(app)
    assert f"Row 15, column 9: {float(names['entropy'][0, 15, 9]):.2f} bits" in text(app)


@pytest.mark.parametrize(
    "query",
    [
        {"mask": "third-half", "seed": "one", "n": "17", "temperature": "nan"},
        {"mask": "A" * 5000, "pixel": "28.0", "source": "Steal", "seed": "-1"},
        {"mask": "../../etc/passwd", "digit": "10000", "temperature": "9", "look": "completion 9"},
        {"picture": "AAAA", "pixel": "<script>", "n": "1e9", "digit": "-1"},
    ],
)
def test_each_bad_value_of_a_link_is_one_sentence_and_the_page_goes_on(open_page, query: dict[str, str]) -> None:
    words = {"n": "number of completions", "digit": "test image", "look": "picture to look into"}
    app = open_page("completion", **query)
    assert not app.exception
    assert len(shown_pictures(app)) == 4
    said = [element.value for element in app.error]
    assert len(said) == len(query)
    for name in query:
        assert sum(words.get(name, name) in sentence.lower() for sentence in said) >= 1
    assert not any(re.search(r"\. [A-Z]", sentence) for sentence in said), "one sentence each"
    assert not app.run().error, "said once"


@pytest.mark.parametrize("name", ["vae-mnist", "no-such", "../../etc/passwd"])
def test_a_model_that_cannot_complete_is_one_sentence(open_page, name: str) -> None:
    app = open_page("completion", model=name)
    assert not app.exception
    assert len(app.error) == 1
    assert name in app.error[0].value


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_upload_is_completed_and_travels_in_the_link(page, drawings, odd) -> None:
    app = page(source="Upload")
    assert "Upload a picture" in app.info[0].value
    picture = np.where(np.hypot(*(np.mgrid[:28, :28] - 13.5)) < 9, 255, 0).astype(np.uint8)
    app.file_uploader(key="completion-upload").set_value(("disc.png", png(picture), "image/png")).run()
    assert not app.exception
    assert not app.error
    assert np.allclose(drawings[-1]["images"][0, 0].numpy() * 255, picture, atol=1e-4)
    again = page(**link(app))
    assert np.allclose(drawings[-1]["images"][0, 0].numpy() * 255, picture, atol=1e-4)
    assert shown_pictures(again)[:3] == shown_pictures(app)[:3]


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "huge"])
def test_a_bad_upload_is_one_sentence(page, kind: str) -> None:
    whole = png(np.zeros((40, 40), np.uint8))
    data = {"text": b"not a picture", "empty": b"", "truncated": whole[: len(whole) // 2], "huge": whole}[kind]
    if kind == "huge":  # says 60000 x 60000 in its header
        data = data[:16] + (60_000).to_bytes(4, "big") * 2 + data[24:]
    app = page(source="Upload")
    app.file_uploader(key="completion-upload").set_value((f"{kind}.png", data, "image/png")).run()
    assert not app.exception
    assert len(app.error) == 1
    assert f"{kind}.png" in app.error[0].value
    app.segmented_control(key="source").set_value("Draw").run()
    assert not app.error, "and the page goes on"
    assert len(shown_pictures(app)) == 4


# -- two models, classes, colour -------------------------------------------------------------------


@pytest.fixture
def more(checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Besides the usual checkpoints: models that know classes, and models of colour images."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for file in checkpoints.iterdir():
        os.link(file, folder / file.name)
    small = {"hidden": 4, "layers": 2, "head": 8}
    for name, model, data in (
        ("told-mnist", tiny("gated-pixelcnn", classes=10, **small), "mnist"),
        ("told-fashion", tiny("gated-pixelcnn", classes=10, **small), "fashion_mnist"),
        ("grey-mnist", tiny("pixelcnn", levels=16), "mnist"),
        *((f"colour{n}-svhn", tiny("pixelcnn", levels=n, channels=3), "svhn") for n in (2, 4, 256)),
    ):
        origin = checkpoint.Origin(data=data, step=1)
        checkpoint.save(folder / f"{name}.safetensors", model, model.state_dict(), origin)
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(folder))
    models._available.clear()
    yield
    models._available.clear()


def drawn() -> list[torch.Tensor]:
    """What was drawn since the test began, in order."""
    return [completions.pictures for completions in completion_draw._drawn._items.values()]


def test_two_models_complete_the_same_picture(page, drawings, more) -> None:
    query = {"mask": "left-half", "digit": "5", "n": "3", "seed": "4", "temperature": "0.8"}
    app = page(model="pixelcnn-mnist", **{"with": "grey-mnist"}, **query)
    first, second = drawings
    assert all(torch.equal(first[name], second[name]) for name in ("images", "known"))
    assert all(first[name] == second[name] for name in ("n", "seed", "temperature"))
    assert len(shown_pictures(app)) == 8
    headings = [element.proto.body for element in app.get("html") if 'genlib-model"' in element.proto.body]
    assert [re.search("<b>(.*)</b><br>(.*)</div>", heading).groups() for heading in headings] == [
        (name, f"PixelCNN, {count_parameters(models.get(name)):,} weights") for name in ("pixelcnn-mnist", "grey-mnist")
    ]
    assert text(app).count("378 of the 392 known pixels") == 2
    assert text(app).count("3 completions of 392 hidden pixels, drawn in") == 2
    assert link(app)["with"] == "grey-mnist"
    alone = page(model="pixelcnn-mnist", **query)
    assert len(drawings) == 2, "one of two is the same as one alone"
    assert len(shown_pictures(alone)) == 4
    assert "with" not in link(alone)
    app.selectbox(key="with").set_value("none").run()
    assert len(shown_pictures(app)) == 4


def test_one_pixel_is_looked_at_in_both(page, more) -> None:
    app = page(model="pixelcnn-mnist", **{"with": "grey-mnist"}, pixel="20.9")
    assert text(app).count("Row 20, column 9: ") == 2
    assert text(app).count("At most on the 569 pixels before it") == 2
    assert "Probability of ink" in text(app)
    assert "Likeliest value" in text(app)


def test_a_second_model_goes_when_it_no_longer_fits(page, more) -> None:
    app = page(model="pixelcnn-mnist", **{"with": "grey-mnist"}, source="Draw")
    assert not any("cifar" in name for name in app.selectbox(key="with").options), "only models of the same shape"
    for other in ("grey-mnist", "colour4-svhn"):
        app.selectbox(key="model").set_value(other).run()
        assert not app.exception
        assert not app.error
        assert app.selectbox(key="with").value == "none"
        app.selectbox(key="with").set_value(app.selectbox(key="with").options[1]).run()
        assert not app.error


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("no-such", "There is no checkpoint named 'no-such'"),
        ("../../etc/passwd", "There is no checkpoint named '../../etc/passwd'"),
        ("vae-mnist", "'vae-mnist' has no completion"),
        ("colour4-svhn", "'colour4-svhn' works on images of 3 x 28 x 28, pixelcnn-mnist on 1 x 28 x 28"),
        ("pixelcnn-mnist", "'pixelcnn-mnist' cannot be compared with itself"),
    ],
)
def test_a_second_model_that_is_not_possible_is_one_sentence(open_page, more, second: str, said: str) -> None:
    app = open_page("completion", model="pixelcnn-mnist", **{"with": second})
    assert not app.exception
    assert len(app.error) == 1
    assert app.error[0].value.startswith(said)
    assert len(shown_pictures(app)) == 4, "and the page goes on with one model"
    assert not app.run().error


def test_a_class_is_told_to_the_model_that_knows_it(page, more) -> None:
    query = {"model": "pixelcnn-mnist", "with": "told-mnist", "n": "3", "seed": "2"}
    app = page(**query)
    assert "Told no class. Each completion is of a class drawn by what the 392 known pixels before" in text(app)
    bars = next(element.proto.body for element in app.get("html") if "genlib-classes" in element.proto.body)
    assert bars.count("<b ") == 10
    app.selectbox(key="class").set_value("7").run()
    assert not app.exception
    assert "Told class 7: it draws every completion as 7" in text(app)
    assert "It knows no classes: telling one changes nothing here." in text(app)
    assert not any(
        "genlib-classes" in element.proto.body and "<b " in element.proto.body for element in app.get("html")
    )
    told = models.get("told-mnist").complete(
        load("mnist").batch("test", slice(0, 1)), occlusion("lower-half", 28, 28), 3, seed=2, label=7
    )
    assert torch.equal(drawn()[-1], told[0])
    assert len(drawn()) == 3, "the other model draws nothing anew"
    again = page(**{**link(app), "class": "7"})
    assert shown_pictures(again) == shown_pictures(app)


def test_a_class_that_one_of_two_data_sets_lacks(page, more) -> None:
    app = page(model="told-mnist", **{"with": "told-fashion", "class": "coat"}, n="2")
    assert "Told class coat" in text(app)
    assert "mnist has no class coat. Each completion is of a class drawn by" in text(app)
    app = page(model="told-mnist", mask="everything", n="2")
    assert "all equally likely: nothing known comes before what is hidden" in text(app)


def test_a_class_goes_with_the_model_that_knows_it(page, more) -> None:
    app = page(model="told-mnist", **{"class": "3"}, n="2")
    app.selectbox(key="model").set_value("pixelcnn-mnist").run()
    assert not app.exception
    assert not app.error
    assert "class" not in link(app)


@pytest.mark.parametrize(
    ("model", "label", "said"),
    [
        ("told-mnist", "12", "The class '12' in the link is not possible: choose one of any, 0, 1,"),
        ("told-mnist", "-1", "The class '-1' in the link is not possible"),
        ("pixelcnn-mnist", "3", "The class '3' in the link is not possible: no model here knows classes"),
    ],
)
def test_a_class_that_is_not_possible_is_one_sentence(open_page, more, model: str, label: str, said: str) -> None:
    app = open_page("completion", model=model, **{"class": label}, n="2")
    assert not app.exception
    assert len(app.error) == 1
    assert app.error[0].value.startswith(said)
    assert len(shown_pictures(app)) == 4
    assert not app.run().error


@pytest.mark.parametrize("label", ["any", "4"])
def test_the_code_gives_the_view_of_two_models_and_a_class(page, more, label: str) -> None:
    query = {"model": "told-mnist", "with": "grey-mnist", "seed": "4", "n": "2", "look": "completion 2"}
    app = page(**query, **({} if label == "any" else {"class": label}), pixel="15.9", mask="left-half")
    names = run(code(app))
    assert torch.equal(names["completions"][0], drawn()[0])
    assert torch.equal(names["other_completions"][0], drawn()[1])
    assert f"Probability of ink: {float(names['p'][0, 0, 1, 15, 9]):.1%}" in text(app)
    for entropy in (names["entropy"], names["other_entropy"]):
        assert f"Row 15, column 9: {float(entropy[0, 15, 9]):.2f} bits" in text(app)


@pytest.mark.parametrize("levels", [2, 4, 256])
def test_colour(page, more, drawings, levels: int) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 4, (4, 4, 3), dtype=np.uint8).repeat(7, 0).repeat(7, 1) * 85
    second = {2: 4, 4: 256, 256: 2}[levels]
    query = {"model": f"colour{levels}-svhn", "with": f"colour{second}-svhn", "source": "Draw", "n": "2"}
    app = page(**query, picture=links.pack_picture(picture), mask="centre-square", temperature="0.5")
    assert torch.allclose(drawings[0]["images"][0] * 255, torch.from_numpy(picture).movedim(-1, 0).float(), atol=1e-3)
    assert len(shown_pictures(app)) == 8
    assert text(app).count("Likeliest value") == 2
    first = drawn()[0]
    assert torch.equal((first * (levels - 1)).round() / (levels - 1), first), "colours of so many levels"
    names = run(code(app))
    assert torch.equal(names["completions"][0], first)
    assert torch.equal(names["other_completions"][0], drawn()[1])


def test_without_its_data_set_a_model_completes_drawings(open_page, more) -> None:
    app = open_page("completion", model="colour4-svhn", n="2")
    assert not app.exception
    assert len(app.error) == 1
    assert "svhn" in app.error[0].value
    assert len(shown_pictures(app)) == 4
