"""What the components' Python sides promise: masks, sheets, payloads; and that nothing forged gets through."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from genlib.ui.components import PRESET_MASKS, Box, Panel, Series, atlas_codes, atlas_sheet, preset_mask, wire
from genlib.ui.components.canvas import decode_canvas
from genlib.ui.components.latent_pad import LatentPadValue, decode_latent_pad
from genlib.ui.components.player import BARE, PlayerValue, _panel_data, _series_data, decode_player, sprite_sheets


def canvas_payload(image: np.ndarray, known: np.ndarray, /, **changes: object) -> dict[str, object]:
    payload = {
        "image": base64.b64encode(image.tobytes()).decode(),
        "known": wire.encode_mask(known),
        "picked": None,
        "revision": 3,
    }
    return {**payload, **changes}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("shape", [(28, 28), (32, 32, 3), (5, 7)])
def test_canvas_payload_round_trip(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    known = rng.random(shape[:2]) < 0.5
    value = decode_canvas(canvas_payload(image, known, picked=[1, 2]), shape)
    assert np.array_equal(value.image, image)
    assert np.array_equal(value.known, known)
    assert (value.picked, value.revision) == ((1, 2), 3)
    assert not value.image.flags.writeable
    assert not value.known.flags.writeable


@pytest.mark.parametrize(
    "changes",
    [
        {"image": None},
        {"image": [0] * 784},
        {"image": "AAAA"},
        {"image": "!" * 1048},
        {"image": "é" * 1048},
        {"image": base64.b64encode(bytes(785)).decode()},
        {"known": base64.b64encode(bytes(97)).decode()},
        {"known": 7},
        {"picked": [28, 0]},
        {"picked": [-1, 0]},
        {"picked": [0.5, 0]},
        {"picked": [True, 0]},
        {"picked": [1, 2, 3]},
        {"picked": "ab"},
        {"revision": -1},
        {"revision": "9"},
        {"revision": 1e400},
    ],
)
def test_forged_canvas_payload_is_refused(changes: dict[str, object]) -> None:
    payload = canvas_payload(np.zeros((28, 28), np.uint8), np.ones((28, 28), bool), **changes)
    with pytest.raises(ValueError, match="canvas"):
        decode_canvas(payload, (28, 28))


@pytest.mark.parametrize("payload", [[], "text", 4, {}, {"image": ""}])
def test_payload_of_another_kind_is_refused(payload: object) -> None:
    for decode in (
        lambda p: decode_canvas(p, (28, 28)),
        lambda p: decode_latent_pad(p, 3.0),
        lambda p: decode_player(p, 4),
    ):
        with pytest.raises(ValueError):
            decode(payload)


def test_mask_bits_are_row_by_row_highest_first() -> None:
    mask = np.zeros((2, 5), bool)
    mask[0, 0] = mask[1, 4] = True  # bits 0 and 9
    assert base64.b64decode(wire.encode_mask(mask)) == bytes([0b1000_0000, 0b0100_0000])
    assert np.array_equal(wire.decode_mask(wire.encode_mask(mask), 2, 5), mask)


def test_preset_masks() -> None:
    for height, width in ((28, 28), (5, 7)):
        masks = {name: preset_mask(name, height, width) for name in PRESET_MASKS}
        assert all(mask.dtype == bool and mask.shape == (height, width) for mask in masks.values())
        assert masks["nothing hidden"].all()
        # Two halves hide everything between them, and nothing twice.
        assert np.array_equal(masks["lower half"], ~masks["upper half"])
        assert np.array_equal(masks["left half"], ~masks["right half"])
    assert preset_mask("lower half", 28, 28)[:14].all()
    hidden = np.argwhere(~preset_mask("centre square", 28, 28))
    assert hidden.min() == 7
    assert hidden.max() == 20
    assert len(hidden) == 14 * 14
    with pytest.raises(ValueError, match="third half"):
        preset_mask("third half", 28, 28)


def test_images_are_checked() -> None:
    with pytest.raises(TypeError, match="float64"):
        wire.checked_image(np.zeros((4, 4)), "picture")
    for shape in ((4,), (4, 4, 4), (0, 4), (4, 9999)):
        with pytest.raises(ValueError, match="picture"):
            wire.checked_image(np.zeros(shape, np.uint8), "picture")


def test_atlas_codes_and_sheet_agree() -> None:
    codes = atlas_codes(3, 2.0)
    assert codes.tolist() == [[-2, 2], [0, 2], [2, 2], [-2, 0], [0, 0], [2, 0], [-2, -2], [0, -2], [2, -2]]
    tiles = np.arange(9, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 5, 3), np.uint8)
    sheet = atlas_sheet(tiles, 3)
    assert sheet.shape == (12, 15, 3)
    assert sheet[::4, ::5, 0].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    with pytest.raises(ValueError, match="expected"):
        atlas_sheet(tiles[:8], 3)


def test_png_asset_is_lossless_and_named_by_content(rng: np.random.Generator) -> None:
    sheet = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    one, again = wire.png_asset(sheet), wire.png_asset(sheet.copy())
    assert one == again
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(one["png"])))), sheet)
    assert wire.png_asset(255 - sheet)["id"] != one["id"]
    # Same bytes, another shape: another picture.
    assert wire.png_asset(sheet.reshape(30, 20, 3))["id"] != one["id"]


def test_latent_pad_payload() -> None:
    assert decode_latent_pad({"z": [1, -2.5], "a": [0, 0], "b": [3, 3]}, 3.0) == LatentPadValue(
        (1, -2.5), (0, 0), (3, 3)
    )
    good = {"z": [0, 0], "a": [0, 0], "b": [0, 0]}
    for bad in ([4, 0], [0], [0, "1"], [float("nan"), 0], [float("inf"), 0], None, "00", [True, 0]):
        with pytest.raises(ValueError, match="latent pad: a"):
            decode_latent_pad({**good, "a": bad}, 3.0)


def test_player_payload() -> None:
    assert decode_player({"step": 3, "following": False}, 10) == PlayerValue(3, False)
    assert decode_player({"step": 3, "following": True}, 10) == PlayerValue(9, True), (
        "who follows is at the newest frame"
    )
    assert decode_player({"step": 30, "following": False}, 10).step == 9, "frames may have been taken away"
    for bad in ({"step": -1}, {"step": 1.5}, {"step": "1"}, {"step": True}, {"following": 1}, {"following": None}):
        with pytest.raises(ValueError, match="player"):
            decode_player({"step": 0, "following": False, **bad}, 10)


@pytest.mark.parametrize("shape", [(28, 28), (6, 9, 3), (300, 300)])
def test_sprite_sheets_hold_every_frame(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    frames = rng.integers(0, 256, (70, *shape), dtype=np.uint8)
    sheets, per_sheet, columns = sprite_sheets(frames)
    height, width = shape[:2]
    for t, frame in enumerate(frames):
        place = t % per_sheet
        top, left = place // columns * height, place % columns * width
        assert np.array_equal(sheets[t // per_sheet][top : top + height, left : left + width], frame)
    # Appending leaves full sheets as they are, so that the browser need not decode them again.
    assert np.array_equal(sprite_sheets(frames[:66])[0][0], sheets[0])


def test_panels_and_series_are_checked() -> None:
    frames = np.zeros((3, 4, 4), np.uint8)
    box = Box(1, 1, 2, 2)
    assert _panel_data(Panel("p", frames, boxes=[[box], [], [box]]), 3)["boxes"] == [
        [[1, 1, 2, 2, 3, "#e69f00"]],
        [],
        [[1, 1, 2, 2, 3, "#e69f00"]],
    ]
    bad_panels = [
        Panel("p", frames[:2]),
        Panel("p", [frames[0], frames[0], np.zeros((5, 4), np.uint8)]),
        Panel("p", frames, boxes=[[box]]),
        Panel("p", frames, boxes=[[box._replace(colour="red;}")]] * 3),
        Panel("p", frames, boxes=[[box._replace(cx=float("nan"))]] * 3),
        Panel("p", frames, dots=[[(1, 2, 3)]] * 3),
        Panel("p", frames, dot_colour="url(x)"),
    ]
    for panel in bad_panels:
        with pytest.raises(ValueError, match="panel 'p'"):
            _panel_data(panel, 3)
    assert _series_data(Series("kl", [1.0, float("nan"), 2.0]), 3)["values"] == [1.0, None, 2.0]
    with pytest.raises(ValueError, match="kl"):
        _series_data(Series("kl", [1.0]), 3)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3)])
def test_short_films_travel_as_they_are(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    frames = rng.integers(0, 256, (7, *shape), dtype=np.uint8)
    data = _panel_data(Panel("p", frames), 7)
    assert (data["sheets"], data["count"], data["channels"]) == ([], 7, 3 if len(shape) == 3 else 1)
    assert base64.b64decode(data["bare"]) == frames.tobytes()
    still = _panel_data(Panel("p", np.broadcast_to(frames[0], frames.shape)), 7)
    assert (still["count"], base64.b64decode(still["bare"])) == (1, frames[0].tobytes())
    long = rng.integers(0, 256, (BARE // 1024 + 1, 32, 32), dtype=np.uint8)
    assert "bare" not in _panel_data(Panel("p", long), len(long))
    assert "bare" in _panel_data(Panel("p", np.broadcast_to(long[0], long.shape)), len(long))


def answer(source: str, nonce: str, **fields: object) -> dict[str, object]:
    return {"source": source, "nonce": nonce, **fields}


def test_an_answer_lives_as_long_as_its_input() -> None:
    store: dict[str, object] = {}
    assert wire.settle(store, "k", "A", None) is None
    first = answer("A", "n1", revision=1)
    assert wire.settle(store, "k", "A", first) == first
    assert wire.settle(store, "k", "A", None) == first, "Streamlit forgot it on a page change; we did not"
    assert wire.settle(store, "k", "B", first) is None, "a new input starts afresh"
    assert wire.settle(store, "k", "A", first) is None, "and the old answer does not come back with the old input"
    second = answer("A", "n2", revision=1)
    assert wire.settle(store, "k", "A", second) == second
    assert wire.settle(store, "other", "A", None) is None


@pytest.mark.parametrize(
    "payload", [[], 3, {"source": "A"}, {"source": "A", "nonce": 1}, {"source": "A" * 65, "nonce": ""}]
)
def test_forged_envelope_is_refused(payload: object) -> None:
    with pytest.raises(ValueError):
        wire.settle({}, "k", "A", payload)
