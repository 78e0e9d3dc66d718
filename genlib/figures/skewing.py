"""The skewing of a Diagonal BiLSTM as frames: rows move until diagonals are columns, the columns are swept, one map moves down a row.

van den Oord et al. 2016, Pixel Recurrent Neural Networks, arXiv:1601.06759, section 3.2 and figure 3. What is shown is what runs: the
places come from the layer's own `skew`, the taps and the shift from its `DIAGONAL`, what a state knows from gradients of its
`sweep_states`.
"""

from dataclasses import dataclass

import numpy as np
import torch

from genlib.figures.images import blend, rgb
from genlib.figures.palette import GREEN, ORANGE, PURPLE, SKY, YELLOW
from genlib.layers.lstm2d_eager import moved, skew, sweep_states
from genlib.layers.sweeps import DIAGONAL

SIDE = 8
PIXEL = (5, 3)  # whose view is shown at the end
EMPTY = "#3A4148"
DIM, UNSEEN = 0.72, 0.86  # how far a cell fades into the empty ground: not computed yet, not seen
LEAK = "#D55E00"
DIAGONALS = (SKY, YELLOW, GREEN, PURPLE)

Rectangle = tuple[float, float, float, float, float, str]
"""Centre x and y, width, height in cells; width of the line; colour."""


@dataclass(frozen=True)
class SkewFilm:
    """T frames in step. ``skewed``: for each direction uint8 [T, SIDE, 2 SIDE - 1, 3]; ``plain``: in the image, [T, SIDE, SIDE, 3]."""

    skewed: tuple[np.ndarray, np.ndarray]
    plain: tuple[np.ndarray, np.ndarray]
    skewed_boxes: tuple[list[list[Rectangle]], list[list[Rectangle]]]
    plain_boxes: tuple[list[list[Rectangle]], list[list[Rectangle]]]
    captions: list[str]


def views(shifts: tuple[int, ...] = DIAGONAL.shifts) -> list[np.ndarray]:
    """For each direction, bool [SIDE, SIDE]: which inputs of the layer reach `PIXEL`, by gradient, its map moved down by ``shifts``."""
    found = []
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.ones(SIDE, SIDE, 1, 2, dtype=torch.float64, requires_grad=True)
        rows = 2 * len(DIAGONAL.input_taps) + len(DIAGONAL.state_taps)
        weight = torch.full((2, rows, 3 + len(DIAGONAL.cell_taps)), 0.3, dtype=torch.float64)
        states = sweep_states(DIAGONAL, x, weight, torch.zeros(2, weight.shape[2], dtype=torch.float64))
        for state, shift in zip(states, shifts, strict=True):
            here = moved(state, -shift, 0)[PIXEL].sum()
            (gradient,) = torch.autograd.grad(here, x, retain_graph=True)
            found.append((gradient[:, :, 0].sum(-1) != 0).numpy())
    return found


