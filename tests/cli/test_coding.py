"""``genlib compress``, ``decompress``, ``sizes``: files that come back, and one sentence for everything that is wrong."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from cli_home import Home
from PIL import Image

from genlib.codec import calibration
from genlib.codec.container import Container
from genlib.codec.tables import BITS
from genlib.models import create
from genlib.training import checkpoint
from genlib.training.checkpoint import Origin

MODEL = "pixelcnn-mnist"


def digit(path: Path, seed: int = 0, size: tuple[int, int] = (28, 28), mode: str = "L") -> Path:
    """A black and white picture."""
    bright = np.random.default_rng(seed).random(size[::-1]) < 0.2
    Image.fromarray((bright * 255).astype(np.uint8)).convert(mode).save(path)
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file.convert("L"))


def compressed(home: Home, source: object, out: str = "out.glc", *options: object) -> Path:
    home.done("compress", source, out, "--model", MODEL, *options)
    return home.folder / out


def test_a_picture_comes_back(home: Home) -> None:
    picture = digit(home.folder / "digit.png")
    found = json.loads(home.done("compress", picture, "out.glc", "--model", MODEL, "--json").stdout)
    assert found["kind"] == "lossless"
    assert found["checkpoint"] == MODEL
    assert (found["images"], found["shape"]) == (1, [1, 28, 28])
    assert found["bytes"] == (home.folder / "out.glc").stat().st_size
    assert found["bytes"] == found["payload_bytes"] + found["header_bytes"]
    assert found["bits_per_dim"] == pytest.approx(8 * found["payload_bytes"] / 784)
    home.done("decompress", "out.glc", "back.png")
    assert (pixels(home.folder / "back.png") == pixels(picture)).all()


def test_a_folder_goes_into_one_file_and_comes_back_with_its_names(home: Home) -> None:
    (home.folder / "in").mkdir()
    for seed, name in enumerate(("b.png", "a.bmp", "ü.gif")):
        digit(home.folder / "in" / name, seed)
    (home.folder / "in" / ".hidden").write_text("nothing")
    out = compressed(home, "in")
    assert Container.from_bytes(out.read_bytes()).names == ("a.bmp", "b.png", "ü.gif")
    found = json.loads(home.done("decompress", out, "back", "--json").stdout)
    assert [Path(one).name for one in found["pictures"]] == ["a.png", "b.png", "ü.png"]
    for name, back in (("b.png", "b.png"), ("a.bmp", "a.png"), ("ü.gif", "ü.png")):
        assert (pixels(home.folder / "back" / back) == pixels(home.folder / "in" / name)).all()
    compressed(home, "in", "bare.glc", "--no-names")
    home.done("decompress", "bare.glc", "numbered")
    assert sorted(one.name for one in (home.folder / "numbered").iterdir()) == ["0.png", "1.png", "2.png"]


def test_names_that_differ_in_their_ending_only_stay_apart(home: Home) -> None:
    (home.folder / "in").mkdir()
    for name in ("a.png", "a.gif"):
        digit(home.folder / "in" / name)
    home.done("decompress", compressed(home, "in"), "back")
    assert sorted(one.name for one in (home.folder / "back").iterdir()) == ["a.gif.png", "a.png.png"]


def test_images_of_a_data_set(home: Home) -> None:
    compressed(home, "mnist:test:3-9")
    home.done("decompress", "out.glc", "back")
    assert len(list((home.folder / "back").iterdir())) == 7


def test_another_picture_is_brought_into_shape_on_request(home: Home) -> None:
    picture = digit(home.folder / "large.png", size=(84, 56), mode="RGB")
    assert "84 x 56 pixels, but this pixelcnn works on 28 x 28: resize it, or add --fit" in home.refused(
        "compress", picture, "out.glc", "--model", MODEL
    )
    home.done("decompress", compressed(home, picture, "out.glc", "--fit"), "back.png")
    assert pixels(home.folder / "back.png").shape == (28, 28)


def test_a_checkpoint_at_a_path_is_named_by_the_reader(home: Home) -> None:
    path = home.folder / "checkpoints" / f"{MODEL}.safetensors"
    os.link(path, home.folder / "mine.safetensors")
    picture = digit(home.folder / "digit.png")
    home.done("compress", picture, "out.glc", "--model", "mine.safetensors")
    assert "no checkpoint named 'mine'" in home.refused("decompress", "out.glc", "back.png")
    home.done("decompress", "out.glc", "back.png", "--model", "mine.safetensors")
    assert (pixels(home.folder / "back.png") == pixels(picture)).all()


def test_a_lossy_file_keeps_to_its_bits(home: Home, trained) -> None:
    model = trained("conv-draw", "--set", "steps=2", "--set", "hidden=4", "--set", "latent=2", "--set", "read=4")
    found = json.loads(
        home.done("compress", "mnist:test:0-2", "out.glc", "--model", model, "--bits", 120, "--json").stdout
    )
    assert found["kind"] == "lossy"
    assert found["bits_per_image"] <= 120
    home.done("decompress", "out.glc", "drawn", "--seed", 1)
    home.done("decompress", "out.glc", "again", "--seed", 1)
    home.done("decompress", "out.glc", "mean", "--mean")
    drawn, again, mean = (
        [pixels(home.folder / name / f"{i}.png") for i in range(3)] for name in ("drawn", "again", "mean")
    )
    assert np.array_equal(drawn, again)
    assert np.shape(mean) == (3, 28, 28)
    assert "say how many bits a picture" in home.refused("compress", "mnist:test:0", "o", "--model", model)
    assert "leave --label out" in home.refused(
        "compress", "mnist:test:0", "o", "--model", model, "--bits", 99, "--label", 1
    )


def test_sizes_hold_the_formats_against_each_other(home: Home) -> None:
    result = json.loads(home.done("sizes", MODEL, "--images", 3, "--json").stdout)["results"][0]
    assert [row["name"] for row in result["rows"]] == [MODEL, "PNG", "WebP", "JPEG XL"]
    rows = {row["name"]: row for row in result["rows"]}
    assert result["smaller than PNG"]["all in one file"] == pytest.approx(
        1 - rows[MODEL]["batch"] / rows["PNG"]["batch"]
    )
    assert "all in one file" in home.done("sizes", MODEL, "--images", 2).stdout
    assert "no exact likelihood pixel by pixel" in home.refused("sizes", "vae-mnist")


@pytest.fixture
def coder(home: Home, monkeypatch: pytest.MonkeyPatch) -> str:
    """An untrained conv-draw among the shipped checkpoints, and no code tables."""
    monkeypatch.setenv("GENLIB_CODES", str(home.folder / "codes"))
    model = create("conv-draw", data="mnist", steps=2, hidden=4, latent=2, read=4, patch=7)
    path = home.folder / "checkpoints" / "conv-draw-small.safetensors"
    checkpoint.save(path, model, model.state_dict(), Origin("mnist"))
    return path.stem


def test_counted_codes_are_those_that_files_are_written_with(
    home: Home, coder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "GRIDS", (calibration.GRID,))  # a search of two places is enough here
    monkeypatch.setattr(calibration, "GAINS", (calibration.GAIN,))
    home.done("compress", "mnist:test:0-2", "before.glc", "--model", coder, "--bits", 60)
    found = json.loads(home.done("calibrate", coder, "--images", 16, "--json").stdout)
    assert found["images"] == 10, "the validation pictures of these tests' data"
    assert [rate["bits"] for rate in found["rates"]] == list(BITS)
    assert all(1 <= rate["steps"] <= 2 and rate["grid"] > 0 and rate["gain"] > 0 for rate in found["rates"])
    assert Path(found["file"]) == home.folder / "codes" / f"{coder}.safetensors"
    home.done("compress", "mnist:test:0-2", "after.glc", "--model", coder, "--bits", 60)
    home.done("decompress", "after.glc", "back")
    assert len(list((home.folder / "back").iterdir())) == 3
    assert "other code tables" in home.refused("decompress", "before.glc", "again")
    assert "'vae-mnist' is a vae, which has no stepwise code" in home.refused("calibrate", "vae-mnist")


def test_distortion_is_measured_kept_and_drawn(home: Home, coder: str) -> None:
    arguments = ("distortion", coder, "--images", 2, "--bits", 60, "--bits", 3000)
    result = json.loads(home.done(*arguments, "--keep", "--plot", "curve.png", "--json").stdout)
    assert result["command"] == f"genlib distortion {coder} --images 2 --bits 60 --bits 3000"
    assert {point["budget"] for point in result["points"]} == {60, 3000}
    for point in result["points"]:
        if point["coder"].startswith("conv-draw") and not point["headers"]:  # which alone have more than 60 bits
            assert point["bits"] <= point["budget"]
    assert json.loads(home.done("distortion", coder, "--kept", "--plot", "again.png", "--json").stdout) == result
    for name in ("curve.png", "again.png"):
        assert pixels(home.folder / name).shape[1] > 1000, "two panels"
    assert "headers not counted" in home.done("distortion", coder, "--kept").stdout


def test_what_has_no_distortion(home: Home, coder: str) -> None:
    kept = home.folder / "checkpoints" / f"{coder}.distortion.json"
    for arguments, sentence in (
        (("vae-mnist",), "'vae-mnist' is a vae, which has no stepwise code"),
        ((coder, "--bits", "0"), "greater than or equal to 1"),
        ((coder, "--plot", "curve.jpg"), "--plot curve.jpg is not a .png file"),
        ((coder, "--kept"), f"measure it with `genlib distortion {coder} --keep`"),
        ((coder, "--kept", "--keep"), "--kept measures nothing"),
        (("no-run", "--keep"), "'no-run' has no card to keep a result beside"),
    ):
        assert sentence in home.refused("distortion", *arguments), arguments
    for damaged in (
        "",
        "[]",
        '{"points": []}',
        '{"command": "", "machine": "", "data": "", "images": 1, "header": 1, "points": [1]}',
    ):
        kept.write_text(damaged)
        assert f"measure it again with `genlib distortion {coder} --keep`" in home.refused(
            "distortion", coder, "--kept"
        )


# --- whatever is wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("digit.png", "o", "--model", "nothing"), "no checkpoint named 'nothing'"),
        (("digit.png", "o"), "Missing option '--model'"),
        (("digit.png", "o", "--model", "gan-mnist"), "'gan-mnist' is a gan, which cannot compress"),
        (("digit.png", "o", "--model", MODEL, "--bits", "307"), "leave --bits out"),
        (("digit.png", "o", "--model", MODEL, "--label", "3"), "leave label 3 out"),
        (("digit.png", "no/o", "--model", MODEL), "OUT no/o cannot be written: the folder no does not exist"),
        (("digit.png", "in", "--model", MODEL), "OUT in is a folder"),
        (("missing.png", "o", "--model", MODEL), "missing.png does not exist"),
        (("text.png", "o", "--model", MODEL), "text.png is not a picture"),
        (("in", "o", "--model", MODEL), "The folder in holds no files"),
        (("grey.png", "o", "--model", MODEL), "images of black and white"),
        (("colour.png", "o", "--model", MODEL), "has colours, but this pixelcnn works on grey pictures"),
        (("clear.png", "o", "--model", MODEL), "partly transparent"),
        (("mnist:best:1", "o", "--model", MODEL), "no split 'best'"),
        (("mnist:test:7-3", "o", "--model", MODEL), "has the images 0 to 23"),
        (("mnist:test:24", "o", "--model", MODEL), "has the images 0 to 23"),
    ],
)
def test_what_cannot_be_compressed(home: Home, arguments: tuple[str, ...], sentence: str) -> None:
    (home.folder / "in").mkdir()
    digit(home.folder / "digit.png")
    Image.new("L", (28, 28), 100).save(home.folder / "grey.png")
    Image.new("RGB", (28, 28), (255, 0, 0)).save(home.folder / "colour.png")
    Image.new("RGBA", (28, 28)).save(home.folder / "clear.png")
    (home.folder / "text.png").write_text("no picture")
    assert sentence in home.refused("compress", *arguments)
    assert not (home.folder / "o").exists()


def test_what_cannot_be_decompressed(home: Home) -> None:
    picture = digit(home.folder / "digit.png")
    whole = compressed(home, picture).read_bytes()
    container = Container.from_bytes(whole)
    for name, data, sentence in (
        ("foreign", picture.read_bytes(), "no file that genlib compressed"),
        ("cut", whole[:-5], "cut short"),
        ("corrupted", whole[:-9] + b"\x00" + whole[-8:], "corrupted"),
        ("elsewhere", container.renamed("../../x").to_bytes(), "no checkpoint named '../../x'"),
        ("stranger", container.renamed("vae-mnist").to_bytes(), "vae has no exact likelihood"),
        ("hand", container.renamed(MODEL, ["../x.png"]).to_bytes(), "as if they lay in other folders"),
    ):
        (home.folder / name).write_bytes(data)
        target = "new" if name == "hand" else "back.png"
        assert sentence in home.refused("decompress", name, target), name
    (home.folder / "full").mkdir()
    digit(home.folder / "full" / "x.png")
    compressed(home, "mnist:test:0-1", "two.glc")
    for arguments, sentence in (
        (("missing.glc", "back.png"), "missing.glc does not exist: give a file that `genlib compress` wrote"),
        ((".", "back.png"), ". is not a file"),
        (("out.glc", "no/back.png"), "the folder no does not exist"),
        (("out.glc", "back.jpg"), "give a .png name"),
        (("two.glc", "back.png"), "holds 2 pictures: give a folder"),
        (("two.glc", "full"), "no empty folder"),
        (("two.glc", "no/new"), "the folder no does not exist"),
        (("out.glc", "back.png", "--model", "gan-mnist"), "gan has no exact likelihood"),
    ):
        assert sentence in home.refused("decompress", *arguments), arguments
    assert not (home.folder / "back.png").exists()


def test_other_weights_are_refused(home: Home, trained) -> None:
    picture = digit(home.folder / "digit.png")
    compressed(home, picture)
    other = trained("pixelcnn", "--set", "hidden=4", "--set", "blocks=1", "--set", "head=4")
    assert "other weights than these of pixelcnn" in home.refused("decompress", "out.glc", "b.png", "--model", other)
