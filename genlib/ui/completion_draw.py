"""What the Completion page computes: completions while they are drawn, predictions, and what the known pixels tell of the class.

All of it is remembered for all visitors, so that the same link is computed once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from genlib.figures import completion as figures
from genlib.ui import ahead, models, pick_draw, pick_image
from genlib.ui.completion import PREFIX, Chosen, Settings, Work, picture_of
from genlib.ui.components.wire import digest
from genlib.ui.recent import Recent

BLINK = 0.07  # seconds between two looks at pictures that are being drawn

Show = Callable[[Tensor, np.ndarray | None], None]
"""Called with pictures [n, C, H, W] that are being drawn and bool [H, W], what of them is finished; None: all."""


@dataclass(frozen=True, eq=False)
class Completions:
    """``pictures`` [n, C, H, W], drawn in ``seconds``; ``coded`` [C, H, W] is the whole picture as the model reads it."""

    pictures: Tensor
    coded: Tensor
    seconds: float


_drawn: Recent[Completions] = Recent(64)
_predicted: Recent[Tensor] = Recent(32)
_classes: Recent[Tensor] = Recent(64)


def tensor(picture: np.ndarray) -> Tensor:
    """uint8 [H, W] or [H, W, 3] -> float [1, C, H, W] in [0, 1]."""
    pixels = picture[..., None] if picture.ndim == 2 else picture
    return torch.from_numpy(pixels.copy()).movedim(-1, 0)[None].float() / 255


def ranks(chosen: Chosen) -> np.ndarray:
    """The order in which a model draws the pixels, int [H, W]."""
    return figures.pixel_ranks(chosen.model.order())


def _identity(chosen: Chosen) -> tuple[object, ...]:
    return chosen.checkpoint, chosen.version, chosen.label


# -- completions -----------------------------------------------------------------------------------


def complete(s: Settings, picture: np.ndarray, known: np.ndarray, shows: Sequence[Show]) -> list[Completions]:
    """Each model's completions, from memory or drawn now; then its ``shows`` is called a few times a second.

    Two models draw as if each had a processor of its own: whichever has used less time goes on. So one can be watched
    overtaking the other, and each has its own seconds.
    """
    keys = _keys(s, picture, known)
    found = [_drawn.get(key) for key in keys]
    if None in found:
        with models.computing():
            found = list(_complete(s, picture, known, shows))
    return [completions for completions in found if completions is not None]


def _keys(s: Settings, picture: np.ndarray, known: np.ndarray) -> list[str]:
    return [digest(*_identity(each), s.n, s.temperature, s.seed, picture, known) for each in s.chosen]


def _complete(
    s: Settings, picture: np.ndarray, known: np.ndarray, shows: Sequence[Show]
) -> Sequence[Completions | None]:
    """The completions, from memory or drawn now. To be called with a turn."""
    keys = _keys(s, picture, known)
    found = [_drawn.get(key) for key in keys]
    drawings = {
        i: _Drawing(s, chosen, picture, known, shows[i]) for i, chosen in enumerate(s.chosen) if found[i] is None
    }
    running = list(drawings.values())
    while running:
        slowest = min(running, key=lambda drawing: drawing.seconds)
        if not slowest.go_on(BLINK * len(running)):
            running.remove(slowest)
    for i, drawing in drawings.items():
        done = found[i] = drawing.result()
        _drawn.put(keys[i], done)
    return found


def complete_next(s: Settings, work: Work) -> None:
    """In advance, what the page's buttons lead to: the next test image under the same mask, and the next seed."""
    tasks = []
    if work.given:
        following = replace(s, index=pick_image.index_after(s.data, PREFIX, s.index))
        tasks.append(partial(_complete, following, picture_of(following)[1], work.known, [_unseen] * len(s.chosen)))
    seeded = replace(s, seed=pick_draw.seed_after(s.seed))
    tasks.append(partial(_complete, seeded, work.picture, work.known, [_unseen] * len(s.chosen)))
    ahead.plan("completion", tasks)


