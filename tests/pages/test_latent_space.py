"""The Latent space page without a browser: its views, its links, and the truth of what it says."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from streamlit.testing.v1 import AppTest

import genlib
from genlib.data import load
from genlib.figures import images
from genlib.training import checkpoint
from genlib.ui import latent, latent_encode, latent_points, links, models

from .conftest import shown_pictures
from .latent_models import TEST_IMAGES, lively_vae, save, small_mnist, write_checkpoints

VIEWS = latent.VIEWS


@pytest.fixture(scope="session")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of planes of every kind, and of a model without any."""
    folder = write_checkpoints(tmp_path_factory.mktemp("planes"))
    from .conftest import tiny

    model = tiny("pixelcnn")
    path = folder / "pixelcnn-mnist.safetensors"
    checkpoint.save(path, model, model.state_dict(), checkpoint.Origin(data="mnist", step=1))
    return folder


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_mnist(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def surroundings(sandbox: Path, planes: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(planes))
    monkeypatch.setenv("GENLIB_DATA", str(small_data))
    models._available.clear()  # the page remembers for some seconds what there is
    yield
    models._available.clear()


@pytest.fixture
def page(open_page: Callable[..., AppTest]) -> Callable[..., AppTest]:
    """``page(**query)`` opens the page and insists that it shows without an error."""

    def opened(**query: str) -> AppTest:
        app = open_page("latent_space", **{"model": "vae-mnist", **query})
        assert not app.exception
        assert not app.error, app.error[0].value
        return app

    return opened


def code(app: AppTest) -> str:
    return next(block.value for block in app.code if "genlib.load" in block.value)


def run(lines: str) -> dict:
    names: dict = {}
    exec(lines, names)  # the page's own lines, which a reader would paste
    return names


def text(app: AppTest) -> str:
    html = [element.proto.body for element in app.get("html")]
    return "\n".join([*(element.value for element in [*app.markdown, *app.caption]), *html])


def link(app: AppTest) -> dict[str, str]:
    return {name: value if isinstance(value, str) else value[-1] for name, value in app.query_params.items()}


# -- the views ---------------------------------------------------------------------------------------------------------


def test_the_plane_s_code_gives_the_picture_the_path_and_the_codes(page) -> None:
    app = page(z="0.5,-1.25", a="-1,0.5", b="1.5,1")
    names = run(code(app))
    model = genlib.load("vae-mnist")
    assert torch.equal(names["picture"], model.decode(torch.tensor([[0.5, -1.25]])))
    ends = model.decode(torch.tensor([[-1, 0.5], [1.5, 1]]))
    assert torch.allclose(names["path"][[0, -1]], ends, atol=1e-6)
    assert len(names["mean"]) == len(names["labels"]) == TEST_IMAGES


def test_the_encoded_image_is_shown_with_what_it_is_and_costs(page) -> None:
    app = page(view="Encode", digit="7")
    names = run(code(app))
    assert torch.equal(names["image"], load("mnist").batch("test", slice(7, 8)))
    nats, kl = names["reconstruction"].item(), names["kl"].item()
    said = text(app)
    for value in (nats, kl, nats + kl):
        assert f"<b>{value:.1f}</b>" in said
    x, y = names["mean"][0].tolist()
    sigma = names["sigma"][0].tolist()
    assert f"z₁ = {x:.2f} ± {sigma[0]:.2f}, z₂ = {y:.2f} ± {sigma[1]:.2f}".replace("-", "−") in said
    label = int(load("mnist").labels("test")[7])
    assert f"Test image 7: {label}" in said
    assert len(shown_pictures(app)) == 2


@pytest.mark.parametrize("index", [0, 11])
def test_place_and_rank_are_what_counting_gives(page, index: int) -> None:
    app = page(view="Encode", digit=str(index))
    model, data = genlib.load("vae-mnist"), load("mnist")
    mean, _ = model.encode(data.batch("test", slice(None)))
    radius = mean.norm(dim=1)
    said = text(app)
    assert f"{(radius > radius[index]).float().mean():.0%} of the test codes lie further out" in said
    near = (mean - mean[index]).norm(dim=1).argsort()[: latent_encode.NEIGHBOURS]
    votes = data.labels("test")[near].bincount(minlength=10)
    assert f"Of the 15 nearest, {votes.max()} are of class **{votes.argmax()}**" in said
    rank = re.search(r"more than (\d+)% of 300 test images \(median (\d+) nats\)", said)
    assert rank, said
    costs = -model.elbo(data.batch("test", slice(None)))
    assert float(rank[2]) == pytest.approx(costs.median().item(), rel=0.05), "one draw of each code, so nearly"
    own = model.bound(data.batch("test", slice(index, index + 1)))
    assert float(rank[1]) / 100 == pytest.approx((costs < sum(own)).float().mean().item(), abs=0.05)


def test_another_image_changes_the_pictures_and_the_link(page) -> None:
    app = page(view="Encode")
    before = shown_pictures(app)
    app.selectbox(key="latent-class").set_value("4").run()
    labels = load("mnist").labels("test")
    first = int((labels == 4).nonzero()[0])
    assert link(app)["digit"] == str(first)
    after = shown_pictures(app)
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert f"slice({first}, {first + 1})" in code(app)


@pytest.mark.parametrize(("spacing", "reach"), [("By the prior", None), ("Even", "1.2")])
def test_the_grid_s_code_gives_the_pictures_it_shows(page, spacing: str, reach: str | None) -> None:
    app = page(view="Grid", n="4", spacing=spacing, **({"reach": reach} if reach else {}))
    names = run(code(app))
    chart = json.loads(app.get("plotly_chart")[0].proto.spec)
    sheet = chart["layout"]["images"][0]["source"].partition(",")[2]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet))))
    tiles = images.to_pixels(names["pictures"])
    size = pixels.shape[0] // 4
    step = size // 28
    for i, tile in enumerate(tiles):
        top, left = i // 4 * size, i % 4 * size
        assert np.abs(pixels[top : top + size : step, left : left + size : step].astype(int) - tile).max() <= 1
    if reach:
        assert names["ticks"].max() == pytest.approx(float(reach))


