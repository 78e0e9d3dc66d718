"""What the commands do when all is well."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cli_home import CHECKPOINTS, TEST_IMAGES, Home
from PIL import Image

import genlib
from genlib import data
from genlib.models import catalogue
from genlib.training import checkpoint
from genlib.training.run import Run


def document(home: Home, *arguments: object) -> Any:
    """The one JSON document of a command; anything besides it on stdout, and any NaN, fails."""

    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(home.done(*arguments, "--json").stdout, parse_constant=no_constant)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


# --- help ------------------------------------------------------------------------------------------------------------

COMMANDS = [
    "models",
    "data",
    "train",
    "stop",
    "runs",
    "sample",
    "complete",
    "compress",
    "decompress",
    "sizes",
    "evaluate",
    "compare",
    "bench",
    "publish",
    "judge",
]


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["data", "fetch"], ["judge", "train"]])
def test_every_command_explains_itself(home: Home, command: list[str]) -> None:
    shown = home.done(*command, "--help").stdout
    assert "Usage:" in shown
    assert "--help" in shown


def test_no_command_shows_all_of_them(home: Home) -> None:
    shown = home.done().stdout
    assert all(name in shown for name in COMMANDS)


def test_version(home: Home) -> None:
    assert home.done("--version").stdout.strip() == f"genlib {genlib.__version__}"


# --- what there is ---------------------------------------------------------------------------------------------------


def test_models(home: Home) -> None:
    found = {one["name"]: one for one in document(home, "models")["models"]}
    assert list(found) == catalogue.names()
    for name, one in found.items():
        kind = catalogue.get(name)
        assert one["family"] == kind.family
        assert set(one["presets"]) == set(kind.presets)
        assert {preset["failure"] for preset in one["presets"].values()} <= {True, False}
        assert all(preset["notice"] for preset in one["presets"].values())
        assert one["checkpoints"] == [shipped for shipped in CHECKPOINTS if shipped == f"{name}-mnist"]
        assert set(one["fields"]) == set(kind.Config.model_fields)
    assert found["vae"]["parameters"] == {"encoder": 494_244, "decoder": 56_385, "total": 550_629}
    assert found["gan"]["parameters"] == {"generator": 1_489_936, "discriminator": 533_505, "total": 2_023_441}
    assert found["pixelcnn"]["presets"]["tutorial"]["parameters"]["total"] == 532_673
    assert "completion" in found["pixelcnn"]["abilities"]
    assert "completion" not in found["gan"]["abilities"]


def test_one_model_in_words(home: Home) -> None:
    shown = home.done("models", "vae").stdout
    assert all(word in shown for word in ("beta", "0 .. 1000", "kl-collapse (fails)", "1312.6114", "vae-mnist"))


def test_a_broken_checkpoint_does_not_hide_the_others(home: Home) -> None:
    (home.folder / "checkpoints" / "vae-mnist-broken.safetensors").write_bytes(b"nothing")
    found = {one["name"]: one["checkpoints"] for one in document(home, "models")["models"]}
    assert found["vae"] == ["vae-mnist"]


def test_data(home: Home) -> None:
    found = {one["name"]: one for one in document(home, "data")["data"]}
    assert list(found) == list(data.DATASETS)
    assert found["mnist"]["sizes"] == {"train": 54, "validation": 10, "test": TEST_IMAGES}
    assert found["mnist"]["shape"] == [1, 28, 28]
    assert found["mnist"]["fetched"] is True
    assert found["cifar10"]["fetched"] is False
    assert found["cifar10"]["sizes"] is None
    assert "genlib data fetch cifar10" in home.done("data").stdout


def test_fetching_what_is_here_gives_its_path(home: Home) -> None:
    assert Path(home.done("data", "fetch", "mnist").stdout.strip()).name == "mnist.npz"


# --- using a checkpoint ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_sample_writes_the_models_images(home: Home, name: str) -> None:
    home.done("sample", name, "-n", 5, "--seed", 3, "--temperature", 0.5, "--out", "grid.png", "--scale", 2)
    images = genlib.load(name).sample(5, seed=3, temperature=0.5)
    wanted = torch.zeros(6, 28, 28)
    wanted[:5] = images[:, 0]
    sheet = wanted.view(2, 3, 28, 28).permute(0, 2, 1, 3).reshape(56, 84)
    found = pixels(home.folder / "grid.png")
    assert found.shape == (112, 168)
    assert np.array_equal(found[::2, ::2], found[1::2, 1::2])
    assert np.abs(found[::2, ::2] - (sheet * 255).numpy()).max() <= 0.51


def test_the_same_seed_gives_the_same_file(home: Home) -> None:
    for out, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        home.done("sample", "vae-mnist", "-n", 4, "--seed", seed, "--out", out)
    a, b, c = ((home.folder / name).read_bytes() for name in ("a.png", "b.png", "c.png"))
    assert a == b != c


def test_a_checkpoint_is_a_name_a_run_or_a_path(home: Home, trained: Callable[..., str]) -> None:
    run = trained("vae")
    path = Run.open(run).checkpoint
    for name in (run, path, path.parent, home.folder / "checkpoints" / "vae-mnist.safetensors"):
        home.done("sample", name, "-n", 1, "--out", "one.png")


def test_complete_keeps_what_is_known(home: Home) -> None:
    home.done("complete", "pixelcnn-mnist", "mnist:test:3", "--mask", "left-half", "-n", 2, "--out", "out.png")
    found = pixels(home.folder / "out.png").reshape(28, 3, 28).transpose(1, 0, 2) / 255
    digit = data.load("mnist").batch("test", slice(3, 4))[0, 0].numpy()
    assert np.allclose(found[0, :, 14:], digit[:, 14:], atol=0.01)
    assert np.allclose(found[0, :, :14], 0.5, atol=0.01)
    bits = (digit * 255 >= 0.33 * 256).astype(float)
    for completion in found[1:]:
        assert np.array_equal(completion[:, 14:], bits[:, 14:])
        assert set(np.unique(completion)) <= {0.0, 1.0}
    assert not np.array_equal(found[1], found[2])


def test_complete_a_picture_with_a_mask_image(home: Home) -> None:
    ink = np.full((56, 56), 255, dtype=np.uint8)
    ink[20:36, 24:32] = 0  # dark ink on paper
    Image.fromarray(ink).save(home.folder / "drawing.png")
    mask = np.full((28, 28), 255, dtype=np.uint8)
    mask[:4] = 0
    Image.fromarray(mask).save(home.folder / "mask.png")
    home.done("complete", "pixelcnn-mnist", "drawing.png", "--mask", "mask.png", "-n", 1, "--out", "out.png")
    found = pixels(home.folder / "out.png") / 255
    wanted = np.zeros((28, 28))
    wanted[10:18, 12:16] = 1
    assert np.array_equal(found[4:, 28:], wanted[4:])
    assert np.allclose(found[:4, :28], 0.5, atol=0.01)


LIKELIHOOD = {"model", "checkpoint", "data", "binarisation", "bits_per_dim", "images", "seconds", "standard_error"}


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("pixelcnn-mnist", LIKELIHOOD | {"nll_nats", "nats_per_pixel", "per_pixel_accuracy"}),
        ("vae-mnist", LIKELIHOOD | {"elbo_nats", "iwae_nats", "k", "reconstruction_nats", "kl_nats"}),
        ("draw-mnist", LIKELIHOOD | {"elbo_nats", "iwae_nats", "k", "reconstruction_nats", "kl_nats"}),
    ],
)
def test_evaluate(home: Home, name: str, keys: set[str]) -> None:
    found = document(home, "evaluate", name, "--k", 2, "--no-samples")
    assert keys <= set(found)
    assert (found["checkpoint"], found["data"], found["images"]) == (name, "mnist", TEST_IMAGES)
    nats = found.get("nll_nats") or found["elbo_nats"]
    assert nats == pytest.approx(found["bits_per_dim"] * math.log(2) * 784, abs=1e-2)
    assert 400 < nats < 700  # untrained: near 784 ln 2
    assert found["parameters"]["total"] == sum(p.numel() for p in genlib.load(name).parameters())


def test_evaluate_agrees_with_the_library(home: Home) -> None:
    model, test = genlib.load("pixelcnn-mnist"), data.load("mnist")
    nll = -model.log_prob(test.binary("test", "threshold")).double().mean()
    assert document(home, "evaluate", "pixelcnn-mnist", "--no-samples")["nll_nats"] == pytest.approx(
        float(nll), abs=1e-3
    )
    found = document(home, "evaluate", "pixelcnn-mnist", "--split", "validation", "--images", 4, "--no-samples")
    nll = -model.log_prob(test.binary("validation", "threshold", 4)).double().mean()
    assert found["images"] == 4
    assert found["nll_nats"] == pytest.approx(float(nll), abs=1e-3)


def test_adversarial_models_have_no_likelihood(home: Home) -> None:
    found = document(home, "evaluate", "gan-mnist", "--no-samples")
    assert found["nll_nats"] is None
    assert found["bits_per_dim"] is None
    assert found["reason"] == "no likelihood"
    assert "no likelihood" in home.done("evaluate", "gan-mnist", "--no-samples").stdout


def test_bench(home: Home) -> None:
    found = document(home, "bench", "vae-mnist", "gan-mnist", "-n", 2, "--seconds", 0)
    assert found["machine"]
    assert [one["checkpoint"] for one in found["results"]] == ["vae-mnist", "gan-mnist"]
    for one in found["results"]:
        assert one["images"] == 2
        assert one["samples_per_second"] > 0
        assert one["forward_seconds"] > 0
        assert one["parameters"]["total"] > 0


# --- runs ------------------------------------------------------------------------------------------------------------


def test_train_then_list(home: Home, trained: Callable[..., str]) -> None:
    trained("vae", "--set", "beta=0.5", "--preset", "quick", "--seed", 7, run="first")
    found = document(home, "runs")["runs"]
    assert [one["name"] for one in found] == ["first"]
    assert found[0]["state"] == "finished"
    assert (found[0]["step"], found[0]["total_steps"]) == (3, 3)
    assert (found[0]["model"], found[0]["data"], found[0]["preset"], found[0]["seed"]) == ("vae", "mnist", "quick", 7)
    assert found[0]["config"]["beta"] == 0.5
    assert set(found[0]["terms"]) == set(catalogue.get("vae").terms)
    assert found[0]["error"] == ""
    assert document(home, "runs", "first")["runs"] == found


def test_the_recorded_command_makes_the_same_run_again(home: Home, trained: Callable[..., str]) -> None:
    import shlex

    run = Run.open(
        trained("pixelcnn", "--set", "hidden=4", "--set", "blocks=0", "--set", "head=4", "--set", "precision=32")
    )
    words = shlex.split(run.config.command)
    assert words[0] == "genlib"
    assert words[-2:] == ["--run", run.name]
    home.done(*words[1:-1], "again")
    weights = [genlib.load(name).state_dict() for name in (run.name, "again")]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_runs_get_names_of_their_own(home: Home) -> None:
    for _ in range(2):
        home.done("train", "gan", "--steps", 1, "--set", "batch_size=16", "--set", "generator_width=4", "--threads", 1)
    assert {run.name for run in map(Run, (home.folder / "runs").iterdir())} == {"gan-1", "gan-2"}


def test_fields_with_a_few_values_take_numbers(home: Home) -> None:
    """`first_kernel` is one of the numbers 3, 5, 7, ...; `precision` one of the words auto, 32, bf16."""
    home.done(
        "train", "pixelcnn", "--run", "p", "--steps", 1, "--threads", 1, "--set", "first_kernel=5",
        "--set", "precision=32", "--set", "hidden=4", "--set", "blocks=0", "--set", "head=4", "--set", "batch_size=8",
    )  # fmt: skip
    assert Run.open("p").config.config["first_kernel"] == 5
    assert Run.open("p").config.config["precision"] == "32"


def test_resume_with_a_new_limit(home: Home, trained: Callable[..., str]) -> None:
    run = trained("vae")
    home.done("train", "--resume", run, "--steps", 5)
    assert Run.open(run).status.step == 5
    whole = trained("vae", run="whole")
    home.done("train", "--resume", whole, "--steps", 5)
    weights = [genlib.load(name).state_dict() for name in (run, whole)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_a_run_can_begin_with_the_weights_of_a_checkpoint(home: Home, trained: Callable[..., str]) -> None:
    first = trained("vae", "--seed", 7, run="first")
    second = trained("vae", "--from", first, "--set", "learning_rate=1e-12", run="second")
    before, after = (genlib.load(name).state_dict() for name in (first, second))
    assert all(torch.allclose(before[key], after[key], atol=1e-6) for key in before)
    origin = checkpoint.read_header(Run.open(second).checkpoint).origin
    assert origin.images_seen == 6 * 16
    assert origin.earlier == [Run.open(first).config.command]
    assert "--from first" in origin.command


def test_runs_for_tensorboard(home: Home, trained: Callable[..., str]) -> None:
    trained("gan", "--set", "generator_width=4")
    home.done("runs", "--tensorboard", "board")
    assert list((home.folder / "board" / "my-run").rglob("*tfevents*"))


def test_runs_of_a_damaged_folder_are_listed_with_what_is_wrong(home: Home, trained: Callable[..., str]) -> None:
    trained("gan", "--set", "generator_width=4", run="good")
    bad = home.folder / "runs" / "bad"
    bad.mkdir()
    (bad / "config.json").write_text("{")
    found = {one["name"]: one for one in document(home, "runs")["runs"]}
    assert "config.json" in found["bad"]["error"]
    assert found["good"]["state"] == "finished"


def test_publish_then_evaluate_gives_the_score_of_the_card(home: Home, trained: Callable[..., str]) -> None:
    for run, name in ((trained("vae", run="a"), "vae-mnist-small"), (trained("gan", run="b"), "gan-mnist-small")):
        card = document(home, "publish", run, name, "--notes", "A test.", "--samples", 30)
        assert card == checkpoint.read_card(name)
        assert card["score_command"] == f"genlib evaluate {name}"
        found = document(home, "evaluate", name, "--samples", 30)
        assert {key: found[key] for key in card["scores"]} == card["scores"]
        times = {"seconds", "samples_per_second"}
        assert {key: found["quality"][key] for key in card["quality"] if key not in times} == {
            key: value for key, value in card["quality"].items() if key not in times
        }
        assert card["command"].startswith("genlib train")
        assert (card["step"], card["seed"], card["images_seen"], card["notes"]) == (3, 0, 48, "A test.")
        assert name in document(home, "models", card["model"])["models"][0]["checkpoints"]
