"""A small GAN that is trained by hand: one step of D, one step of G, and what can be seen after each.

Shows nothing itself. A `Game` belongs to one visitor. It holds the pair, its optimizers, the wall of the same noise over
training, and the curves; all of it is bounded, however long somebody plays.
"""

import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genlib.data import Dataset, datasets
from genlib.errors import GenlibError
from genlib.figures.images import to_pixels
from genlib.models import catalogue, count_parameters
from genlib.models.contract import Config, Model
from genlib.training import checkpoint

WALL, REAL = 15, 3  # generated pictures on the wall, and real ones beside them
CROWD = 96  # pictures of each kind for the histograms and the meter
BATCH = 64  # images per step at most: a step by hand should be felt at once
MOST_PARAMETERS = 3_000_000
MOST_GAMES = 64  # of all visitors: what they hold together stays within about three gigabytes
FRAMES = 40  # walls that are kept
POINTS = 4000  # of a curve that are kept

_games: "weakref.WeakSet[Game]" = weakref.WeakSet()
_counting = threading.Lock()


class HandOptimizers:
    """`genlib.models.contract.Optimizers` for steps by hand: backward, clip, step."""

    def __init__(self, model: Model, seed: int) -> None:
        self._model = model
        self.generator = model.generator(seed)
        self._clip = model.config.gradient_clip

    @cached_property
    def named(self) -> dict[str, torch.optim.Optimizer]:
        """The model's optimizers, made by the first step: PyTorch's need two seconds to load, and the wall should hang first."""
        return self._model.optimizers()

    def minimise(self, name: str, loss: Tensor) -> None:
        """One step of the optimizer ``name`` down the gradient of ``loss``."""
        optimizer = self.named[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self._clip:
            torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], self._clip)
        optimizer.step()


@dataclass(frozen=True, eq=False)
class Exhibit:
    """The wall at one moment: after ``steps`` of (D, G), pictures uint8 [N, H, W, 3] with what the judge says of each
    [N], and of the real ones [R]; ``share_...``: how far it takes each for real, see `shares`."""

    steps: tuple[int, int]
    fakes: np.ndarray
    on_fakes: np.ndarray
    on_reals: np.ndarray
    share_fakes: np.ndarray
    share_reals: np.ndarray


class Game:
    """A pair in training on ``dataset``. The same model and seed play the same game.

    Raises `GenlibError` for data of another shape, for a pair that is too large, and when too many play already.
    """

    def __init__(self, model: Any, dataset: Dataset, seed: int = 0) -> None:
        if model.config.shape != dataset.info.shape:
            raise GenlibError(
                f"{model.name} is set up for images of {model.config.shape}, but {dataset.info.name} has "
                f"{dataset.info.shape}: choose other data."
            )
        refuse_large(model)
        with _counting:
            if len(_games) >= MOST_GAMES:
                raise GenlibError(
                    f"{MOST_GAMES} pairs are being trained on this server's stage: try again when a visitor has left it."
                )
            _games.add(self)
        self.model = model.to(checkpoint.pick_device()).train()
        self.parts = self.model.parts()
        self.dataset = dataset
        self.optimizers = HandOptimizers(self.model, seed)
        self.batch = batch_of(model.config)
        self.d_steps = self.g_steps = 0
        self.diverged = ""
        self.frames: list[Exhibit] = []
        self.curves: dict[str, tuple[list[int], list[float]]] = {name: ([], []) for name in model.terms}
        self._rows = torch.Generator().manual_seed(seed)
        eye = self.model.generator(seed + 1)
        self._fixed = self.model.noise(CROWD, eye)  # the first of them are the wall's
        held = dataset.batch("validation", slice(0, CROWD)).to(self.model.device)
        self._held = held
        self.reals = to_pixels(held[:REAL])
        self.spread = spread(held)
        self.look()

    @classmethod
    def fresh(cls, name: str, preset: str | None = None, data: str = "mnist", seed: int = 0, **values: Any) -> "Game":
        """A game from fresh weights: a model of the catalogue, its preset, and fields that differ from it."""
        kind = catalogue.get(name)
        return cls.of(kind, kind.configure(preset, datasets.describe(data).shape, **values), data, seed)

    @classmethod
    def of(cls, kind: type[Model], config: Config, data: str, seed: int, weights: Path | None = None) -> "Game":
        """A game with this config, from fresh weights or from those of a checkpoint."""
        with torch.device("meta"):  # shapes only, until they are known to be small enough
            refuse_large(kind.from_config(config))
        model = kind.from_config(config, seed)
        if weights is not None:
            checkpoint.read_weights(weights, model)
        return cls(model, datasets.load(data), seed)

    # Steps

    @property
    def steps(self) -> int:
        """Steps of D and of G so far."""
        return self.d_steps + self.g_steps

    def step_discriminator(self) -> None:
        """One step of D on fresh real images and as many fresh ones of G; G stays as it is."""
        rows = torch.randint(self.dataset.size("train"), (self.batch,), generator=self._rows)
        with _learning(self.model, standing=self.parts["generator"]):
            images = self.dataset.batch("train", rows).to(self.model.device)
            terms = self.model.step_discriminator(images, self.optimizers)
        self.d_steps += 1
        self._record(terms)

    def step_generator(self) -> None:
        """One step of G by what D says of fresh images; D stays as it is."""
        with _learning(self.model, standing=self.parts["discriminator"]):
            terms = self.model.step_generator(self.batch, self.optimizers)
        self.g_steps += 1
        self._record(terms)

    def step_both(self) -> None:
        """As many steps of D, then of G, as the preset takes for one training step."""
        for _ in range(self.model.config.discriminator_steps):
            self.step_discriminator()
        for _ in range(self.model.config.generator_steps):
            self.step_generator()

    def _record(self, terms: dict[str, Tensor]) -> None:
        for name, value in terms.items():
            number = float(value)
            if not math.isfinite(number):
                self.diverged = f"{name} is no number any more after {self.steps:,} steps: this pair has diverged."
                return
            moves, values = self.curves[name]
            moves.append(self.steps)
            values.append(number)
            if len(moves) > POINTS:
                del moves[::2], values[::2]

    # What can be seen

    def look(self) -> None:
        """Hang the wall anew, and let the judge look at it and at the crowd."""
        decoded = self.model.decode(self._fixed)
        judged = self.model.discriminate(decoded), self.model.discriminate(self._held)
        on_fake, on_real = (value.float().cpu().numpy() for value in judged)
        if not np.isfinite(on_fake).all():
            self.diverged = self.diverged or f"After {self.steps:,} steps the pictures are no numbers any more."
            return
        self.on_real, self.on_fake = on_real, on_fake
        self.variety = spread(decoded) / self.spread
        if self.frames and self.frames[-1].steps == (self.d_steps, self.g_steps):
            return
        verdicts = on_fake[:WALL], on_real[:REAL]
        placed = [shares(self.model, part, on_real, on_fake) for part in verdicts]
        wall = Exhibit((self.d_steps, self.g_steps), to_pixels(decoded[:WALL]), *verdicts, *placed)
        self.frames.append(wall)
        if len(self.frames) > FRAMES:  # the first and the newest stay, every second of the others goes
            self.frames = [*self.frames[:-1:2], self.frames[-1]]


