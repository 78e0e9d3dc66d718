"""The Compare page without a browser."""

import json

from genlib.models import catalogue
from genlib.training import checkpoint


def test_all_shipped_models_stand_side_by_side(open_page):
    app = open_page("compare", seed="5")
    assert not app.exception
    assert not app.error
    shown = set(app.dataframe[0].value["model"])
    assert shown == {f"{name}-mnist" for name in catalogue.names()}
    assert (app.dataframe[0].value["ms"] > 0).all()


def test_scores_come_from_the_cards_and_say_what_they_may_be_compared_with(
    open_page, checkpoints, monkeypatch, tmp_path
):
    scores = {
        "vae-mnist": {"elbo_nats": 150.0, "iwae_nats": 148.0, "binarisation": "dynamic", "bits_per_dim": 0.27},
        "draw-mnist": {"elbo_nats": 95.0, "binarisation": "dynamic"},
        "pixelcnn-mnist": {"nll_nats": 69.0, "binarisation": "threshold"},
        "gan-mnist": {"nll_nats": None, "binarisation": None},
    }
    for name, values in scores.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"scores": values}))
    monkeypatch.setattr(checkpoint, "card_path", lambda name: tmp_path / f"{name}.json")
    table = open_page("compare", models=",".join(scores)).dataframe[0].value.set_index("model")
    assert table["nats"].to_dict() | {"gan-mnist": None} == {
        "vae-mnist": 150.0,
        "draw-mnist": 95.0,
        "pixelcnn-mnist": 69.0,
        "gan-mnist": None,
    }
    assert "other data form" in table.loc["pixelcnn-mnist", "verdict"]
    assert "bound" in table.loc["draw-mnist", "verdict"]
    assert "no likelihood" in table.loc["gan-mnist", "verdict"]


def test_a_link_chooses_the_models_and_names_an_unknown_one(open_page):
    app = open_page("compare", models="gan-mnist,nonsense")
    assert not app.exception
    assert list(app.dataframe[0].value["model"]) == ["gan-mnist"]
    assert len(app.error) == 1
    assert "nonsense" in app.error[0].value


def test_claims_are_judged_when_the_training_is_timed(open_page):
    app = open_page("compare", models="pixelcnn-mnist,diagonal-bilstm-mnist,gan-mnist")
    assert not app.exception
    measured = {frame.value.columns[0]: frame.value for frame in app.dataframe}
    causal = next(frame.value for frame in app.dataframe if "sees" in frame.value).set_index("model")
    assert set(causal.index) == {"pixelcnn-mnist", "diagonal-bilstm-mnist"}
    assert causal["sees"].to_dict() == {"pixelcnn-mnist": "blind spot", "diagonal-bilstm-mnist": "full past"}
    assert causal["step"].isna().all()
    claims = measured["claim"].set_index("claim")["verdict"]
    assert claims["PixelCNN has a blind spot, however deep it is"].startswith("✓")
    assert claims["PixelCNN trains fastest, Diagonal BiLSTM slowest"].startswith("?")
    next(button for button in app.button if "Time the training" in button.label).click().run()
    assert not app.exception
    causal = next(frame.value for frame in app.dataframe if "sees" in frame.value)
    assert (causal["step"] > 0).all()