def test_the_second_chart_counts_all_codes_in_cells_of_equal_prior(page) -> None:
    app = page(view="Grid", n="4")
    counts = np.array(json.loads(app.get("plotly_chart")[1].proto.spec)["data"][0]["z"])
    assert counts.shape == (4, 4)
    assert counts.sum() == TEST_IMAGES
    assert f"each would hold {TEST_IMAGES / 16:.1f} of {TEST_IMAGES}" in text(app)


# -- links -------------------------------------------------------------------------------------------------------------


@given(st.tuples(*[st.floats(-3.5, 3.5)] * 2))
def test_a_point_survives_the_link(point: tuple[float, float]) -> None:
    written = latent_points.write_point(point)
    assert "e" not in written
    assert "-0," not in f"{written},"
    assert latent_points.read_point("z", written, 3.5) == pytest.approx(point, abs=0.0005)


def test_a_first_visit_leaves_the_address_alone_and_a_link_stays_in_it(page) -> None:
    assert not {"z", "a", "b"} & set(link(page()))
    assert link(page(z="0.5,-1.25"))["z"] == "0.5,-1.25"


def test_a_class_becomes_the_end_of_the_path(page) -> None:
    app = page()
    app.selectbox(key="latent-end-a").set_value("3").run()
    assert not app.exception
    mean, labels = run(code(app))["mean"], load("mnist").labels("test")
    centre = np.median(mean[labels == 3].numpy(), axis=0)
    assert [float(v) for v in link(app)["a"].split(",")] == pytest.approx(centre.tolist(), abs=0.001)
    assert app.selectbox(key="latent-end-a").value == "3"


def test_a_drawing_comes_with_the_link(page) -> None:
    drawing = np.zeros((28, 28), np.uint8)
    drawing[5:22, 13:16] = 255
    app = page(view="Encode", source="Drawing", picture=links.pack_picture(drawing))
    names = run(code(app))
    assert np.array_equal((names["image"] * 255).round().byte().numpy()[0, 0], drawing)
    nats, kl = names["reconstruction"].item(), names["kl"].item()
    assert f"<b>{nats + kl:.1f}</b>" in text(app)
    assert len(shown_pictures(app)) == 1, "the canvas shows the drawing itself"
    app.button_group(key="view").set_value("Plane").run()
    assert "picture" not in link(app)