def _unseen(pictures: Tensor, drawn: np.ndarray | None) -> None:
    """Nobody watches."""


class _Drawing:
    """The completions of one model on their way, a row at a time."""

    def __init__(self, s: Settings, chosen: Chosen, picture: np.ndarray, known: np.ndarray, show: Show) -> None:
        self.seconds = 0.0  # spent on drawing, not on showing
        self._model, self._show = chosen.model, show
        self._n, self._label = s.n, chosen.label
        self._image = tensor(picture).to(chosen.model.device)
        self._known = torch.from_numpy(known.copy()).to(chosen.model.device)
        self._mask, self._order = known, ranks(chosen)
        self._finished = np.zeros_like(known)
        self._pictures = self._image.expand(s.n, -1, -1, -1)
        show(self._pictures, self._finished)
        self._shown = time.perf_counter()
        self._rows = self._model.complete_rows(
            self._image, self._known, s.n, seed=s.seed, label=chosen.label, temperature=s.temperature
        )

    def go_on(self, blink: float) -> bool:
        """Draw a row, and show it if the last look is longer ago than ``blink`` seconds. False: there was none left."""
        begin = time.perf_counter()
        step = next(self._rows, None)
        now = time.perf_counter()
        self.seconds += now - begin
        if step is None:
            return False
        row, pictures = step
        self._pictures = pictures[0]
        self._finished = self._finished | figures.drawn_with(row, self._mask, self._order)
        if now - self._shown > blink:
            self._show(self._pictures, self._finished)
            self._shown = time.perf_counter()
        return True

    def result(self) -> Completions:
        # With all of it known, "completing" is putting the picture into the model's coding; a class changes nothing then.
        label = 0 if self._model.classes else None
        coded = self._model.complete(self._image, torch.ones_like(self._known), 1, label=label)[0, 0]
        pictures = self._pictures if (~self._known).any() else coded.expand(self._n, -1, -1, -1)
        return Completions(pictures.cpu().clone(), coded.cpu().clone(), self.seconds)


# -- predictions -----------------------------------------------------------------------------------


def predict(chosen: Chosen, picture: Tensor) -> Tensor:
    """The model's distribution at every pixel of a picture [C, H, W], given what comes before it: [C, levels, H, W]."""
    key = digest(*_identity(chosen), picture.numpy())
    found = _predicted.get(key)
    if found is None:
        with models.computing():
            images = picture[None].to(chosen.model.device)
            found = chosen.model.pixel_distribution(images, label=chosen.label)[0].cpu()
        _predicted.put(key, found)
    return found


def class_chances(chosen: Chosen, coded: Tensor, known: np.ndarray) -> Tensor:
    """p(class | known pixels before the first hidden one) of a coded picture [C, H, W]: [K].

    Completions without a label draw their classes from it. By Bayes' rule with equally frequent classes it is the
    softmax of ln p(those pixels | class), the sum of what `pixel_distribution` gives for their values.
    """
    first = torch.from_numpy(figures.known_first(known, ranks(chosen)))
    key = digest(chosen.checkpoint, chosen.version, coded.numpy(), first.numpy())
    found = _classes.get(key)
    if found is None:
        labels = torch.arange(chosen.model.classes, device=chosen.model.device)
        images = torch.where(first, coded, 0).to(labels.device).expand(len(labels), -1, -1, -1)
        with models.computing():
            p = chosen.model.pixel_distribution(images, label=labels).cpu().double()  # [K, C, levels, H, W]
        values = (coded * (p.shape[2] - 1)).round().long()[None, :, None].expand(len(p), -1, -1, -1, -1)
        of_values = p.gather(2, values).clamp(min=1e-300).log()[:, :, 0]  # [K, C, H, W]
        found = of_values[:, :, first].sum((1, 2)).softmax(0)
        _classes.put(key, found)
    return found