MOVES: dict[str, Callable[[Game], None]] = {
    "D": Game.step_discriminator,
    "G": Game.step_generator,
    "both": Game.step_both,
}


def advance(games: Sequence[Game], move: str, count: int, seconds: float) -> int:
    """The same move in all games, at most ``count`` times and for about ``seconds``, once at least; how often it was.

    Ends when a game has diverged.
    """
    end, done = time.monotonic() + seconds, 0
    while done < count and not any(game.diverged for game in games):
        for game in games:
            MOVES[move](game)
        done += 1
        if time.monotonic() >= end:
            break
    return done


def batch_of(config: Any) -> int:
    """Images in a step of one player: the preset's, or its share of the batch, but not too many for a step by hand."""
    share = config.batch_size // (config.discriminator_steps if config.divide_batch else 1)
    return max(2, min(BATCH, share))


def refuse_large(model: Model) -> None:
    """A pair that is too large for a visitor's stage is a `GenlibError`."""
    size = count_parameters(model)
    if size > MOST_PARAMETERS:
        raise GenlibError(
            f"This {model.name} has {size:,} parameters, and the stage holds pairs of up to {MOST_PARAMETERS:,}: choose "
            "another preset, or train it on the Train page."
        )


def spread(images: Tensor) -> float:
    """How different images [N, C, H, W] are among each other: the mean Euclidean distance of two of them."""
    return float(torch.pdist(images.flatten(1).float()).mean())


def shares(model: Any, verdicts: np.ndarray, on_real: np.ndarray, on_fake: np.ndarray) -> np.ndarray:
    """How far a judge takes pictures for real, 0 to 1, a half being undecided.

    A probability is that itself. A critic's scores have no scale of their own: they are placed between what it says of a
    crowd of generated and of real images, the middle of the two means being a half.
    """
    if model.verdict == "probability of real":
        return verdicts
    middle = (on_real.mean() + on_fake.mean()) / 2
    reach = max(float(np.abs(np.concatenate([on_real, on_fake]) - middle).max()), 1e-9)
    return np.clip(0.5 + (verdicts - middle) / (2 * reach), 0, 1)


@contextmanager
def _learning(model: Model, *, standing: nn.Module) -> Iterator[None]:
    """Inside, gradients are kept, also within a visitor's turn, where they are not by default.

    The ``standing`` player has not moved at all afterwards: not even batch norm's running statistics, which the other
    player's step passes through, and which would let the wall flicker while D learns.
    """
    model.train()
    with torch.inference_mode(False), torch.enable_grad():
        before = [buffer.clone() for buffer in standing.buffers()]
        yield
        with torch.no_grad():
            for buffer, old in zip(standing.buffers(), before, strict=True):
                buffer.copy_(old)