def film() -> SkewFilm:
    """The whole film: rows moving, fronts sweeping, what a pixel knows before and after the shift."""
    rows, columns = np.indices((SIDE, SIDE))
    fronts = rows + columns  # the same in the mirrored direction, whose columns count from the right
    colours = np.stack([rgb(c) for c in DIAGONALS])[fronts % len(DIAGONALS)]
    skewed: list[np.ndarray] = []
    images: list[np.ndarray] = []  # of the left-to-right direction
    boxes: list[list[Rectangle]] = []
    plain_boxes: list[list[Rectangle]] = []
    captions: list[str] = []
    for t in range(SIDE):
        skewed.append(_moved_rows(colours, t))
        images.append(colours)
        boxes.append([])
        plain_boxes.append([])
        captions.append(
            "A diagonal holds pixels that do not wait for one another, but it is not a column."
            if t == 0
            else f"Row r moves right by r places: {t} of {SIDE - 1} moves."
        )
    captions[-1] = "Skewed: every diagonal is now a column, so one convolution computes it at once."
    for front in range(2 * SIDE - 1):
        done = fronts <= front
        part = blend(colours, ~done, EMPTY, DIM)
        skewed.append(_skewed(part))
        images.append(part)
        cells = [(r, front - r) for r in range(SIDE) if 0 <= front - r < SIDE]
        row = cells[len(cells) // 2][0]
        boxes.append(_sweep_boxes(front, row, cells))
        plain_boxes.append([_cell(row, front - row, ORANGE)])
        captions.append(
            f"Column {front + 1} of {2 * SIDE - 1}: each state (orange) reads two states of the column before (blue): "
            "in the image, left and above."
        )
    mirrored = [image[:, ::-1] for image in images]
    mirrored_boxes = [[_mirrored(box) for box in of_step] for of_step in plain_boxes]
    film = SkewFilm(
        (np.stack(skewed), np.stack(skewed)),
        (np.stack(images), np.stack(mirrored)),
        (boxes, [list(b) for b in boxes]),
        (plain_boxes, mirrored_boxes),
        captions,
    )
    return _with_views(film, colours)


def _with_views(film: SkewFilm, colours: np.ndarray) -> SkewFilm:
    """The film and two more frames: what the two states at `PIXEL` know, before and after the shift."""
    row, column = PIXEL
    rows, columns = np.indices((SIDE, SIDE))
    later = (rows == row) & (columns > column)  # their features know the pixel itself
    ends = [
        (views((0, 0)), f"What the states at one pixel know: the right-to-left one knows {int(later.sum())} places too many (red)."),
        (views(), "So the right-to-left map is moved down a row before the two are added: together all that comes before."),
    ]  # fmt: skip
    skewed, plain = ([list(frames) for frames in pair] for pair in (film.skewed, film.plain))
    hue = np.broadcast_to(rgb(SKY), colours.shape)
    for (left, right), caption in ends:
        for k, seen in enumerate((left, right)):
            image = blend(blend(hue, ~seen, EMPTY, UNSEEN), seen & later, LEAK, 1.0)
            plain[k].append(image)
            skewed[k].append(_skewed(image[:, ::-1] if k else image))
            film.plain_boxes[k].append([_cell(row, column, ORANGE)])
            across = row + (SIDE - 1 - column if k else column)
            film.skewed_boxes[k].append([_cell(row, across, ORANGE)])
        film.captions.append(caption)
    (s0, s1), (p0, p1) = ([np.stack(frames) for frames in pair] for pair in (skewed, plain))
    return SkewFilm((s0, s1), (p0, p1), film.skewed_boxes, film.plain_boxes, film.captions)


def _skewed(image: np.ndarray) -> np.ndarray:
    """The layer's own `skew` of a picture uint8 [SIDE, SIDE, 3]; what it fills in gets the ground's colour."""
    there = skew(torch.ones(SIDE, SIDE, dtype=torch.bool)).numpy()
    pixels = skew(torch.from_numpy(np.ascontiguousarray(image))).numpy()
    return np.where(there[..., None], pixels, rgb(EMPTY))


def _moved_rows(image: np.ndarray, moves: int) -> np.ndarray:
    """On the way there: row r has moved by min(r, moves). After all moves it is `skew`."""
    if moves == SIDE - 1:
        return _skewed(image)
    frame = np.broadcast_to(rgb(EMPTY), (SIDE, 2 * SIDE - 1, 3)).copy()
    for r in range(SIDE):
        start = min(r, moves)
        frame[r, start : start + SIDE] = image[r]
    return frame


def _cell(row: float, column: float, colour: str) -> Rectangle:
    return column, row, 1.0, 1.0, 3.0, colour


def _mirrored(box: Rectangle) -> Rectangle:
    return (SIDE - 1 - box[0], *box[1:])


def _sweep_boxes(front: int, row: int, cells: list[tuple[int, int]]) -> list[Rectangle]:
    """The column under way, the cell in ``row`` and, of the states it reads, those inside the map."""
    first, last = cells[0][0], cells[-1][0]
    drawn: list[Rectangle] = [(front, (first + last) / 2, 1.0, last - first + 1.0, 2.0, "#FFFFFF")]
    for down, right in DIAGONAL.state_taps:
        r, c = row + down, front - row + right
        if 0 <= r < SIDE and 0 <= c < SIDE:
            drawn.append(_cell(r, r + c, "#0072B2"))
    return [*drawn, _cell(row, front, ORANGE)]