def test_an_empty_canvas_asks_for_a_drawing(page) -> None:
    app = page(view="Encode", source="Drawing")
    assert not shown_pictures(app)
    assert "Draw a digit" in app.info[0].value
    assert run(code(app))["image"].sum() == 0


@pytest.mark.parametrize("view", VIEWS)
def test_views_keep_what_the_others_chose(page, view: str) -> None:
    app = page(view=view, z="0.5,-1.25", digit="7", n="5")
    for other in (*VIEWS, view):
        app.button_group(key="view").set_value(other).run()
        assert not app.exception
        assert not app.error
    assert link(app)["z"] == "0.5,-1.25"
    if view == "Encode":
        assert app.number_input(key="digit").value == 7
    if view == "Grid":
        assert app.slider(key="n").value == 5


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"model": "../../etc/passwd"}, "passwd"),
        ({"model": "pixelcnn-mnist"}, "pixelcnn-mnist"),
        ({"view": "Planes", "planes": "vae-mnist,vae-mnist-three"}, "vae-mnist-three"),
        ({"seed": "-1"}, "-1"),
        ({"view": "Sing"}, "Sing"),
        ({"z": "1;2"}, "1;2"),
        ({"z": "nan,0"}, "nan,0"),
        ({"b": "0,1e9"}, "1e9"),
        ({"a": "99,0"}, "99,0"),
        ({"view": "Encode", "digit": "10000"}, "10000"),
        ({"view": "Encode", "source": "Nowhere"}, "Nowhere"),
        ({"view": "Encode", "source": "Drawing", "picture": "AAAA"}, "picture"),
        ({"view": "Grid", "n": "1000"}, "1000"),
        ({"view": "Grid", "spacing": "Odd"}, "Odd"),
        ({"view": "Grid", "spacing": "Even", "reach": "-1"}, "-1"),
    ],
)
def test_a_wrong_link_is_one_sentence(open_page, query: dict[str, str], named: str) -> None:
    app = open_page("latent_space", **{"model": "vae-mnist", **query})
    assert not app.exception
    assert len(app.error) == 1
    sentence = app.error[0].value
    assert named in sentence
    assert "Traceback" not in sentence
    if "model" not in query:
        assert app.code, "the page goes on without it"


# -- spaces of many numbers, and of noise --------------------------------------------------------------------------------


@pytest.fixture
def many(planes: Path) -> str:
    """A model with a code of seven numbers."""
    path = planes / "vae-mnist-seven.safetensors"
    if not path.exists():
        save(path, lively_vae(latent=7))
    models._available.clear()
    return "vae-mnist-seven"


@pytest.fixture
def noise(planes: Path) -> str:
    """A model without an encoder."""
    from .conftest import tiny

    path = planes / "gan-mnist.safetensors"
    if not path.exists():
        model = tiny("gan", latent=9)
        checkpoint.save(path, model, model.state_dict(), checkpoint.Origin(data="mnist", step=1))
    models._available.clear()
    return "gan-mnist"


