"""The kinds of two-dimensional LSTM, by the places they read (see `genlib.layers.lstm2d`)."""

from dataclasses import dataclass, replace

Tap = tuple[int, int]
"""(rows, columns) to add to a pixel's place; in the mirrored direction columns count the other way."""


@dataclass(frozen=True)
class Sweep:
    """Where a pixel's gates and cell look, and how the directions are put together."""

    name: str
    input_taps: tuple[Tap, ...]
    state_taps: tuple[Tap, ...]
    cell_taps: tuple[Tap, ...]
    """One forget gate for each."""
    shifts: tuple[int, ...] = (0,)
    """For each direction, the rows its map is moved down before the maps are added. The second direction is mirrored."""


ROW = Sweep(
    "row",
    input_taps=((0, -1), (0, 0)),  # 3x1 along the row with mask B: its right tap is never used
    state_taps=((-1, -1), (-1, 0), (-1, 1)),
    cell_taps=((-1, 0),),
)
"""Row LSTM: a whole row at once from the row above it. Its view is a triangle."""

DIAGONAL = Sweep(
    "diagonal",
    input_taps=((0, 0),),
    state_taps=((0, -1), (-1, 0)),
    cell_taps=((0, -1),),
    shifts=(0, 1),
)
"""Diagonal BiLSTM: from the left and from above, and the mirror image of it. The right-to-left map at a pixel knows what is
to the right in the pixel's own row, so it serves the row below."""

UNSHIFTED = replace(DIAGONAL, name="unshifted", shifts=(0, 0))
"""A Diagonal BiLSTM whose right-to-left map is not moved down: each pixel sees what it should predict."""

SPATIAL = Sweep(
    "spatial",
    input_taps=((0, 0),),
    state_taps=((0, -1), (-1, 0)),
    cell_taps=((0, -1), (-1, 0)),
)
"""Spatial LSTM (Theis & Bethge 2015): one direction, but the cell too is handed on both from the left and from above."""
