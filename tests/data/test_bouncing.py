"""Films of bouncing digits: a frame is the one before it, moved; walls are never passed; test digits stay test digits."""

import numpy as np
import torch

from genlib.data import describe, load
from genlib.data.bouncing import DIGIT, FRAMES, SIDE, SPEEDS, bounce, of_mnist, paths

ROOM = SIDE - DIGIT


def test_a_path_runs_at_constant_speed_and_turns_at_the_walls() -> None:
    places = paths(500, seed=3)
    assert places.shape == (500, FRAMES, 2)
    assert places.min() == 0
    assert places.max() == ROOM
    moves = np.diff(places, axis=1)
    assert np.abs(moves).max() <= max(SPEEDS)
    turned = np.sign(moves[:, 1:]) != np.sign(moves[:, :-1])
    at_wall = np.minimum(places[:, 1:-1], ROOM - places[:, 1:-1]) < max(SPEEDS)
    assert at_wall[turned].all()
    free = ~turned & ~at_wall & ~(np.minimum(places[:, 2:], ROOM - places[:, 2:]) < max(SPEEDS))
    assert (moves[:, 1:] == moves[:, :-1])[free].all()


def test_every_frame_is_the_digit_at_its_place() -> None:
    digits = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    films = bounce(digits, seed=5).reshape(3, FRAMES, SIDE, SIDE)
    for film, digit, path in zip(films, digits, paths(3, seed=5), strict=True):
        small = digit.reshape(DIGIT, 2, DIGIT, 2).mean((1, 3)) >= 85
        for frame, (row, column) in zip(film, path, strict=True):
            wanted = np.zeros((SIDE, SIDE), np.uint8)
            wanted[row : row + DIGIT, column : column + DIGIT] = 255 * small
            assert (frame == wanted).all()


def test_the_same_seed_gives_the_same_films() -> None:
    digits = np.full((4, 28, 28), 200, np.uint8)
    assert (bounce(digits, 1) == bounce(digits, 1)).all()
    assert (bounce(digits, 1) != bounce(digits, 2)).any()


def test_the_data_set_is_made_of_mnist() -> None:
    data, mnist = load("bouncing_mnist"), load("mnist")
    assert data.info.shape == (1, FRAMES * SIDE, SIDE)
    assert data.info.frames == FRAMES
    assert [data.size(split) for split in ("train", "validation", "test")] == [16_667, 3_333, 2_000]
    assert torch.equal(data.labels("test"), mnist.labels("test")[:2000])
    assert torch.equal(data.labels("train"), mnist.labels("train")[:16_667])
    assert data.images("test").unique().tolist() == [0, 255]
    for form in ("threshold", "dynamic"):  # black and white already: every form leaves it as it is
        assert torch.equal(data.binary("test", form, 20), data.batch("test", slice(20)))


def test_few_digits_make_few_films() -> None:
    few = {f"{split}_images": np.zeros((5, 28, 28), np.uint8) for split in ("train", "test")}
    few |= {f"{split}_labels": np.zeros(5, np.uint8) for split in ("train", "test")}
    assert of_mnist(few)["train_images"].shape == (5, FRAMES * SIDE, SIDE)
    assert describe("bouncing_mnist").made_of == "mnist"
