"""The judge learns, knows its data in every form, and is read back as it was written or refused in one sentence."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from small_judge import bars, small_judge

from genlib.data import Dataset, load
from genlib.errors import GenlibError
from genlib.evaluation import classifier, find_judge, judges
from genlib.evaluation.classifier import architecture_for, mixed, moved
from genlib.evaluation.forms import check_form, code, sample_form
from genlib.models import create


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- forms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "form"),
    [
        ("vae", {}, "grey"),
        ("gan", {}, "grey"),
        ("draw", {}, "grey"),
        ("pixelcnn", {}, "threshold"),
        ("pixelcnn", {"binarisation": "dynamic"}, "dynamic"),
        ("row-lstm", {"binarisation": "static"}, "dynamic"),
        ("pixelcnn", {"levels": 4}, "4 levels"),
        ("pixelcnn", {"levels": 256, "channels": 3}, "colour"),
    ],
)
def test_the_form_of_what_a_model_draws(name: str, values: dict[str, Any], form: str) -> None:
    assert sample_form(create(name, height=4, width=4, **values).config) == form


@pytest.mark.parametrize("form", ["grey", "dynamic", "threshold", "4 levels", "16 levels"])
def test_coding_twice_is_coding_once(form: str) -> None:
    images = torch.rand(3, 1, 6, 6, generator=generator())
    once = code(images, form, generator(1))
    assert torch.equal(code(once, form, generator(2)), once)
    values = len(once.unique())
    assert values == {"grey": 108, "dynamic": 2, "threshold": 2, "4 levels": 4}.get(form, values)


@pytest.mark.parametrize(
    ("form", "channels"), [("dynamic", 3), ("colour", 1), ("2 levels", 1), ("fine", 3), ("256 levels", 1)]
)
def test_a_form_that_pictures_cannot_take(form: str, channels: int) -> None:
    with pytest.raises(GenlibError, match=f"no form '{form}'; choose one of"):
        check_form(form, channels)


# --- training --------------------------------------------------------------------------------------------------------


def test_a_judge_learns_two_classes_in_every_form() -> None:
    data = bars(320)
    network = classifier.train(data, epochs=6, learning_rate=1e-2)
    assert classifier.accuracies(network, data) == {"grey": 1, "dynamic": pytest.approx(1, abs=0.02), "threshold": 1}
    again = classifier.train(data, epochs=6, learning_rate=1e-2)
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_moved_pictures_are_windows_of_the_padded_picture() -> None:
    images = torch.rand(20, 2, 6, 5, generator=generator())
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    offsets = set()
    for image, whole in zip(moved(images, generator(1), mirror=False), padded, strict=True):
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(whole[:, y : y + 6, x : x + 5], image)]
        assert len(found) == 1
        offsets.update(found)
    assert len(offsets) > 8


def test_a_mirrored_picture_is_the_picture_or_its_mirror_image() -> None:
    images = torch.zeros(200, 1, 8, 8)
    images[:, :, 3:5, 2] = 1  # left of the middle; two pixels at most either way leave it on its side or cross by one
    moved_images = moved(images, generator(), mirror=True)
    columns = moved_images.sum((1, 2)).argmax(1)
    assert set(columns.tolist()) == {0, 1, 2, 3, 4, 5, 6, 7}
    assert torch.equal(moved_images.sum((1, 2, 3)), torch.full((200,), 2.0))


def test_a_batch_is_seen_in_all_forms() -> None:
    images = 0.2 + 0.6 * torch.rand(8, 1, 4, 4, generator=generator())
    seen = mixed(images, generator(1))
    assert torch.equal(seen[:4], images[:4])
    assert set(seen[4:].unique().tolist()) == {0, 1}
    assert torch.equal(seen[6:], (images[6:] * 255 >= 0.33 * 256).float())


def test_features_do_not_depend_on_the_batch() -> None:
    network = small_judge().network
    images = torch.rand(30, 1, 8, 8, generator=generator())
    whole = network.judge(images)
    assert torch.allclose(network.judge(images[7:9]).features, whole.features[7:9], atol=1e-6)
    assert whole.logits.shape == (30, 2)
    assert torch.equal(whole.classes, whole.logits.argmax(1))


def test_a_data_set_without_shared_classes_has_no_judge() -> None:
    data = bars(20)
    data.info = replace(data.info, unseen=True)
    with pytest.raises(GenlibError, match=r"bars has no two classes .* --no-samples"):
        architecture_for(data)


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENLIB_JUDGES", str(tmp_path))
    return tmp_path


def write(folder: Path, **changes: object) -> Path:
    network = small_judge().network
    header = judges.header(network, "bars")
    if changes:
        value = json.loads(header[judges.METADATA])
        value["architecture"].update(changes)
        header = {judges.METADATA: json.dumps(value)}
    path = folder / "bars.safetensors"
    save_file(network.state_dict(), path, header)
    return path


def test_a_judge_is_read_as_it_was_written(folder: Path) -> None:
    path = write(folder)
    (folder / "bars.json").write_text('{"accuracy": {"grey": 0.5}}')
    found, own = find_judge(bars(20)), small_judge().network
    assert all(torch.equal(found.network.state_dict()[key], value) for key, value in own.state_dict().items())
    assert not found.network.training
    assert found.version == judges.version_of(path)
    assert found.card == {"accuracy": {"grey": 0.5}}
    assert judges.available() == ["bars"]


def test_no_judge_says_how_to_get_one(folder: Path) -> None:
    with pytest.raises(GenlibError, match=r"no judge of bars yet.*`genlib judge train bars`.*--no-samples"):
        find_judge(bars(20))


@pytest.mark.parametrize(
    "change", [{"classes": 3}, {"features": 10**9}, {"widths": [1, 2]}, {"shape": "x"}, {"classes": None}]
)
def test_a_judge_with_another_architecture_in_its_header_is_refused(folder: Path, change: dict[str, object]) -> None:
    write(folder, **change)
    with pytest.raises(GenlibError, match=r"cannot be read .* train it again with `genlib judge train bars --replace`"):
        find_judge(bars(20))


def test_a_judge_of_other_pictures_is_refused(folder: Path) -> None:
    """A user's own data set may be made anew, under its old name."""
    write(folder)
    data = bars(20)
    data.info = replace(data.info, shape=(1, 9, 9))
    with pytest.raises(GenlibError, match=r"of shape \(1, 8, 8\) .*`genlib judge train bars --replace`"):
        find_judge(data)


