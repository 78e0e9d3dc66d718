"""The Compare page without a browser: what it shows is what the cards keep, and it measures nothing by itself."""

import json
import re

import pytest

from genlib.evaluation import judges
from genlib.models import catalogue
from genlib.training import checkpoint
from genlib.ui import compare, compare_claims, models
from genlib.ui.compare_table import TABLES
from tests.pages.conftest import tiny

QUALITY = {
    "data": "mnist", "split": "test", "form": "grey", "judge": "aaaaaaaa", "samples": 100, "seeds": [0], "reference": 1000,
    "frechet": 20.0, "precision": 0.8, "recall": 0.7, "density": 0.9, "coverage": 0.6, "class_counts": [10] * 10,
    "class_entropy": 2.303, "class_ratio": 1.0, "sharpness": 1.0, "nearest_ratio": 1.1, "copies": 0.01, "memorised": False,
    "interval": "95 %", "intervals": {"frechet": 1.5},
}  # fmt: skip
BITS = QUALITY | {"form": "dynamic"}
CARDS = {
    "vae-mnist": {
        "scores": {"elbo_nats": 150.0, "iwae_nats": 148.0, "binarisation": "dynamic", "bits_per_dim": 0.27},
        "quality": QUALITY | {"sharpness": 0.2, "frechet": 170.0},
    },
    "draw-mnist": {"scores": {"elbo_nats": 95.0, "binarisation": "dynamic"}},
    "gated-pixelcnn-mnist": {"scores": {"nll_nats": 69.0, "binarisation": "threshold"}, "quality": BITS},
    "gan-mnist": {"scores": {"nll_nats": None, "binarisation": None}, "quality": QUALITY},
    "dcgan-mnist": {"scores": {"nll_nats": None}, "quality": QUALITY | {"frechet": 50.0}},
}
NAMES = ",".join(CARDS)


@pytest.fixture(autouse=True)
def only_this_seed(monkeypatch):
    """The next seed's walls, drawn in advance by a thread, would only slow the tests down."""
    monkeypatch.setattr("genlib.ui.walls.ahead", lambda names, seed, layout: None)


@pytest.fixture
def cards(monkeypatch, tmp_path):
    """Cards beside the tiny checkpoints, and a judge's card with a floor for grey pictures."""
    for name, values in CARDS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(values))
    monkeypatch.setattr(checkpoint, "card_path", lambda name: tmp_path / f"{name}.json")
    floor = QUALITY | {"frechet": 1.4, "copies": 1.0}
    judge = judges.Judge("mnist", "aaaaaaaa", None, {"floors": {"grey, 100 samples": floor}})
    monkeypatch.setattr("genlib.ui.compare_rows.find_judge", lambda dataset: judge)
    return tmp_path


def look(app, view):
    """What stands below the walls."""
    app.button_group(key="view").set_value(view).run()
    assert not app.exception


def frames(app):
    """The three tables by a column that only they have."""
    look(app, compare.FIGURES)
    found = {}
    for name, shown in zip(("nats", "frechet", "ms"), TABLES, strict=True):
        app.segmented_control(key="table").set_value(shown).run()
        found[name] = app.dataframe[0].value.set_index("model")
        assert name in found[name]
    return found


def claims(app):
    """part -> its verdict and what was measured"""
    look(app, compare.CLAIMS)
    table = next(block.value for block in app.markdown if block.value.startswith("| claim"))
    return {
        cells[0].strip(): cells[1:3]
        for cells in (line[1:].replace("\N{NO-BREAK SPACE}", " ").split(" | ") for line in table.splitlines()[2:])
    }


def words(app):
    """What stands under the pictures."""
    return " ".join(html.proto.body for html in app.get("html") if "genlib-walls" in html.proto.body)


def test_all_shipped_models_stand_side_by_side_and_nothing_was_measured(open_page):
    app = open_page("compare", seed="5")
    assert not app.exception
    assert not app.error
    shipped = {f"{name}-mnist" for name in catalogue.names()}
    found = frames(app)
    assert set(found["ms"].index) == set(found["nats"].index) == set(found["frechet"].index) == shipped
    assert (found["ms"]["ms"] > 0).all()
    assert (found["ms"]["parameters"] > 0).all()
    assert set(found["nats"]["comparable"]) == set(found["frechet"]["comparable"]) == {"? not measured"}
    for name in shipped:
        assert f"<b>{name.removesuffix('-mnist')}</b>" in words(app)
        assert any(f"genlib evaluate {name} --keep" in block.value for block in app.code)
    assert {verdict for part, (verdict, _) in claims(app).items() if "blind spot" in part} == {
        "**? not enough measured**",
        "? not enough measured",
    }


def test_figures_come_from_the_cards_and_say_what_they_may_be_compared_with(open_page, cards):
    found = frames(open_page("compare", models=NAMES))
    nats, samples = found["nats"], found["frechet"]
    assert nats["nats"].dropna().to_dict() == {"vae-mnist": 150.0, "draw-mnist": 95.0, "gated-pixelcnn-mnist": 69.0}
    assert list(nats.index[:3]) == ["gated-pixelcnn-mnist", "draw-mnist", "vae-mnist"]  # the best first
    assert "other scale" in nats.loc["gated-pixelcnn-mnist", "comparable"]
    assert "bound" in nats.loc["draw-mnist", "comparable"]
    assert "no likelihood" in nats.loc["gan-mnist", "comparable"]
    assert list(samples.index) == [
        "real images (mnist, grey)", "gan-mnist", "dcgan-mnist", "vae-mnist", "gated-pixelcnn-mnist", "draw-mnist",
    ]  # fmt: skip
    assert samples.loc["gan-mnist", ["frechet", "half", "nearest_ratio"]].tolist() == [20.0, 1.5, 1.1]
    assert samples.loc["gated-pixelcnn-mnist", "comparable"] == "✗ other scale: form dynamic"
    assert samples.loc["draw-mnist", "comparable"] == "? not measured"