def strips(app: AppTest, chart: int = 0) -> np.ndarray:
    """The pictures of a strips figure as one array of grey values, without the enlargement."""
    layout = json.loads(app.get("plotly_chart")[chart].proto.spec)["layout"]
    sheet = layout["images"][0]["source"].partition(",")[2]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet))))[..., 0]
    rows, columns = len(layout["yaxis"]["ticktext"]), len(layout["xaxis"]["ticktext"])
    scale = -(-pixels.shape[1] // (columns * 29))  # the gap after the last picture is left out
    small = pixels[scale // 2 :: scale, scale // 2 :: scale]
    return np.stack([[small[29 * i : 29 * i + 28, 29 * j : 29 * j + 28] for j in range(columns)] for i in range(rows)])


@pytest.mark.parametrize("query", [{}, {"z": "0.5,-1.25"}])
def test_the_plane_of_many_numbers_is_the_principal_one(page, many: str, query: dict[str, str]) -> None:
    app = page(model=many, **query)
    names = run(code(app))
    model, test = genlib.load(many), load("mnist").batch("test", slice(None))
    mean = model.encode(test)[0]
    assert names["plane"].share == pytest.approx(
        float(torch.linalg.eigvalsh(torch.cov(mean.T))[-2:].sum() / mean.var(0).sum()), abs=1e-4
    )
    assert f"{names['plane'].share:.0%} of their variance" in text(app)
    assert f"of {TEST_IMAGES} test images" in text(app)
    assert names["points"].shape == (TEST_IMAGES, 2)
    assert names["picture"].shape == (1, 1, 28, 28)


def test_strips_change_one_number_of_the_code_each(page, many: str) -> None:
    app = page(model=many, view="Traversals", digit="5")
    names = run(code(app))
    pictures = images.to_pixels(names["pictures"])[..., 0].reshape(7, 11, 28, 28)
    assert np.abs(strips(app).astype(int) - pictures).max() <= 1
    order = json.loads(app.get("plotly_chart")[1].proto.spec)["data"][0]["customdata"]
    assert names["shown"].tolist() == order
    later = page(model=many, view="Traversals", digit="5", first="4")
    assert np.array_equal(strips(later), strips(app)[3:])


def test_noise_has_a_plane_through_three_draws(page, noise: str) -> None:
    app = page(model=noise, seed="4", z="0,2")
    assert "No encoder" in text(app)
    names = run(code(app))
    model = genlib.load(noise)
    draws = model.noise(3, model.generator(4))
    torch.testing.assert_close(names["picture"], model.decode(draws[:1]), atol=1e-3, rtol=0.0)
    other = page(model=noise, seed="5", z="0,2")
    assert not torch.allclose(run(code(other))["picture"], names["picture"])


def test_ways_between_draws_are_what_the_code_gives(page, noise: str) -> None:
    app = page(model=noise, view="Interpolate", seed="4")
    names = run(code(app))
    shown = strips(app)
    assert shown.shape == (4, 11, 28, 28)
    for row, name in enumerate(("sphere", "straight")):
        assert np.abs(shown[row].astype(int) - images.to_pixels(names[name])[..., 0]).max() <= 1
    assert np.abs(shown[0, -1].astype(int) - shown[2, 0]).max() <= 1  # A to B ends where B to C begins


def test_planes_stand_side_by_side(page, many: str) -> None:
    app = page(view="Planes")
    told = text(app)
    assert told.count("**β = 1**") == 3
    assert all(f"{name}: ±" in told for name in ("vae-mnist", "vae-mnist-collapsed", "vae-mnist-far"))
    assert many not in app.multiselect(key="latent-planes").options
    assert len(app.get("plotly_chart")) == 3
    assert len(app.image) == 3
    assert link(app)["planes"] == "vae-mnist,vae-mnist-collapsed,vae-mnist-far"
    ranges = [json.loads(chart.proto.spec)["layout"]["xaxis"]["range"][1] for chart in app.get("plotly_chart")]
    assert ranges[2] > 3 * ranges[0]
    assert "100% of the prior empty" not in told
    app.toggle(key="same").set_value(True).run()
    ranges = [json.loads(chart.proto.spec)["layout"]["xaxis"]["range"][1] for chart in app.get("plotly_chart")]
    assert len(set(ranges)) == 1
    app.multiselect(key="latent-planes").set_value(["vae-mnist-far"]).run()
    assert not app.exception
    assert link(app)["planes"] == "vae-mnist-far"
    assert run(code(app))["pictures"].shape == (144, 1, 28, 28)
    app.multiselect(key="latent-planes").set_value([]).run()
    assert "Choose up to four" in app.info[0].value


def test_a_view_that_the_other_kind_of_model_lacks_gives_way(page, many: str, noise: str) -> None:
    app = page(view="Grid")
    for name in (many, noise, "vae-mnist"):
        app.selectbox(key="model").set_value(name).run()
        assert not app.exception
        assert not app.error
        assert app.button_group(key="view").value == "Plane"
    assert not page(model=many, view="Encode").error


# -- models and data of every kind -------------------------------------------------------------------------------------


def test_at_first_a_series_stands_side_by_side(page, tmp_path, monkeypatch) -> None:
    """Planes of one model that differ in beta, in its order; not the open one, which is alone of its kind."""
    shape = {"latent": 2, "hidden": 8}
    for beta in (4.0, 0.0, 1.0):
        save(
            tmp_path / f"vae-mlp-mnist-beta{beta:g}.safetensors",
            genlib.create("vae-mlp", data="mnist", beta=beta, **shape),
        )
    save(tmp_path / "vae-mnist.safetensors", lively_vae())
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(tmp_path))
    models._available.clear()
    app = page(model="vae-mnist", view="Planes")
    assert link(app)["planes"] == ",".join(f"vae-mlp-mnist-beta{beta}" for beta in (0, 1, 4))


def test_collapsed_and_far_planes_are_called_by_name(page) -> None:
    collapsed, far, fine = (page(model=f"vae-mnist{end}") for end in ("-collapsed", "-far", ""))
    assert "KL collapse" in collapsed.warning[0].value
    assert "Far from the prior" in far.warning[0].value
    assert not fine.warning
    reach = float(re.search(r"linspace\(-([\d.]+)", code(page(model="vae-mnist-far", view="Grid", spacing="Even")))[1])
    mean = genlib.load("vae-mnist-far").encode(load("mnist").batch("test", slice(None)))[0]
    assert (mean.abs().amax(1) <= reach).float().mean() >= 0.99


def test_the_card_s_score_is_told_and_another_is_measured(page, planes: Path) -> None:
    card = planes / "vae-mnist.json"
    scores = {"elbo_nats": 151.25, "reconstruction_nats": 145.0, "kl_nats": 6.25, "binarisation": "dynamic"}
    card.write_text(json.dumps({"scores": scores}))
    try:
        said = text(page())
    finally:
        card.unlink()
    assert "151.25 nats" in said
    assert "reconstruction 145.00 + KL 6.25" in said
    costs = -genlib.load("vae-mnist-far").elbo(load("mnist").batch("test", slice(None)))
    measured = re.search(r"\*\*([\d.]+) nats\*\* an image, measured here on 300", text(page(model="vae-mnist-far")))
    assert measured
    assert float(measured[1]) == pytest.approx(costs.mean().item(), rel=0.02)


def test_without_the_data_set_the_plane_is_there_all_the_same(open_page, tmp_path, monkeypatch) -> None:
    save(tmp_path / "vae-svhn.safetensors", lively_vae(), data="svhn")
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(tmp_path))
    app = open_page("latent_space", z="0.5,0.5")
    assert not app.exception
    assert len(app.error) == 1
    assert "genlib data fetch svhn" in app.error[0].value
    assert torch.is_tensor(run(code(app).partition("data = load")[0])["picture"])


