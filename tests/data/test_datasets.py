"""What the real data sets are known to hold, how they are split, and that a bad file is one clear sentence."""

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from genlib.data import DATASETS, Dataset, datasets, describe, load
from genlib.data.datasets import SPLITS
from genlib.errors import GenlibError

# name -> images of train, validation, test; a class never has fewer or more test images than given
SIZES = {
    "mnist": (55_000, 5_000, 10_000),
    "fashion_mnist": (55_000, 5_000, 10_000),
    "cifar10": (45_000, 5_000, 10_000),
}
MNIST_TRAIN_LABELS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST_LABELS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize("name", SIZES)
def test_sizes_shapes_and_types(name: str, real: Callable[[str], Dataset]):
    data = real(name)
    assert tuple(data.size(split) for split in SPLITS) == SIZES[name]
    for split in SPLITS:
        images, labels = data.images(split), data.labels(split)
        assert images.dtype == torch.uint8
        assert tuple(images.shape) == (data.size(split), *data.info.shape)
        assert labels.dtype == torch.int64
        assert tuple(labels.shape) == (data.size(split),)
        assert labels.unique().tolist() == list(range(10))
    batch = data.batch("test", slice(3))
    assert batch.dtype == torch.float32
    assert torch.equal((batch * 255).round().byte(), data.images("test")[:3])


@pytest.mark.parametrize("name", SIZES)
def test_splits_are_disjoint_and_cover_the_file(
    name: str, real: Callable[[str], Dataset], prepared: Callable[[str], Path]
):
    data = real(name)
    path = datasets.EMBEDDED.get(name) or prepared(name)
    with np.load(path) as file:
        train = torch.from_numpy(file["train_images"])
        labels = torch.from_numpy(file["train_labels"].astype(np.int64))
        test = torch.from_numpy(file["test_images"])
    if train.ndim == 4:
        train, test = train.permute(0, 3, 1, 2), test.permute(0, 3, 1, 2)
    joined = torch.cat((data.images("train"), data.images("validation")))
    assert torch.equal(joined.reshape(train.shape), train)
    assert torch.equal(torch.cat((data.labels("train"), data.labels("validation"))), labels)
    assert torch.equal(data.images("test").reshape(test.shape), test)


def test_mnist_is_mnist():
    data = load("mnist")
    train = torch.cat((data.images("train"), data.images("validation")))
    labels = torch.cat((data.labels("train"), data.labels("validation")))
    assert len(train) == 60_000
    assert labels.bincount().tolist() == MNIST_TRAIN_LABELS
    assert data.labels("test").bincount().tolist() == MNIST_TEST_LABELS
    assert train.double().mean() == pytest.approx(33.318, abs=5e-4)
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]  # the original order


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10"])
def test_classes_are_balanced(name: str, real: Callable[[str], Dataset]):
    data = real(name)
    train = torch.cat((data.labels("train"), data.labels("validation"))).bincount()
    assert train.unique().numel() == 1
    assert data.labels("test").bincount().tolist() == [1000] * 10


def test_fashion_mnist_and_cifar_have_their_known_means(real: Callable[[str], Dataset]):
    fashion, cifar = real("fashion_mnist"), real("cifar10")
    pixels = torch.cat((fashion.images("train"), fashion.images("validation"))).double()
    assert pixels.mean() / 255 == pytest.approx(0.2860, abs=1e-4)
    pixels = torch.cat((cifar.images("train"), cifar.images("validation")))
    means = [pixels[:, c].double().mean().item() / 255 for c in range(3)]
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)


def test_omniglots_alphabets_are_each_in_one_split(real: Callable[[str], Dataset], prepared: Callable[[str], Path]):
    data = real("omniglot")
    alphabets = {
        split: {data.classes[label].split("/")[0] for label in data.labels(split).unique().tolist()} for split in SPLITS
    }
    assert alphabets["train"].isdisjoint(alphabets["validation"] | alphabets["test"])
    assert alphabets["validation"].isdisjoint(alphabets["test"])
    assert [len(alphabets[split]) for split in SPLITS] == [5, 1, 2]
    with np.load(prepared("omniglot")) as file:
        images, labels, names = file["images"], file["labels"], file["names"]
    assert sum(data.size(split) for split in SPLITS) == len(images) == 4840
    assert data.classes == tuple(names)
    rows = np.flatnonzero(np.isin([names[label].split("/")[0] for label in labels], sorted(alphabets["test"])))
    assert torch.equal(data.images("test")[:, 0], torch.from_numpy(images[rows]))
    assert torch.equal(data.labels("test"), torch.from_numpy(labels[rows].astype(np.int64)))
    assert data.images("train").double().mean() < 128  # ink is bright and rare


def test_the_first_binary_test_images_do_not_depend_on_how_many_are_asked_for():
    data = load("mnist")
    for form in ("threshold", "dynamic"):
        few, more = data.binary("test", form, 5), data.binary("test", form, 50)
        assert torch.equal(few, more[:5])
        assert set(few.unique().tolist()) == {0.0, 1.0}


# --- finding ----------------------------------------------------------------------------------------------------------