def test_claims_are_judged_by_the_figures_shown_and_link_to_their_checkpoints(open_page, cards):
    found = claims(open_page("compare", models=NAMES))
    assert found["Dense GAN: smaller Frechet distance than DCGAN"][0] == "✓ holds here"
    measured = found["Dense GAN: smaller Frechet distance than DCGAN"][1]
    assert "gan-mnist 20.0 ± 1.5" in measured
    assert "(?models=gan-mnist,dcgan-mnist)" in measured
    assert found["Blurred pictures"][0] == "✓ holds here"
    without = claims(open_page("compare", models="vae-mnist,gan-mnist"))
    assert without["Dense GAN: smaller Frechet distance than DCGAN"][0] == "? not enough measured"


def test_pictures_in_one_form_for_all_are_on_one_scale(open_page, cards):
    for name in ("vae-mnist", "gan-mnist", "dcgan-mnist"):
        kept = CARDS[name] | {"quality_in": {"dynamic": BITS | {"frechet": 33.0}}}
        (cards / f"{name}.json").write_text(json.dumps(kept))
    app = open_page("compare", models=NAMES)
    samples = frames(app)["frechet"]
    assert samples.loc["gan-mnist", "frechet"] == 33.0  # the form that most share is taken at first
    assert set(samples["comparable"]) == {"✓ comparable", "? not measured"}
    assert any(block.value == "genlib evaluate draw-mnist --form dynamic --keep" for block in app.code)
    own = frames(open_page("compare", models=NAMES, form="own form"))["frechet"]
    assert own.loc["gan-mnist", "frechet"] == 20.0


def test_figures_of_another_judge_are_left_out(open_page, cards):
    (cards / "gan-mnist.json").write_text(json.dumps({"quality": QUALITY | {"judge": "bbbbbbbb"}}))
    samples = frames(open_page("compare", models="gan-mnist,dcgan-mnist"))["frechet"]
    assert samples.loc["gan-mnist"].to_dict()["comparable"] == "? measured by another judge"
    assert samples["frechet"].isna()["gan-mnist"]


def test_a_link_chooses_the_models_and_names_an_unknown_one(open_page):
    app = open_page("compare", models="gan-mnist,nonsense")
    assert not app.exception
    assert len(app.error) == 1
    assert "nonsense" in app.error[0].value
    assert list(frames(app)["ms"].index) == ["gan-mnist"]


def test_a_link_chooses_the_axes_and_the_two_under_the_divider(open_page, cards):
    app = open_page("compare", models="gan-mnist,vae-mnist", x="Size", view=compare.COST)
    assert not app.exception
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert "parameters" in figure["layout"]["xaxis"]["title"]["text"]
    app = open_page("compare", models="gan-mnist,vae-mnist", a="vae-mnist", b="gan-mnist")
    shown = json.loads(app.get("bidi_component")[0].proto.json)
    assert shown["names"] == ["vae-mnist", "gan-mnist"]
    assert len({picture["id"] for picture in shown["pictures"]}) == 2


def test_models_of_another_data_set_are_another_comparison(open_page, checkpoints, tmp_path, monkeypatch):
    for file in checkpoints.glob("gan-mnist*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    model = tiny("vae")
    checkpoint.save(
        tmp_path / "vae-fashion_mnist.safetensors", model, model.state_dict(), checkpoint.Origin("fashion_mnist")
    )
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(tmp_path))
    models._available.clear()
    app = open_page("compare")
    assert list(frames(app)["ms"].index) == ["gan-mnist"]
    other = open_page("compare", models="vae-fashion_mnist")  # a link to a model means its data
    assert not other.exception
    assert list(frames(other)["ms"].index) == ["vae-fashion_mnist"]
    models._available.clear()


def test_training_is_timed_on_demand_and_what_a_pixel_sees_is_measured(open_page):
    app = open_page("compare", models="pixelcnn-mnist,diagonal-bilstm-mnist,gan-mnist")
    look(app, compare.CLAIMS)
    next(button for button in app.button if "Time the training" in button.label).click().run()
    assert not app.exception
    found = claims(app)
    assert found["PixelCNN: a blind spot, however deep"][0] == "✓ holds here"
    assert found["Diagonal BiLSTM: the whole past"][0] == "✓ holds here"
    verdict, measured = found["Order of training times"]
    assert not verdict.startswith("?")
    assert re.search(r"pixelcnn-mnist [\d.e-]+, diagonal-bilstm-mnist [\d.e-]+ ms an image", measured)


def test_three_seeds_of_a_run_give_stability_a_verdict(open_page, sandbox):
    for seed in range(3):
        folder = sandbox / f"gan-{seed}"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"model": "gan", "config": {}, "data": "mnist", "seed": seed}))
        rows = [{"step": n, "split": "validation", "discriminator_loss": 1.0 + n % 2} for n in range(6)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    compare_claims._curves.clear()
    found = claims(open_page("compare", models="gan-mnist"))
    assert found["Training is unstable"][0] == "✓ holds here"
    assert "(3 seeds)" in found["Training is unstable"][1]
    compare_claims._curves.clear()
