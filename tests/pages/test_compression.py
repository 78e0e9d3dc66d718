"""The Compression page without a browser: files that hold what is shown, and come back through the drop."""

from __future__ import annotations

import json
import re

import pytest
import torch

from genlib.codec import lossless
from genlib.codec.container import Container
from genlib.data.few import load_to_look_at
from genlib.training import checkpoint
from genlib.ui import models


def errors(app) -> list[str]:
    return [error.value for error in app.error]


def text(app) -> str:
    return "\n".join(block.value for block in app.markdown)


@pytest.fixture
def page(open_page):
    def opened(**query: str):
        return open_page("compression", view="Lossless", model="pixelcnn-mnist", **query)

    return opened


def file_of(app) -> bytes:
    """The file that the page offers, made again by the page's own code."""
    scope: dict = {}
    exec(next(block.value for block in app.code if "import" in block.value), scope)  # our own page's text
    return scope["file"]


@pytest.mark.parametrize("count", ["One picture", "100 pictures"])
def test_the_file_is_what_the_page_says(page, count: str) -> None:
    app = page(count=count, digit="7")
    assert not app.exception
    assert not errors(app)
    container = Container.from_bytes(file_of(app)).renamed("pixelcnn-mnist")
    total, payload = len(container.to_bytes()), len(container.payload)
    assert f"**{total:,} bytes**: {payload:,} hold the picture" in text(app)
    model = models.get("pixelcnn-mnist")
    n = 1 if count == "One picture" else 100
    images = model.code(load_to_look_at("mnist").images("test")[7 : 7 + n].float() / 255)
    assert torch.equal(lossless.decompress(model, container.to_bytes()), images)
    bits = float(re.search(r"adds up to ([\d,.]+) bits", text(app))[1].replace(",", ""))
    assert bits == pytest.approx(-float(model.log_prob(images).sum()) / 0.6931472, rel=1e-3)
    assert any(name in text(app) for name in ("WebP", "PNG", "JPEG XL"))


def test_a_file_comes_back_through_the_drop(page) -> None:
    app = page(digit="3")
    model = models.get("pixelcnn-mnist")
    images = model.code(load_to_look_at("mnist").images("test")[3:4].float() / 255)
    data = Container.from_bytes(lossless.compress(model, images)).renamed("pixelcnn-mnist").to_bytes()
    app.file_uploader(key="compression-drop").set_value(("x.glc", data, "application/octet-stream")).run()
    assert not errors(app)
    assert "**The same as above, to the last pixel.**" in text(app)
    app.number_input(key="digit").set_value(4).run()
    assert "Other pictures than those above." in text(app)
    for wrong, sentence in (
        (data[:-3], "cut short"),
        (b"\x89PNG", "no file that genlib compressed"),
        (Container.from_bytes(data).renamed("../../etc/passwd").to_bytes(), "passwd"),
        (Container.from_bytes(data).renamed("gan-mnist").to_bytes(), "gan has no exact likelihood"),
        (Container.from_bytes(data).renamed("row-lstm-mnist").to_bytes(), "other weights"),
    ):
        app.file_uploader(key="compression-drop").set_value(("x.glc", wrong, "application/octet-stream")).run()
        assert not app.exception
        assert len(errors(app)) == 1
        assert sentence in errors(app)[0]


def test_every_model_of_pixels_compresses(open_page) -> None:
    for name in models.available("pixel prediction"):
        app = open_page("compression", view="Lossless", model=name, digit="1")
        assert not app.exception
        assert not errors(app), name
        assert " bytes**" in text(app)


