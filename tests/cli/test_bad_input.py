"""Whatever is wrong with the input: exit code 2, one sentence that names it, no traceback, nothing left behind."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_home import Home
from PIL import Image
from safetensors.torch import save_file
from torch import zeros

from genlib.cli import using
from genlib.training import files


def _digit(folder: Path) -> Path:
    Image.new("L", (28, 28)).save(folder / "digit.png")
    return folder / "digit.png"


def _text(folder: Path) -> Path:
    (folder / "notes.png").write_text("not a picture")
    return folder / "notes.png"


def _huge(folder: Path) -> Path:
    Image.new("1", (9000, 9000)).save(folder / "huge.png")
    return folder / "huge.png"


def _heavy(folder: Path) -> Path:
    (folder / "heavy.png").write_bytes(bytes(11 << 20))
    return folder / "heavy.png"


def _cut(folder: Path) -> Path:
    whole = (folder / "checkpoints" / "vae-mnist.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    return folder / "cut.safetensors"


def _foreign(folder: Path) -> Path:
    save_file({"weight": zeros(3)}, folder / "foreign.safetensors")
    return folder / "foreign.safetensors"


def _disguised(folder: Path) -> Path:
    """The header of one model over the weights of another."""
    from safetensors import safe_open

    with safe_open(folder / "checkpoints" / "vae-mnist.safetensors", "pt") as file:
        save_file({"weight": zeros(3)}, folder / "disguised.safetensors", file.metadata())
    return folder / "disguised.safetensors"


def _run_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def _mask(folder: Path) -> Path:
    Image.new("L", (20, 28)).save(folder / "mask.png")
    return folder / "mask.png"


def _occupied(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file" / "out.png"


Argument = str | Callable[[Path], Path]
COMPLETE = ("complete", "pixelcnn-mnist")
CASES: dict[str, tuple[tuple[Argument, ...], str]] = {
    "unknown command": (("paint",), "paint"),
    "unknown option": (("sample", "vae-mnist", "--colour"), "--colour"),
    "missing argument": (("sample",), "CHECKPOINT"),
    "unknown model": (("train", "vea"), "'vea'"),
    "unknown model in the list": (("models", "vea"), "'vea'"),
    "nothing to train": (("train",), "genlib train MODEL"),
    "unknown data": (("train", "vae", "--data", "mnits"), "'mnits'"),
    "data not fetched": (("train", "vae", "--data", "svhn"), "genlib data fetch svhn"),
    "unknown data to fetch": (("data", "fetch", "mnits"), "'mnits'"),
    "unknown preset": (("train", "vae", "--preset", "best"), "'best'"),
    "unknown field": (("train", "vae", "--set", "betta=1"), "'betta'"),
    "field out of bounds": (("train", "vae", "--set", "beta=-1"), "beta = '-1'"),
    "field of another type": (("train", "vae", "--set", "latent=two"), "latent = 'two'"),
    "field that is not a number": (("train", "vae", "--set", "learning_rate=nan"), "learning_rate"),
    "field outside its values": (("train", "pixelcnn", "--set", "first_kernel=4"), "first_kernel"),
    "setting without a value": (("train", "vae", "--set", "beta"), "'beta'"),
    "another shape than the data": (("train", "vae", "--set", "height=30"), "30"),
    "unknown device": (("train", "vae", "--device", "tpu"), "'tpu'"),
    "bad run name": (("train", "vae", "--run", "../escape"), "../escape"),
    "no threads": (("train", "vae", "--threads", "0"), "--threads"),
    "negative minutes": (("train", "vae", "--minutes", "-3"), "--minutes"),
    "seed too large": (("train", "vae", "--seed", "99999999999"), "--seed"),
    "resume an unknown run": (("train", "--resume", "nowhere"), "'nowhere'"),
    "resume another model": (("train", "vae", "--resume", "nowhere"), "MODEL"),
    "resume with other settings": (("train", "--resume", "nowhere", "--set", "beta=1"), "--set"),
    "resume with other weights": (("train", "--resume", "nowhere", "--from", "vae-mnist"), "--from"),
    "begin with unknown weights": (("train", "vae", "--from", "nowhere"), "'nowhere'"),
    "begin with another model's weights": (("train", "vae", "--from", "gan-mnist"), "gan-mnist"),
    "begin with weights of another size": (("train", "vae", "--from", "vae-mnist", "--set", "latent=3"), "latent"),
    "complete with the label of a model without classes": ((*COMPLETE, "mnist:test:1", "--label", "3"), "label 3"),
    "stop an unknown run": (("stop", "nowhere"), "'nowhere'"),
    "list an unknown run": (("runs", "nowhere"), "'nowhere'"),
    "publish an unknown run": (("publish", "nowhere", "vae-mnist-2"), "'nowhere'"),
    "unknown checkpoint": (("sample", "vae-minst"), "'vae-minst'"),
    "no file there": (("sample", "./none.safetensors"), "none.safetensors"),
    "folder without a checkpoint": (("sample", _run_folder), "empty"),
    "truncated checkpoint": (("sample", _cut), "cut.safetensors"),
    "foreign safetensors": (("evaluate", _foreign), "foreign.safetensors"),
    "weights of another model": (("bench", _disguised), "disguised.safetensors"),
    "text as a checkpoint": (("sample", _text), "notes.png"),
    "no images": (("sample", "vae-mnist", "-n", "0"), "-n"),
    "no completions": ((*COMPLETE, "mnist:test:1", "-n", "0"), "-n"),
    "too many images": (("sample", "vae-mnist", "-n", "1000000"), "-n"),
    "label of a model without classes": (("sample", "vae-mnist", "--label", "3"), "label 3"),
    "label out of range": (("sample", "vae-mnist", "--label", "12"), "12"),
    "label that is no number": (("sample", "vae-mnist", "--label", "three"), "--label"),
    "negative temperature": (("sample", "vae-mnist", "--temperature", "-1"), "--temperature"),
    "temperature nan": (("sample", "pixelcnn-mnist", "--temperature", "nan"), "temperature"),
    "not a PNG name": (("sample", "vae-mnist", "--out", "grid.jpg"), "grid.jpg"),
    "no such folder": (("sample", "vae-mnist", "--out", "no/such/grid.png"), "no/such"),
    "a folder as output": (("sample", "vae-mnist", "--out", "checkpoints"), "checkpoints"),
    "a file in place of the folder": (("sample", "vae-mnist", "--out", _occupied), "file/out.png"),
    "a name that is too long": (("sample", "vae-mnist", "--out", "x" * 300 + ".png"), "xxx"),
    "no ability": (("complete", "gan-mnist", "mnist:test:1"), "completion"),
    "not a picture": ((*COMPLETE, _text), "notes.png"),
    "huge picture": ((*COMPLETE, _huge), "huge.png"),
    "heavy picture": ((*COMPLETE, _heavy), "heavy.png"),
    "missing picture": ((*COMPLETE, "nothing.png"), "nothing.png"),
    "folder as a picture": ((*COMPLETE, "checkpoints"), "checkpoints"),
    "number past the end": ((*COMPLETE, "mnist:test:24"), "mnist:test:24"),
    "unknown split of an image": ((*COMPLETE, "mnist:exam:1"), "'exam'"),
    "unknown data of an image": ((*COMPLETE, "mnits:test:1"), "'mnits'"),
    "unknown mask": ((*COMPLETE, "mnist:test:1", "--mask", "middle"), "'middle'"),
    "mask of another size": ((*COMPLETE, _digit, "--mask", _mask), "20 x 28"),
    "mask that is no picture": ((*COMPLETE, _digit, "--mask", _text), "notes.png"),
    "unknown split": (("evaluate", "vae-mnist", "--split", "exam"), "'exam'"),
    "no images to evaluate": (("evaluate", "vae-mnist", "--images", "0"), "--images"),
    "no draws": (("evaluate", "vae-mnist", "--k", "0"), "--k"),
    "too few samples": (("evaluate", "vae-mnist", "--samples", "19"), "--samples"),
    "samples and none": (("evaluate", "vae-mnist", "--samples", "20", "--no-samples"), "--no-samples"),
    "keep half the images": (("evaluate", "vae-mnist", "--images", "3", "--keep"), "--images"),
    "compare an unknown one": (("compare", "vae-mnist", "nowhere"), "'nowhere'"),
    "compare on unknown data": (("compare", "--data", "nothing"), "'nothing'"),
    "compare on data without models": (("compare", "--data", "svhn"), "svhn"),
    "compare names and data": (("compare", "vae-mnist", "--data", "mnist"), "--data"),
    "two kinds of output": (("compare", "vae-mnist", "--json", "--markdown"), "--markdown"),
    "fresh and kept": (("compare", "vae-mnist", "--fresh", "--kept"), "--kept"),
    "an unknown form": (("compare", "vae-mnist", "--samples", "20", "--form", "fine"), "'fine'"),
    "a form that bits cannot take": (("compare", "pixelcnn-mnist", "--samples", "20", "--form", "grey"), "'grey'"),
    "a judge of unknown data": (("judge", "train", "nothing"), "'nothing'"),
    "a judge that is there": (("judge", "train", "mnist"), "--replace"),
    "nothing to bench": (("bench",), "CHECKPOINT"),
    "unknown device to sample on": (("sample", "vae-mnist", "--device", "abacus"), "'abacus'"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(home: Home, case: str) -> None:
    arguments, mentioned = CASES[case]
    made = [argument if isinstance(argument, str) else argument(home.folder) for argument in arguments]
    before = sorted(home.folder.rglob("*"))
    assert mentioned in home.refused(*made)
    assert sorted(home.folder.rglob("*")) == before


def test_a_taken_name(home: Home, trained: Callable[..., str]) -> None:
    run = trained("gan", "--set", "generator_width=4")
    assert f"'{run}'" in home.refused("train", "vae", "--run", run)
    assert run in home.refused("train", "--resume", run)  # has finished, and no new limit
    assert run in home.refused("stop", run)
    assert "vae-mnist-x" in home.refused("publish", run, "vae-mnist-x")
    assert "'gan-mnist'" in home.refused("publish", run, "gan-mnist")


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "cannot be written"), (errno.EROFS, "cannot be written")],
)
def test_a_disk_that_refuses(home: Home, monkeypatch: pytest.MonkeyPatch, number: int, said: str) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", refuse)
    (home.folder / "out").mkdir()
    assert said in home.refused("sample", "vae-mnist", "-n", 1, "--out", "out/grid.png")
    assert not list((home.folder / "out").iterdir())
    assert said in home.refused("train", "gan", "--steps", 1)
    assert not (home.folder / "runs" / "gan-1").exists()


def test_an_old_file_survives_a_full_disk(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.done("sample", "vae-mnist", "-n", 1, "--out", "grid.png")
    old = (home.folder / "grid.png").read_bytes()

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(files.os, "fsync", refuse)
    home.refused("sample", "vae-mnist", "-n", 4, "--out", "grid.png")
    assert (home.folder / "grid.png").read_bytes() == old


def test_any_other_system_error(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files", "somewhere")

    monkeypatch.setattr(using, "load", refuse)
    assert "somewhere" in home.refused("sample", "vae-mnist")


def test_an_error_nobody_foresaw_is_one_line_too(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("out of memory\nand a second line")

    monkeypatch.setattr(using, "load", fail)
    result = home.run("sample", "vae-mnist")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "out of memory" in result.stderr
    assert "second line" not in result.stderr


def test_interrupting(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(using, "load", interrupt)
    result = home.run("sample", "vae-mnist", "--out", "grid.png")
    assert result.exit_code == 130
    assert "Traceback" not in result.output
    assert not (home.folder / "grid.png").exists()


def test_no_shipped_checkpoints_at_all(home: Home) -> None:
    shutil.rmtree(home.folder / "checkpoints")
    assert "'vae-mnist'" in home.refused("sample", "vae-mnist")
    home.done("models")