def tiny(name: str, n: int = 6, **changes: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of a small, valid file."""
    c, h, w = DATASETS[name].shape
    shape = (h, w) if c == 1 else (h, w, c)
    random = np.random.default_rng(0)
    arrays = {}
    for split in ("train", "test"):
        arrays[f"{split}_images"] = random.integers(0, 256, (n, *shape), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.arange(n, dtype=np.uint8) % 10
    return arrays | changes


def test_a_ready_file_is_used_and_a_replaced_one_is_read_again(folder: Path):
    path = folder / "svhn.npz"
    np.savez(path, **tiny("svhn", 6))
    assert [load("svhn").size(split) for split in SPLITS] == [5, 1, 6]
    assert load("svhn") is load("svhn")
    np.savez(path, **tiny("svhn", 12))
    assert load("svhn").size("test") == 12


def test_an_absent_set_says_how_to_get_it(folder: Path):
    with pytest.raises(GenlibError, match=rf"genlib data fetch cifar10.*{re.escape(str(folder))}"):
        load("cifar10")
    with pytest.raises(GenlibError, match=r"'cats'.*mnist.*omniglot"):
        describe("cats")
    assert load("mnist").size("test") == 10_000  # needs no folder


# --- bad files --------------------------------------------------------------------------------------------------------


def zipped(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    return buffer.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


class Trap:
    """Unpickling one of these is noticed."""

    sprung = False

    def __reduce__(self):
        return setattr, (Trap, "sprung", True)


def good() -> bytes:
    return npz(**tiny("svhn"))


def damaged() -> bytes:
    content = bytearray(good())
    for place in range(200, len(content) // 2, 97):
        content[place] ^= 0xFF
    return bytes(content)


def huge_claim() -> bytes:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (4000000000000, 32, 32, 3), }"
    header = header.ljust(118) + b"\n"
    return zipped({"train_images.npy": b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header})


BAD = {
    "empty": lambda: b"",
    "text": lambda: b"this is not a data set\n" * 50,
    "truncated": lambda: good()[: len(good()) // 2],
    "damaged": damaged,
    "npy": lambda: npy(np.zeros((3, 32, 32, 3), np.uint8)),
    "pickled objects": lambda: npz(**tiny("svhn", train_labels=np.array([Trap()] * 6, dtype=object))),
    "no arrays": lambda: zipped({}),
    "missing array": lambda: npz(**{key: value for key, value in tiny("svhn").items() if key != "test_labels"}),
    "floats": lambda: npz(**tiny("svhn", test_images=np.zeros((6, 32, 32, 3), np.float32))),
    "other shape": lambda: npz(**tiny("svhn", train_images=np.zeros((6, 28, 28), np.uint8))),
    "fewer labels": lambda: npz(**tiny("svhn", train_labels=np.zeros(5, np.uint8))),
    "labels of floats": lambda: npz(**tiny("svhn", train_labels=np.zeros(6))),
    "labels out of range": lambda: npz(**tiny("svhn", test_labels=np.full(6, 10, np.uint8))),
    "negative labels": lambda: npz(**tiny("svhn", test_labels=np.full(6, -1, np.int8))),
    "no images": lambda: npz(**tiny("svhn", 0)),
    "not an array inside": lambda: zipped({f"{key}.npy": b"nonsense" for key in tiny("svhn")}),
    "huge claim": huge_claim,
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_one_sentence(kind: str, folder: Path):
    Trap.sprung = False
    path = folder / "svhn.npz"
    path.write_bytes(BAD[kind]())
    with pytest.raises(GenlibError, match=r"delete it and fetch it again\.$") as caught:
        load("svhn")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Trap.sprung


def test_a_bomb_is_not_unpacked(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(datasets, "MAX_BYTES", 10_000)
    (folder / "svhn.npz").write_bytes(good())
    monkeypatch.setattr(np, "load", lambda *args, **kwargs: pytest.fail("unpacked"))
    with pytest.raises(GenlibError, match="claims to hold more"):
        load("svhn")


def omniglot(**changes: np.ndarray) -> bytes:
    names = np.array([f"alphabet{i}/character{j}" for i in range(4) for j in range(2)])
    labels = np.repeat(np.arange(8), 3)
    return npz(**({"images": np.zeros((24, 28, 28), np.uint8), "labels": labels, "names": names} | changes))


def test_a_small_omniglot_is_split(folder: Path):
    (folder / "omniglot.npz").write_bytes(omniglot())
    assert [load("omniglot").size(split) for split in SPLITS] == [12, 6, 6]


@pytest.mark.parametrize(
    "content",
    [
        lambda: omniglot(labels=np.full(24, 8)),
        lambda: omniglot(labels=np.full(23, 0)),
        lambda: omniglot(images=np.zeros((24, 105, 105), np.uint8)),
        lambda: omniglot(names=np.array(["one/a", "two/b"]), labels=np.zeros(24, int)),
        lambda: omniglot(names=np.array([Trap()] * 8, dtype=object)),
        lambda: npz(**tiny("mnist")),
    ],
    ids=["label without a name", "fewer labels", "other shape", "too few alphabets", "pickled names", "another set"],
)
def test_a_bad_omniglot_is_one_sentence(content: Callable[[], bytes], folder: Path):
    (folder / "omniglot.npz").write_bytes(content())
    with pytest.raises(GenlibError, match=r"omniglot\.npz .*fetch it again\.$"):
        load("omniglot")
