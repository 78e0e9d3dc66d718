"""Own pictures: sound zips become data sets, and every kind of bad one is refused in a sentence or left out and counted."""

import contextlib
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genlib import data
from genlib.data import datasets, own, picture_zip
from genlib.data.own import import_zip
from genlib.data.pictures import read_picture
from genlib.errors import GenlibError


def picture(
    seed: int, mode: str = "RGB", size: tuple[int, int] = (20, 16), kind: str = "PNG", **options: object
) -> bytes:
    """A picture of random colours."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()


def pack(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def album(n: int = 24, folder: str = "", first: int = 0) -> dict[str, bytes]:
    return {f"{folder}{i}.png": picture(first + i) for i in range(n)}


def refused(source: bytes | Path, **options: object) -> str:
    """The one sentence for a zip that is refused; nothing is left behind."""
    with pytest.raises(GenlibError) as error:
        import_zip(source, "mine", **options)  # type: ignore[arg-type]
    text = str(error.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert len(re.findall(r"\.( |$)", text)) == 1, text
    assert "mine" not in data.names()
    assert not list(datasets.own_folder().glob("*")) if datasets.own_folder().exists() else True
    return text


pytestmark = pytest.mark.usefixtures("folder")


# What a sound zip becomes


@pytest.mark.parametrize("grey", [False, True])
def test_a_zip_becomes_a_data_set_of_every_split(grey: bool) -> None:
    made = import_zip(pack(album(50)), "mine", side=12, grey=grey)
    assert made.sizes == {"train": 40, "validation": 5, "test": 5}
    assert not made.skipped
    info = data.describe("mine")
    assert info == made.info
    assert info.shape == ((1 if grey else 3), 12, 12)
    assert info.classes == ("pictures",)
    assert "mine" in data.names()
    dataset = data.load("mine")
    assert {split: dataset.size(split) for split in datasets.SPLITS} == made.sizes
    assert all(dataset.images(split).shape[1:] == info.shape for split in datasets.SPLITS)
    everything = torch.cat([dataset.images(split) for split in datasets.SPLITS]).flatten(1)
    assert len(everything.unique(dim=0)) == 50  # no picture is in two splits


def test_pixels_are_those_of_the_pictures() -> None:
    """At their own size nothing is resized: the set holds each picture exactly."""
    wanted = {picture(i, size=(12, 12)) for i in range(20)}
    import_zip(pack({f"{i}.png": content for i, content in enumerate(wanted)}), "mine", side=12)
    dataset = data.load("mine")
    found = {image.numpy().tobytes() for split in datasets.SPLITS for image in dataset.images(split)}
    pixels = {np.asarray(Image.open(io.BytesIO(content))).transpose(2, 0, 1).tobytes() for content in wanted}
    assert found == pixels


@pytest.mark.parametrize("around", ["", "pets/", "home/pets/"])
def test_folders_are_the_classes(around: str) -> None:
    entries = album(30, f"{around}cats/") | album(20, f"{around}dogs/young/", 100) | album(10, f"{around}", 200)
    import_zip(pack(entries), "mine", side=12)
    assert data.describe("mine").classes == ("cats", "dogs", "other")
    dataset = data.load("mine")
    counts = {split: dataset.labels(split).bincount(minlength=3).tolist() for split in datasets.SPLITS}
    assert counts == {"train": [24, 16, 8], "validation": [3, 2, 1], "test": [3, 2, 1]}
    cats = {import_pixels(picture(i)) for i in range(30)}
    for split in datasets.SPLITS:
        for image, label in zip(dataset.images(split), dataset.labels(split), strict=True):
            assert (image.numpy().tobytes() in cats) == (label == 0)


def import_pixels(content: bytes) -> bytes:
    return (read_picture(content, (3, 12, 12))[0] * 255).round().byte().numpy().tobytes()


def test_every_kind_of_picture_is_understood() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    moving = io.BytesIO()
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:], duration=100)
    odd = {
        "animated.gif": moving.getvalue(),
        "print.jpg": picture(301, "CMYK", kind="JPEG"),
        "palette.png": picture(302, "P"),
        "bits.png": picture(303, "1"),
        "clear.png": picture(304, "RGBA"),
        "grey.png": picture(305, "L"),
        "web.webp": picture(306, kind="WEBP"),
        "plain.bmp": picture(307, kind="BMP"),
        "no name at all": picture(308),
    }
    made = import_zip(pack(album() | odd), "mine", side=12)
    assert not made.skipped
    assert sum(made.sizes.values()) == 24 + len(odd)
    first = next(
        image for split in datasets.SPLITS for image in data.load("mine").images(split)
        if (image == torch.tensor([254, 0, 0], dtype=torch.uint8)[:, None, None]).all()
        or (image == torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None]).all()
    )  # fmt: skip
    assert first.shape == (3, 12, 12)  # of an animation, its first frame


def test_a_model_trains_on_it() -> None:
    import genlib

    import_zip(pack(album()), "mine", side=8, grey=True)
    model = genlib.create("vae-mlp", preset="quick", data="mine", hidden=8, latent=2)
    assert model.config.shape == (1, 8, 8)
    assert genlib.fit(model, data="mine", steps=3, progress=False).step == 3


def test_replacing_and_removing() -> None:
    import_zip(pack(album(20)), "mine", side=12)
    with pytest.raises(GenlibError, match="already"):
        import_zip(pack(album(30)), "mine", side=12)
    assert sum(data.load("mine").size(split) for split in datasets.SPLITS) == 20
    import_zip(pack(album(30)), "mine", side=8, grey=True, replace=True)
    assert data.load("mine").images("train").shape == (24, 1, 8, 8)  # the new file, not the one in memory
    own.remove("mine")
    for call in (data.describe, data.load, own.remove):
        with pytest.raises(GenlibError, match="'mine'"):
            call("mine")


# What is left out, and counted


def test_odd_files_are_left_out_and_counted() -> None:
    entries = album() | {
        "notes.txt": b"not a picture",
        "empty.png": b"",
        "half.png": picture(90)[:200],
        "page.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "inner.zip": pack(album(2)),
        "dot.png": picture(91, size=(1, 1)),
        "copy.png": picture(3),
        "huge.png": header_of(60_000, 60_000),
        "heavy.bmp": b"BM" + bytes(picture_zip.MAX_BYTES),
        "__MACOSX/._0.png": b"resource fork",
        ".DS_Store": b"",
        "folder/": b"",
    }
    made = import_zip(pack(entries), "mine", side=12)
    assert sum(made.sizes.values()) == 24
    assert made.skipped == {
        picture_zip.UNREADABLE: 5, picture_zip.TOO_SMALL: 1, picture_zip.TWICE: 1, picture_zip.TOO_LARGE: 2,
    }  # fmt: skip
    assert "5 no picture that can be read" in made.sentence()


def header_of(width: int, height: int) -> bytes:
    """A PNG that claims so many pixels, in a few bytes."""
    content = bytearray(picture(0))
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    return bytes(content)


def test_other_methods_of_packing_and_locked_entries_are_left_out() -> None:
    made = pack(album(1, "lzma/", 50), zipfile.ZIP_LZMA)
    merged = io.BytesIO(made)
    with zipfile.ZipFile(merged, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (album() | {"locked.png": picture(60)}).items():
            archive.writestr(name, content)
    content = bytearray(merged.getvalue())
    at = content.rfind(b"PK\x01\x02")  # the last entry in the table of contents
    content[at + 8] |= 1
    assert import_zip(bytes(content), "mine", side=12).skipped == {picture_zip.UNREADABLE: 1, picture_zip.LOCKED: 1}


def test_names_are_never_paths(folder: Path) -> None:
    names = [
        "../../evil.png",
        "/etc/evil.png",
        "C:\\windows\\evil.png",
        "..\\..\\up.png",
        "a/../../b.png",
        "cats\n\x1b[31m/x.png",
    ]
    entries = album() | {name: picture(70 + i) for i, name in enumerate(names)}
    before = set(folder.parent.rglob("*"))
    made = import_zip(pack(entries), "mine", side=12)
    assert sum(made.sizes.values()) == 24 + len(names)
    assert set(folder.parent.rglob("*")) - before == {folder / "own", folder / "own" / "mine.npz"}
    assert all(name.isprintable() and ".." not in name and "/" not in name for name in made.info.classes)


def test_one_broken_entry_does_not_spoil_the_rest() -> None:
    content = bytearray(pack(album(), zipfile.ZIP_STORED))
    at = content.find(b"IDAT") + 30
    content[at] ^= 0xFF  # its checksum no longer fits
    assert import_zip(bytes(content), "mine", side=12).skipped == {picture_zip.UNREADABLE: 1}


# What is refused


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "not a whole zip"),
        (b"PK\x03\x04 nonsense", "not a whole zip"),
        (picture(0), "not a whole zip"),
        (pack({}), "0 usable pictures"),
        (pack({"a.txt": b"text"}), "0 usable pictures (1 no picture that can be read)"),
        (pack(album(19)), "at least 20"),
        (pack(dict.fromkeys(map(str, range(40)), picture(0))), "1 usable pictures (39 there twice)"),
    ],
    ids=["empty", "torn", "a picture", "nothing in it", "no pictures", "too few", "all the same"],
)
def test_what_is_no_zip_of_pictures(content: bytes, word: str) -> None:
    assert word in refused(content)


def test_cut_off_anywhere() -> None:
    whole = pack(album())
    for share in (0.1, 0.5, 0.9, 0.999):
        refused(whole[: int(share * len(whole))])


def test_bytes_before_or_changed_never_give_another_kind_of_error() -> None:
    """Random damage to a zip ends in a sentence or in a data set, never in anything else."""
    whole, random = pack(album(20)), np.random.default_rng(0)
    tail = len(whole) - 1600  # where the table of contents is
    for _ in range(60):
        content = bytearray(whole)
        for at in random.integers(tail, len(content), 3):
            content[at] = random.integers(256)
        with contextlib.suppress(GenlibError):
            import_zip(bytes(content), "mine", side=8, replace=True)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = pack({f"{i}.bmp": bytes(9 << 20) for i in range(12)})
    monkeypatch.setattr(zipfile.ZipFile, "open", never)
    assert "times its size" in refused(bomb)


def test_a_bomb_that_lies_about_its_size_is_read_to_the_limit_only() -> None:
    """Its table says 100 bytes, its data unpack to 64 MiB: `zipfile` stops at the claim, and the checksum fails."""
    content = bytearray(pack(album() | {"bomb.bmp": bytes(64 << 20)}))
    at = content.rfind(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 100)
    assert import_zip(bytes(content), "mine", side=12).skipped == {picture_zip.UNREADABLE: 1}


def test_overlapping_entries_are_counted_by_what_they_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand entries that all point to the same nine megabytes."""
    whole = pack({"0.bmp": bytes(9 << 20)})
    start = whole.rfind(b"PK\x01\x02")
    end = whole.rfind(b"PK\x05\x06")
    table = whole[start:end] * 1000
    record = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1000, 1000, len(table), start, 0)
    monkeypatch.setattr(zipfile.ZipFile, "open", never)
    assert "times its size" in refused(whole[:start] + table + record)


