"""What a model of films remembers while one is drawn: a state for the frame under way, and the frame itself.

A film is one tall image, its frames one under the other. A frame is drawn like any image, by a state of its own; what the frames
before it say is settled when it begins, so a new state is made for each.
"""

from collections.abc import Callable

from torch import Tensor

from genlib.sampling.raster import CausalState


class FilmState:
    """A `CausalState` for films.

    Args:
        following: the frame that has just become complete, [B, C, h, W] -> the state that draws the next one. It is first called
            with ``blank``, in the place of a frame before the first, and then with each in turn.
        blank: zeros [B, C, h, W].
    """

    def __init__(self, following: Callable[[Tensor], CausalState], blank: Tensor) -> None:
        self._following = following
        self._frame = blank.clone()
        self._state = following(blank)
        self._row = 0  # rows of the frame that were begun

    def _turn(self) -> None:
        """Go on to the next frame, if this one is complete."""
        if self._row == self._frame.shape[2]:
            self._state = self._following(self._frame)
            self._row = 0

    def fill_rows(self, values: Tensor) -> None:
        while values.shape[2]:
            self._turn()
            part = values[:, :, : self._frame.shape[2] - self._row]
            self._state.fill_rows(part)
            self._frame[:, :, self._row : self._row + part.shape[2]] = part
            self._row += part.shape[2]
            values = values[:, :, part.shape[2] :]

    def begin_row(self) -> None:
        self._turn()
        self._state.begin_row()
        self._row += 1

    def logits(self, column: int, channel: int) -> Tensor:
        return self._state.logits(column, channel)

    def write(self, column: int, channel: int, values: Tensor) -> None:
        self._frame[:, channel, self._row - 1, column] = values
        self._state.write(column, channel, values)