def test_a_diverged_encoder_is_one_sentence(open_page, tmp_path, monkeypatch) -> None:
    model = lively_vae()
    with torch.no_grad():
        model.encoder.mean.bias.fill_(float("nan"))
    save(tmp_path / "vae-mnist.safetensors", model)
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(tmp_path))
    app = open_page("latent_space")
    assert not app.exception
    assert len(app.error) == 1
    assert "its training has diverged" in app.error[0].value


def test_encoding_in_chunks_gives_every_test_image_its_own_code(page, monkeypatch: pytest.MonkeyPatch) -> None:
    latent._codes._items.clear()
    monkeypatch.setattr(latent, "CHUNK", 110)
    for _ in range(4):  # without a browser nothing asks for the next chunk
        app = page()
    assert f"Codes of {TEST_IMAGES} test images" in text(app)
    found = next(iter(latent._codes._items.values()))
    assert sorted(found.index) == list(range(TEST_IMAGES))
    data = load("mnist")
    mean, log_var = genlib.load("vae-mnist").encode(data.batch("test", torch.from_numpy(found.index)))
    assert np.allclose(found.mean, mean, atol=1e-5)
    assert np.allclose(found.log_var, log_var, atol=1e-5)
    assert np.array_equal(found.labels, data.labels("test")[found.index])
    latent._codes._items.clear()
