"""The Receptive field page without a browser: its views, links that restore them, and links that are wrong."""

import pytest

from genlib.evaluation import receptive_field
from genlib.models.pixelcnn import PixelCNN
from genlib.ui import receptive_field as page
from genlib.ui.receptive_field_view import note

FEW = {"pixelcnn": PixelCNN}


@pytest.fixture(autouse=True)
def few_architectures(monkeypatch):
    """One architecture is enough for what is tested here; `tests/evaluation` looks at all."""
    monkeypatch.setattr(receptive_field, "architectures", lambda: FEW)


def errors(app):
    return [error.value for error in app.error]


def code_of(app):
    return next(block.value for block in app.code if "import" in block.value)


@pytest.mark.parametrize("view", page.VIEWS)
def test_every_view_opens_and_gives_code_that_runs(open_page, view):
    app = open_page("receptive_field", view=view, pixel="3.4", kernel="5", mask="3")
    assert not app.exception
    assert not errors(app)
    scope: dict = {}
    exec(code_of(app), scope)  # our own page's text
    if view == page.REACH:
        assert (scope["field"].row, scope["field"].column) == (3, 4)
    elif view == page.USE:
        assert scope["gradient"].shape == (1, 28, 28)
        assert scope["gradient"][0, 3, 4:].count_nonzero() == 0
    elif view == page.MASKS:
        assert scope["grey"].shape == (1, 1, 2, 3)
        assert scope["colour"][:, :, -1, 1].tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    else:
        assert scope["skewed"].shape == (8, 15)


def test_the_table_holds_what_is_measured(open_page):
    app = open_page("receptive_field", pixel="10.3", kernel="3")
    table = next(block.value for block in app.markdown if "earlier pixels" in block.value)
    counts = receptive_field.grow(PixelCNN, (1, 28, 28), 10, 3, values={"first_kernel": 3}).counts(99)
    assert "283 earlier pixels" in table
    assert f"| {counts.seen} | blind spot | {counts.blind} |" in table


def test_the_link_carries_the_channel_and_the_mistake(open_page):
    app = open_page("receptive_field", pixel="2.2", images="Colour", channel="G", built=page.WRONG)
    assert not errors(app)
    assert "(3, 28, 28), row=2, column=2, channel=1" in code_of(app)
    assert "'first_mask': 'B'" in code_of(app)


def test_the_first_pixel_has_nothing_to_use(open_page):
    app = open_page("receptive_field", view=page.USE, pixel="0.0")
    assert not app.exception
    assert not errors(app)
    assert "no past" in app.info[0].value


def test_notes_count_pixels_in_words():
    field = receptive_field.grow(PixelCNN, (1, 11, 13), 10, 3, values={"first_kernel": 3})
    assert note(field, field.last).split("\n") == [
        "blind spot",
        "sees 97 of 133",
        "36 blind",
        f"done at depth {field.last}",
    ]
    assert note(field, 0).split("\n")[3] == f"{133 - 4 - 36} not yet"
    colour = receptive_field.grow(PixelCNN, (3, 4, 5), 2, 2, 2)
    assert note(colour, 9).split("\n")[4] == "of its own: R G"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"view": "Sing"}, "Sing"),
        ({"pixel": "28.0"}, "28.0"),
        ({"pixel": "3,4"}, "3,4"),
        ({"kernel": "4"}, "4"),
        ({"images": "Infrared"}, "Infrared"),
        ({"images": "Colour", "channel": "X"}, "X"),
        ({"built": "of straw"}, "of straw"),
        ({"depth": "-1"}, "-1"),
        ({"depth": "1e9"}, "1e9"),
        ({"view": "Masks", "mask": "12"}, "12"),
        ({"view": "Skewing", "step": "99"}, "99"),
    ],
)
def test_a_wrong_link_is_one_sentence(open_page, query, named):
    app = open_page("receptive_field", **query)
    assert not app.exception
    sentences = errors(app)
    assert len(sentences) == 1
    assert named in sentences[0]
    assert "Traceback" not in sentences[0]
