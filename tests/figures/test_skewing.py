"""The film of the skewing: its last place is the layer's own `skew`, and the shift takes exactly the future away."""

import numpy as np
import pytest
import torch

from genlib.figures import skewing
from genlib.layers.lstm2d_eager import skew, unskew


@pytest.fixture(scope="module")
def film():
    return skewing.film()


def test_rows_end_where_skew_puts_them(film):
    assert len(film.captions) == len(film.skewed[0]) == len(film.plain[1]) == len(film.skewed_boxes[0])
    side = skewing.SIDE
    plain = torch.from_numpy(film.plain[0][side - 1].astype(np.int64))
    there = skew(torch.ones(side, side, dtype=torch.bool)).numpy()
    assert (film.skewed[0][side - 1][there] == skew(plain).numpy()[there]).all()
    assert (unskew(torch.from_numpy(film.skewed[0][side - 1])) == torch.from_numpy(film.plain[0][side - 1])).all()
    for column in range(2 * side - 1):  # a diagonal has become a column
        colours = film.skewed[0][side - 1][there[:, column], column]
        assert (colours == colours[0]).all()


def test_every_row_moves_by_one_or_stays(film):
    for t in range(skewing.SIDE):
        for r in range(skewing.SIDE):
            start = min(r, t)
            assert (film.skewed[0][t][r, start : start + skewing.SIDE] == film.plain[0][0][r]).all()


def test_the_shift_takes_the_future_away_and_nothing_else():
    row, column = skewing.PIXEL
    rows, columns = np.indices((skewing.SIDE, skewing.SIDE))
    left, right = skewing.views((0, 0))
    assert np.array_equal(left, (rows <= row) & (columns <= column))
    assert np.array_equal(right, (rows <= row) & (columns >= column))
    left, right = skewing.views()
    assert np.array_equal(right, (rows < row) & (columns >= column))
    upto = rows * skewing.SIDE + columns <= row * skewing.SIDE + column
    assert np.array_equal(left | right, upto)
