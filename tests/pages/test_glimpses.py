"""The Glimpses page without a browser: its views, links that restore them, and links that are wrong."""

import pytest

from genlib.ui import glimpses

VIEWS = ("Read", "Generate", "By hand")


def errors(app):
    return [error.value for error in app.error]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens_and_gives_code_that_runs(open_page, view):
    app = open_page("glimpses", view=view, digit="7", seed="3")
    assert not app.exception
    assert not errors(app)
    code = next(block.value for block in app.code if "import" in block.value)
    scope: dict = {}
    exec(code, scope)  # our own page's text
    if view == "By hand":
        assert scope["glimpse"].shape == (1, 5, 5)
        assert scope["back"].shape == (1, 28, 28)
    else:
        assert scope["trace"].canvases.shape[1:] == (3, 1, 28, 28)


@pytest.mark.parametrize("view", VIEWS)
def test_a_model_that_reads_nothing_only_generates(open_page, view):
    """Whatever view a link asks for; its steps are shown without boxes."""
    app = open_page("glimpses", model="gran-mnist", view=view, seed="3")
    assert not app.exception
    assert not errors(app)
    assert any("only generates" in caption.value for caption in app.caption)
    scope: dict = {}
    exec(next(block.value for block in app.code if "import" in block.value), scope)  # our own page's text
    assert scope["trace"].canvases.shape == (17, 3, 1, 28, 28)


def test_the_seed_of_a_link_is_the_seed_of_the_code(open_page):
    app = open_page("glimpses", view="Generate", seed="41", temperature="0.5")
    assert any("seed=41, temperature=0.5" in block.value for block in app.code)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"model": "../../etc/passwd"}, "passwd"),
        ({"model": "pixelcnn-mnist"}, "pixelcnn-mnist"),
        ({"view": "Sing"}, "Sing"),
        ({"digit": "10000"}, "10000"),
        ({"seed": "-1"}, "-1"),
        ({"view": "Generate", "temperature": "nan"}, "nan"),
        ({"step": "99"}, "99"),
        ({"view": "By hand", "grid": "5,13,13"}, "5,13,13"),
        ({"view": "By hand", "grid": "5,99,13,4,1,1"}, "5,99,13"),
    ],
)
def test_a_wrong_link_is_one_sentence(open_page, query, named):
    app = open_page("glimpses", **query)
    assert not app.exception
    sentences = errors(app)
    assert len(sentences) == 1
    assert named in sentences[0]
    assert "Traceback" not in sentences[0]


def test_only_the_open_tab_of_the_lesson_is_sent(open_page):
    app = open_page("glimpses")
    assert app.code
    words = {block.value for block in app.markdown}
    app.session_state["lesson"] = "∑ The maths"
    app.run()
    assert not app.code
    assert any("$" in block.value for block in app.markdown if block.value not in words)


@pytest.mark.parametrize(
    ("view", "place", "button"), [("Read", 0, "Another image"), ("Read", 1, "New seed"), ("Generate", 0, "New seed")]
)
def test_what_was_filmed_in_advance_is_what_the_button_asks_for(open_page, planned, monkeypatch, view, place, button):
    app = open_page("glimpses", view=view)
    planned["glimpses"][place]()
    monkeypatch.setattr(glimpses, "_filmed", lambda settings: pytest.fail("filmed once more"))
    next(one for one in app.button if one.label == button).click().run()
    assert not app.exception
    assert not errors(app)