def test_fifty_thousand_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pack(dict.fromkeys((f"{i}.png" for i in range(50_000)), b""), zipfile.ZIP_STORED)
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZipFile", never)  # the table of contents is not even parsed
        assert "too many entries" in refused(content)
    at = content.rfind(b"PK\x05\x06")
    liar = content[: at + 8] + struct.pack("<HH", 3, 3) + content[at + 12 :]
    assert "too many entries" in refused(liar)


def test_zip64_cannot_hide_a_table_of_contents() -> None:
    whole = pack(album())
    at = whole.rfind(b"PK\x05\x06")
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, at, 1)
    assert "ZIP64" in refused(whole[:at] + locator + whole[at:])


def test_too_many_pixels_for_memory_or_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_zip, "MAX_PIXELS_KEPT", 20 * 3 * 12 * 12)
    assert "smaller size" in refused(pack(album()), side=12)
    monkeypatch.undo()
    monkeypatch.setattr(picture_zip, "MAX_DECODED", 20 * 16 * 3)
    assert "smaller first" in refused(pack(album()), side=12)


def test_a_zip_that_is_not_there_or_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "does not exist" in refused(tmp_path / "none.zip")
    assert "not a file" in refused(tmp_path)
    monkeypatch.setattr(picture_zip, "MAX_ZIP", 10)
    (tmp_path / "mine.zip").write_bytes(pack(album()))
    assert "too large" in refused(tmp_path / "mine.zip")


