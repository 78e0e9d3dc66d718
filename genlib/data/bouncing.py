"""Films of bouncing digits, made of MNIST: small cousins of the Moving MNIST of Srivastava et al. 2015 (arXiv:1502.04681).

A digit, 14 x 14 pixels large, moves through a dark room and bounces off its walls. A film is one tall image, its frames one
under the other, [FRAMES * SIDE, SIDE]: so raster order over the image is the order of time, and within a frame raster order
again. All pixels are 0 or 255, so that a frame is the one before it, moved: after two frames nothing is left to chance.
"""

import numpy as np

FRAMES, SIDE = 6, 20
DIGIT = 14  # half of MNIST's side
SPEEDS = (1, 2)  # pixels per frame, across and down, either way
INK = 85  # the mean of 2 x 2 grey values from which on a pixel is ink: that of the form `threshold`
TRAIN, TEST = 20_000, 2_000  # films, of the first digits of MNIST's parts
AT_ONCE = 1000


def bounce(digits: np.ndarray, seed: int) -> np.ndarray:
    """A film of each digit: uint8 [N, 28, 28] -> uint8 [N, FRAMES * SIDE, SIDE]. The same seed gives the same films."""
    n = len(digits)
    small = digits.reshape(n, DIGIT, 2, DIGIT, 2).mean((2, 4))
    small = np.where(small >= INK, np.uint8(255), np.uint8(0))
    down, across = np.moveaxis(paths(n, seed), 2, 0)  # [N, FRAMES] each
    films = np.zeros((n, FRAMES, SIDE, SIDE), np.uint8)
    place = np.arange(DIGIT)
    for start in range(0, n, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        rows = down[part, :, None, None] + place[:, None]
        columns = across[part, :, None, None] + place
        which = np.arange(n)[part, None, None, None]
        films[which, np.arange(FRAMES)[None, :, None, None], rows, columns] = small[part, None]
    return films.reshape(n, FRAMES * SIDE, SIDE)


def paths(n: int, seed: int) -> np.ndarray:
    """Upper left corners (row, column) of n digits in each frame, int [n, FRAMES, 2].

    A coordinate runs to and fro between 0 and the last place that has room, at a constant speed.
    """
    room = SIDE - DIGIT
    random = np.random.default_rng(seed)
    begin = random.integers(0, 2 * room, (n, 1, 2))  # on the way there or back
    speed = random.choice(SPEEDS, (n, 1, 2))
    way = (begin + speed * np.arange(FRAMES)[None, :, None]) % (2 * room)
    return room - np.abs(way - room)


def of_mnist(mnist: dict[str, np.ndarray], seed: int = 2016) -> dict[str, np.ndarray]:
    """The arrays of the data set, from those of MNIST."""
    made = {}
    for number, (split, most) in enumerate((("train", TRAIN), ("test", TEST))):
        made[f"{split}_images"] = bounce(mnist[f"{split}_images"][:most], seed + number)
        made[f"{split}_labels"] = mnist[f"{split}_labels"][:most]
    return made