def test_files_that_are_no_judges_are_refused(folder: Path) -> None:
    path = write(folder)
    whole = path.read_bytes()
    for broken in (b"", b"hello", whole[: len(whole) // 2]):
        path.write_bytes(broken)
        with pytest.raises(GenlibError, match="cannot be read"):
            find_judge(bars(20))
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(GenlibError, match="cannot be read"):
        find_judge(bars(20))


# --- those that ship -------------------------------------------------------------------------------------------------


def shipped_data(name: str) -> Dataset:
    try:
        return load(name)
    except GenlibError:
        pytest.skip(f"{name} is not here")


@pytest.mark.parametrize("name", judges.available())
def test_a_shipped_judge_is_as_good_as_its_card_says(name: str) -> None:
    data = shipped_data(name)
    judge = find_judge(data)
    card = judge.card
    assert card["version"] == judge.version
    assert card["bytes"] == (judges.judges_folder() / f"{name}.safetensors").stat().st_size
    assert card["parameters"] == sum(p.numel() for p in judge.network.parameters()) < 500_000
    some, labels = data.batch("test", slice(1000)), data.labels("test")[:1000]
    for form, accuracy in card["accuracy"].items():
        right = float((judge.network.judge(code(some, form, generator())).classes == labels).double().mean())
        assert right == pytest.approx(accuracy, abs=4 * (accuracy * (1 - accuracy) / 1000) ** 0.5 + 1e-3)


def test_the_judge_of_mnist_knows_ninety_nine_digits_of_a_hundred() -> None:
    assert find_judge(load("mnist")).card["accuracy"]["grey"] >= 0.99
