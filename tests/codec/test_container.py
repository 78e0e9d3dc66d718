"""The file around a bit stream: what is written is read, and nothing else ever is."""

import zlib
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genlib.codec.container import CHECKSUM, KINDS, MAX_IMAGES, Container, digest
from genlib.errors import GenlibError
from genlib.models import catalogue

names = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=9)
plain = st.builds(
    Container,
    kind=st.sampled_from(KINDS),
    name=st.text(st.characters(codec="utf-8"), max_size=20),
    digest=st.binary(min_size=4, max_size=4),
    shape=st.tuples(*[st.integers(1, 300)] * 3),
    count=st.integers(0, MAX_IMAGES),
    fields=st.binary(max_size=8),
    payload=st.binary(max_size=300),
)
named = st.builds(
    lambda one, names: replace(one, count=len(names), names=tuple(names)), plain, st.lists(names, min_size=1)
)
containers = plain | named


def small(seed: int = 0, **values):
    return catalogue.create("pixelcnn", seed=seed, **{"height": 4, "width": 4, "hidden": 4, "blocks": 1, **values})


@given(containers)
@settings(deadline=None)
def test_what_is_written_is_read(container: Container) -> None:
    data = container.to_bytes()
    assert Container.from_bytes(data) == container
    assert container.overhead == len(data) - len(container.payload)


@given(containers, st.data())
@settings(deadline=None)
def test_a_file_that_is_cut_short_anywhere_is_refused(container: Container, data: st.DataObject) -> None:
    whole = container.to_bytes()
    with pytest.raises(GenlibError):
        Container.from_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(containers, st.data())
@settings(deadline=None)
def test_a_changed_byte_anywhere_is_found(container: Container, data: st.DataObject) -> None:
    whole = bytearray(container.to_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(GenlibError):
        Container.from_bytes(bytes(whole))


@given(containers, st.binary(min_size=1, max_size=9))
@settings(deadline=None)
def test_nothing_may_follow_the_file(container: Container, more: bytes) -> None:
    with pytest.raises(GenlibError, match="corrupted"):
        Container.from_bytes(container.to_bytes() + more)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_other_file_is_refused(data: bytes) -> None:
    for head in (b"", b"GLC", b"GLC\x10", b"GLC\x11"):
        with pytest.raises(GenlibError):
            Container.from_bytes(head + data)


def made(**values) -> Container:
    return Container(**{
        "kind": "lossless", "name": "pixelcnn-mnist", "digest": b"abcd", "shape": (1, 28, 28), "count": 1,
        "fields": b"", "payload": b"", **values,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no file that genlib compressed"),
        (b"\x89PNG\r\n\x1a\n", "no file that genlib compressed"),
        (b"GLC\x20" + bytes(40), "format 2, but this genlib reads up to 1"),
        (made().to_bytes()[:-1], "cut short"),
        (made().to_bytes()[:-1] + b"\x00", "corrupted"),
        (made(count=MAX_IMAGES + 1).to_bytes(), "header is not possible"),
        (made(shape=(0, 1, 1)).to_bytes(), "header is not possible"),
    ],
)
def test_each_wrong_has_its_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(GenlibError, match=sentence):
        Container.from_bytes(data)


def test_a_name_in_no_language_is_refused() -> None:
    data = made(name="ab").to_bytes().replace(b"\x02ab", b"\x02\xff\xff")
    body = data[:-CHECKSUM]
    with pytest.raises(GenlibError, match="holds no names"):
        Container.from_bytes(body + zlib.crc32(body).to_bytes(CHECKSUM, "little"))


def test_the_header_is_short() -> None:
    assert made(name="conv-draw-cifar10", shape=(3, 32, 32)).overhead == 36


def test_a_digest_is_of_the_weights_and_the_config() -> None:
    marks = [digest(small()), digest(small(seed=1)), digest(small(levels=4)), digest(small(hidden=6))]
    assert len(set(marks)) == 4
    assert digest(small()) == marks[0]
    nudged = small()
    with torch.no_grad():
        next(nudged.parameters()).view(-1)[0] += 1e-6
    assert digest(nudged) != marks[0]


def test_images_may_have_names() -> None:
    container = made(count=2).renamed("my-run", ["a.png", "ü b.png"])
    assert Container.from_bytes(container.to_bytes()).names == ("a.png", "ü b.png")
    for wrong, sentence in ((["a"], "1 names for 2 images"), (["a", ""], "empty or holds a zero")):
        with pytest.raises(GenlibError, match=sentence):
            made(count=2).renamed("my-run", wrong)
    with pytest.raises(GenlibError, match="names 1 images, but holds 2"):
        Container.from_bytes(replace(made(count=2), names=("a",)).to_bytes())


def test_only_the_model_that_wrote_a_file_may_read_it() -> None:
    model = small()
    container = Container.of("lossless", model, 3, b"", b"xyz").renamed("my-run")
    Container.from_bytes(container.to_bytes()).check("lossless", model)
    with pytest.raises(GenlibError, match=r"other weights than these of pixelcnn \(it names 'my-run'"):
        container.check("lossless", small(seed=1))
    with pytest.raises(GenlibError, match="a lossless file, and not a lossy one"):
        container.check("lossy", model)
    with pytest.raises(GenlibError, match="at most 100,000 images"):
        Container.of("lossy", model, MAX_IMAGES + 1, b"", b"")