def test_a_picture_of_ones_own(page) -> None:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (60, 60), 255).save(buffer, "PNG")
    app = page()
    app.file_uploader(key="compression-upload").set_value(("disc.png", buffer.getvalue(), "image/png")).run()
    assert not errors(app)
    assert any("your-picture.png" in block.value for block in app.code)
    app.file_uploader(key="compression-upload").set_value(("disc.png", b"nothing", "image/png")).run()
    assert "disc.png is not a picture" in errors(app)[0]
    assert " bytes**" in text(app), "the page goes on with the test image"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"view": "Sing"}, "Sing"),
        ({"view": "Lossless", "model": "gan-mnist"}, "gan-mnist"),
        ({"view": "Lossless", "count": "7"}, "7"),
        ({"view": "Lossless", "digit": "10000"}, "10000"),
    ],
)
def test_a_wrong_link_is_one_sentence(open_page, query: dict[str, str], named: str) -> None:
    app = open_page("compression", **query)
    assert not app.exception
    assert len(errors(app)) == 1
    assert named in errors(app)[0]


def test_without_a_lossy_model_the_page_says_so(open_page, monkeypatch: pytest.MonkeyPatch) -> None:
    real = models.available
    monkeypatch.setattr(models, "available", lambda *wanted: {} if wanted == ("stepwise code",) else real(*wanted))
    app = open_page("compression", view="Lossy")
    assert not app.exception
    assert not errors(app)
    assert any("No checkpoint here keeps a picture as a code in steps" in info.value for info in app.info)


# --- lossy -----------------------------------------------------------------------------------------------------------


def test_the_lossy_file_keeps_to_its_bits_and_comes_back(open_page) -> None:
    app = open_page("compression", view="Lossy", coder="conv-draw-mnist", bits="200", digit="5", seed="3")
    assert not app.exception
    assert not errors(app)
    scope: dict = {}
    exec(next(block.value for block in app.code if "import" in block.value), scope)  # our own page's text
    container = Container.from_bytes(scope["file"]).renamed("conv-draw-mnist")
    data, payload = container.to_bytes(), len(container.payload)
    assert 0 < 8 * payload <= 200
    assert f"**{len(data)} bytes** on the disk: {payload} ({8 * payload} bits of the 200 allowed)" in text(app)
    assert scope["drawn"].shape == scope["mean"].shape == (1, 1, 28, 28)
    for name in ("JPEG", "JPEG 2000", "conv-DRAW WPV", "conv-DRAW WoPV"):
        assert f"**{name}**" in text(app)
    app.file_uploader(key="compression-drop").set_value(("x.glc", data, "application/octet-stream")).run()
    assert not errors(app)
    assert "lossy, 1 picture of 1 x 28 x 28" in text(app)


@pytest.mark.parametrize("kept", [False, True])
def test_the_curve_is_the_kept_one_or_measured_now(
    open_page, kept: bool, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    path = tmp_path / "kept.json"
    if kept:
        point = {"budget": 307.0, "psnr": 20.0, "ssim": 0.5, "agreement": 0.4, "above": 0.0}
        points = [
            {**point, "coder": coder, "headers": headers, "bits": 300.0 + 400 * headers}
            for coder in ("conv-draw WPV", "JPEG")
            for headers in (False, True)
        ]
        kept_result = {"data": "mnist", "images": 200, "header": 40.0, "points": points}
        path.write_text(json.dumps({"command": "genlib distortion x", "machine": "m", **kept_result}))
    monkeypatch.setattr(checkpoint, "distortion_path", lambda name: path)
    app = open_page("compression", view="Lossy", coder="conv-draw-mnist", bits="307")
    app.session_state["compression-curve"] = True
    app.run()
    assert not app.exception
    assert not errors(app)
    captions = " ".join(caption.value for caption in app.caption)
    assert ("Measured by `genlib distortion x`" in captions) == kept
    assert "no codec's header counts" in captions
    if kept:
        app.toggle(key="compression-headers").set_value(True).run()
        assert any("Whole files, headers counted" in caption.value for caption in app.caption)


@pytest.mark.parametrize(("key", "value"), [("bits", "9"), ("seed", "-1"), ("digit", "x"), ("coder", "vae-mnist")])
def test_a_wrong_lossy_link_is_one_sentence(open_page, key: str, value: str) -> None:
    app = open_page("compression", **{"view": "Lossy", "coder": "conv-draw-mnist", key: value})
    assert not app.exception
    assert len(errors(app)) == 1
    assert value in errors(app)[0]
