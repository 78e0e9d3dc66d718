"""`genlib data import`: a zip becomes a data set that other commands know; bad input is one sentence."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cli_home import Home
from PIL import Image


@pytest.fixture
def album(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zip of 24 pictures in two folders, and a text; the data folder is this test's own."""
    monkeypatch.setenv("GENLIB_DATA", str(home.folder / "data"))
    path, random = home.folder / "album.zip", np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "text")
        for i in range(24):
            file = io.BytesIO()
            Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)).save(file, "PNG")
            archive.writestr(f"{'ab'[i % 2]}/{i}.png", file.getvalue())
    return path


def test_import_list_and_remove(home: Home, album: Path) -> None:
    made = json.loads(home.done("data", "import", album, "--name", "mine", "--size", 12, "--grey", "--json").stdout)
    assert made["shape"] == [1, 12, 12]
    assert made["classes"] == ["a", "b"]
    assert sum(made["sizes"].values()) == 24
    assert made["left_out"] == {"no picture that can be read": 1}
    listed = {one["name"]: one for one in json.loads(home.done("data", "--json").stdout)["data"]}
    assert listed["mine"]["sizes"] == made["sizes"]
    assert "already" in home.refused("data", "import", album, "--name", "mine")
    again = home.done("data", "import", album, "--name", "mine", "--size", 8, "--replace")
    assert Path(again.stdout.strip()).name == "mine.npz"
    assert "1 no picture" in again.stderr
    home.done("data", "remove", "mine")
    assert "mine" not in home.done("data").stdout
    assert "mine" in home.refused("data", "remove", "mine")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.zip", "--name", "mine"], ["nowhere.zip", "does not exist"]),
        (["album.zip", "--name", "mnist"], ["mnist", "comes with genlib"]),
        (["album.zip", "--name", "../up"], ["../up", "cannot name"]),
        (["album.zip", "--name", "mine", "--size", "500"], ["500", "8 to 128"]),
        (["album.zip"], ["--name"]),
        (["checkpoints/vae-mnist.safetensors", "--name", "mine"], ["vae-mnist", "not a whole zip"]),
    ],
)
def test_bad_input_is_one_sentence(
    home: Home, album: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    monkeypatch.chdir(home.folder)
    sentence = home.refused("data", "import", *arguments)
    assert all(word in sentence for word in words), sentence
    assert not (home.folder / "data" / "own").exists()
