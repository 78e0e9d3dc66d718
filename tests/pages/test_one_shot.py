"""The One shot page without a browser: its views, links that restore them, links that are wrong, and no model at all."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from genlib.data import load
from genlib.data.one_shot_runs import one_shot_runs
from genlib.models import catalogue
from genlib.training import checkpoint
from genlib.ui import links, models, one_shot
from tests.pages.conftest import TINY

VIEWS = ("Write", "Tell apart", "Steps")


@pytest.fixture(autouse=True)
def omniglot_model(sandbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A tiny one-shot model of Omniglot, and no other checkpoint; gives the folder."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    kind = catalogue.get("one-shot")
    model = kind.from_config(
        kind.configure("quick", (1, 28, 28), latent=3, **{k: v for k, v in TINY.items() if k in ("hidden", "steps")})
    )
    origin = checkpoint.Origin(data="omniglot", step=1)
    checkpoint.save(folder / "one-shot-omniglot.safetensors", model, model.state_dict(), origin)
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(folder))
    models._available.clear()  # the pages remember for some seconds what there is
    yield folder
    models._available.clear()


def errors(app):
    return [error.value for error in app.error]


def run_code(app) -> dict:
    scope: dict = {}
    exec(next(block.value for block in app.code if "import" in block.value), scope)  # our own page's text
    return scope


def the_html(app, name: str) -> str:
    return next(block.proto.body for block in app.get("html") if name in block.proto.body)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens_and_gives_code_that_runs(open_page, view):
    app = open_page("one_shot", view=view, alphabet="Tagalog", character="3", drawer="16", seed="4", run="2", query="5")
    assert not app.exception
    assert not errors(app)
    scope = run_code(app)
    dataset = load("omniglot")
    if view == "Tell apart":
        assert scope["picture"].equal(one_shot_runs().query[1, 4][None])
        assert scope["p"].shape == (1, 20)
        assert scope["p"].sum().item() == pytest.approx(1)
        assert the_html(app, "one-shot-posterior").count("<li") == 20
        return
    row = (dataset.labels("test") == dataset.classes.index("Tagalog/character03")).nonzero()[15, 0]
    assert scope["picture"][0].equal(dataset.batch("test", row[None])[0])
    if view == "Write":
        assert scope["pictures"].shape == (1, 20, 1, 28, 28)
        assert "20 new exemplars" in the_html(app, "one-shot-wall")
    else:
        assert scope["trace"].canvases.shape == (1, 3, 1, 28, 28)


def test_a_drawing_travels_with_the_link(open_page):
    drawn = np.zeros((28, 28), np.uint8)
    drawn[5:20, 13:15] = 255
    app = open_page("one_shot", source="Draw", picture=links.pack_picture(drawn))
    assert not errors(app)
    assert (run_code(app)["picture"][0, 0].numpy() * 255 == drawn).all()


def test_an_empty_canvas_asks_for_a_drawing(open_page):
    app = open_page("one_shot", source="Draw")
    assert not errors(app)
    assert any("Draw a character" in info.value for info in app.info)


def test_a_drawing_is_told_apart_without_a_verdict(open_page):
    drawn = np.zeros((28, 28), np.uint8)
    drawn[5:20, 13:15] = 255
    app = open_page("one_shot", view="Tell apart", source="Draw", picture=links.pack_picture(drawn))
    assert not errors(app)
    (said,) = [block.value for block in app.markdown if "Most likely" in block.value]
    assert said.endswith(").")
    assert "the right one" not in the_html(app, "one-shot-posterior")


def test_without_a_model_it_says_what_is_missing(open_page, omniglot_model):
    (omniglot_model / "one-shot-omniglot.safetensors").unlink()
    models._available.clear()
    app = open_page("one_shot")
    assert not app.exception
    assert not errors(app)
    assert [info.value for info in app.info] == [one_shot.NO_MODEL]
    assert any("genlib train one-shot" in block.value for block in app.code)


def test_only_held_out_characters_are_on_offer():
    dataset = load("omniglot")
    found = one_shot.characters(dataset)
    known = {dataset.classes[i] for i in dataset.labels("train").tolist()}
    assert not known & set(found)
    assert {name.partition("/")[0] for name in found} == {"Sanskrit", "Tagalog", "Latin"}


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"model": "../../etc/passwd"}, "passwd"),
        ({"view": "Sing"}, "Sing"),
        ({"alphabet": "Greek"}, "Greek"),
        ({"alphabet": "Tagalog", "character": "18"}, "18"),
        ({"drawer": "21"}, "21"),
        ({"view": "Tell apart", "run": "0"}, "'0'"),
        ({"view": "Tell apart", "draws": "many"}, "many"),
        ({"picture": "x"}, "picture"),
        ({"view": "Steps", "step": "99"}, "99"),
    ],
)
def test_a_wrong_link_is_one_sentence(open_page, query, named):
    app = open_page("one_shot", **query)
    assert not app.exception
    sentences = errors(app)
    assert len(sentences) == 1
    assert named in sentences[0]
    assert "Traceback" not in sentences[0]