@pytest.mark.parametrize(
    "name", ["", "Mine", "../mine", "my pictures", "1st", "a" * 41, "mnist", "cifar10", "x\n", "käse"]
)
def test_names_that_cannot_be_had(name: str) -> None:
    with pytest.raises(GenlibError) as error:
        import_zip(pack(album()), name)
    assert repr(name) in str(error.value)
    assert not datasets.own_folder().exists()


@pytest.mark.parametrize("side", [7, 129, 0, -1])
def test_sizes_that_cannot_be_had(side: int) -> None:
    assert "from 8 to 128" in refused(pack(album()), side=side)


def test_there_is_an_end_to_sets_and_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "MAX_CLASSES", 3)
    assert "at most 3 classes" in refused(pack({f"{i}/x.png": picture(i) for i in range(24)}))
    monkeypatch.setattr(own, "MAX_SETS", 0)
    assert "remove one first" in refused(pack(album()))


# The file that was made may be damaged later


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"nothing"),
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        lambda path: np.savez(path.open("wb"), names=np.array(["a"])),
        lambda path: np.savez(path.open("wb"), names=np.array(["a"]), shape=np.array([1, 2, 3, 4])),
        lambda path: np.savez(path.open("wb"), names=np.array([object()], dtype=object), shape=np.array([8, 8])),
    ],
)
def test_a_damaged_set_does_not_hide_the_others(damage: Callable[[Path], object], folder: Path) -> None:
    import_zip(pack(album()), "mine", side=8)
    import_zip(pack(album()), "yours", side=8)
    damage(folder / "own" / "mine.npz")
    assert datasets.own_names() == ["yours"]
    with pytest.raises(GenlibError, match="import the pictures again"):
        data.load("mine")
    own.remove("mine")


def never(*_: object, **__: object) -> None:
    raise AssertionError("this must not happen")
