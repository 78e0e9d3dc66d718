"""``genlib evaluate``, ``compare`` and ``judge``: the figures of samples, kept and side by side."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_home import TEST_IMAGES, Home

import genlib
from genlib import data
from genlib.evaluation import find_judge, quality
from genlib.evaluation.gam import gam
from genlib.models import create
from genlib.training import checkpoint, files
from genlib.training.checkpoint import Origin
from genlib.training.publish import digest

TIMES = {"seconds", "samples_per_second"}


def document(home: Home, *arguments: object) -> Any:
    return json.loads(home.done(*arguments, "--json").stdout)


def without_times(value: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key not in TIMES}


def give_card(name: str) -> None:
    scores = {"nll_nats": None, "binarisation": None}
    files.write_json(checkpoint.card_path(name), {"name": name, "sha256": digest(name), "scores": scores})


def test_evaluate_measures_samples_as_the_library_does(home: Home) -> None:
    found = document(home, "evaluate", "gan-mnist", "--samples", 30, "--seeds", 2)
    own = quality(genlib.load("gan-mnist"), data.load("mnist"), samples=30, seeds=(0, 1))
    assert without_times(found["quality"]) == without_times(own.as_json())
    assert found["quality"]["reference"] == TEST_IMAGES
    assert found["nll_nats"] is None
    shown = home.done("evaluate", "gan-mnist", "--samples", 30).stdout
    assert "samples: frechet" in shown


def test_several_draws_of_the_tighter_bound(home: Home) -> None:
    found = document(home, "evaluate", "vae-mnist", "-k", 1, "-k", 20, "--no-samples")
    assert set(found["iwae_by_k"]) == {"1", "20"}
    assert found["iwae_nats"] == found["iwae_by_k"]["20"] < found["iwae_by_k"]["1"]
    assert found["k"] == 20
    assert "quality" not in found


def test_figures_are_kept_on_the_card_when_asked(home: Home) -> None:
    give_card("gan-mnist")
    found = document(home, "evaluate", "gan-mnist", "--samples", 30, "--keep")
    card = checkpoint.read_card("gan-mnist")
    assert card["quality"] == found["quality"]
    assert card["scores"]["reason"] == "no likelihood"
    as_bits = document(home, "evaluate", "gan-mnist", "--samples", 30, "--form", "dynamic", "--keep")
    card = checkpoint.read_card("gan-mnist")
    assert card["quality"] == found["quality"]
    assert card["quality_in"] == {"dynamic": as_bits["quality"]}


def test_figures_are_not_kept_on_the_card_of_other_weights(home: Home) -> None:
    give_card("gan-mnist")
    path = checkpoint.card_path("gan-mnist")
    files.write_json(path, files.read_json(path) | {"sha256": "0" * 64})
    assert "measure gan-mnist again" in home.refused("evaluate", "gan-mnist", "--samples", 20, "--keep")
    (home.folder / "copy.safetensors").write_bytes(checkpoint.find("gan-mnist").read_bytes())
    assert "publish it first" in home.refused("evaluate", "./copy.safetensors", "--samples", 20, "--keep")


def test_compare_takes_what_is_kept_and_measures_the_rest(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    give_card("gan-mnist")
    kept = document(home, "evaluate", "gan-mnist", "--samples", 30, "--keep")["quality"]
    rows = document(home, "compare", "gan-mnist", "vae-mnist", "pixelcnn-mnist", "--samples", 30)["rows"]
    found = {row["name"]: row for row in rows}
    assert rows[0]["name"] == "real images (mnist, grey)"
    assert set(found) == {
        "real images (mnist, grey)", "real images (mnist, threshold)", "gan-mnist", "vae-mnist", "pixelcnn-mnist",
    }  # fmt: skip
    assert found["gan-mnist"]["quality"] == kept
    assert found["gan-mnist"]["likelihood"] == "no likelihood"
    assert found["vae-mnist"]["likelihood"] == "bound"
    assert found["pixelcnn-mnist"]["samples_mark"] == "other scale: form threshold"
    assert not found["pixelcnn-mnist"]["samples_comparable"]
    assert document(home, "compare", "gan-mnist", "--fresh", "--samples", 20)["rows"][1]["quality"]["samples"] == 20


def test_compare_on_one_scale_as_text(home: Home) -> None:
    shown = home.done("compare", "gan-mnist", "vae-mnist", "--samples", 20, "--form", "dynamic", "--markdown").stdout
    lines = shown.strip().splitlines()
    assert len(lines) == 5
    assert lines[2].startswith("| real images (mnist, dynamic) | dynamic |")
    assert all(line.startswith("|") for line in lines)
    assert "FCD" in home.done("compare", "gan-mnist", "--samples", 20).stdout


def test_compare_of_what_is_kept_measures_nothing(home: Home) -> None:
    rows = document(home, "compare", "--kept")["rows"]
    assert {row["name"]: row["samples_mark"] for row in rows} == dict.fromkeys(
        ["vae-mnist", "gan-mnist", "draw-mnist", "pixelcnn-mnist"], "not measured"
    )
    assert all(row["quality"] is None and row["nats"] is None for row in rows)


def test_without_a_judge_there_is_a_reason_and_a_way(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GENLIB_JUDGES", str(tmp_path / "judges"))
    found = document(home, "evaluate", "gan-mnist")
    assert "genlib judge train mnist" in found["quality"]["reason"]
    assert "genlib judge train mnist" in home.refused("evaluate", "gan-mnist", "--samples", 20)
    assert "few" in home.refused("judge", "train", "mnist")
    assert document(home, "judge") == {"judges": []}


def test_the_judges_that_ship(home: Home) -> None:
    judges = {one["data"]: one for one in document(home, "judge")["judges"]}
    assert judges["mnist"]["version"] == find_judge(data.load("mnist")).version
    assert "mnist" in home.done("judge").stdout


def test_training_a_judge_writes_it_and_its_card(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENLIB_JUDGES", str(tmp_path / "judges"))
    monkeypatch.setattr("genlib.evaluation.classifier.BATCH", 16)
    card = document(home, "judge", "train", "mnist", "--epochs", 1)
    assert set(card["accuracy"]) == {"grey", "dynamic", "threshold"}
    assert card["command"] == "genlib judge train mnist --epochs 1 --seed 0 --threads 1"
    judge = find_judge(data.load("mnist"))
    assert (judge.version, judge.card) == (card["version"], card)
    assert document(home, "judge") == {"judges": [card]}


def test_battles_are_those_of_the_library(home: Home) -> None:
    other = create("wgan-gp", preset="quick", data="mnist")
    checkpoint.save(
        home.folder / "checkpoints" / "wgan-gp-mnist.safetensors", other, other.state_dict(), Origin("mnist")
    )
    found = document(home, "gam", "gan-mnist", "wgan-gp-mnist", "--samples", 30, "--seed", 3)
    digits = data.load("mnist")
    battle = gam(
        genlib.load("gan-mnist"), genlib.load("wgan-gp-mnist"), digits.batch("test", slice(None)),
        samples=30, seed=3, known=digits.batch("validation", slice(1000)),
    )  # fmt: skip
    assert [one["first"] + one["second"] for one in found["battles"]] == ["gan-mnistwgan-gp-mnist"]
    expected = json.loads(json.dumps(battle.as_json())) | {"winner": found["battles"][0]["winner"]}
    assert {key: found["battles"][0][key] for key in expected} == expected
    assert (
        found["battles"][0]["winner"] == {"first": "gan-mnist", "second": "wgan-gp-mnist", "tie": None}[battle.winner]
    )
    assert "sample errors" in home.done("gam", "gan-mnist", "wgan-gp-mnist", "--samples", 30).stdout


@pytest.mark.parametrize(
    ("names", "said"),
    [(["gan-mnist"], "two different models"), (["gan-mnist", "vae-mnist"], "vae-mnist"), (["gan-mnist", "nobody"], "nobody")],
)  # fmt: skip
def test_battles_that_cannot_be(home: Home, names: list[str], said: str) -> None:
    assert said in home.refused("gam", *names)


def test_one_shot_is_for_models_that_take_an_example(home: Home) -> None:
    assert "conditioning by example" in home.refused("one-shot", "vae-mnist")
    assert "--k" in home.done("one-shot", "--help").stdout
