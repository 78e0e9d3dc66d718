"""What the symbols of a quantised code cost: probabilities that both sides of the lossy codec know.

The code z_t of a step is rounded to the grid mu_p + sigma_p grid k around the mean of its own prior N(mu_p, sigma_p^2), and the
integers k go to the entropy coder. Were z drawn from the prior, k would have the prior's bins as probabilities. But an encoder
that weighs bits against precision leaves most numbers of the code where the prior has them, at k = 0, and more so the fewer
bits there are. So for each `Rate`, a number of bits that a picture may have, the probabilities are counted on validation
pictures: for each step and channel, and for each of `CONTEXTS` contexts, the number of these that are not all zero: the codes
of the place to the left and of the place above, of this step, and of this place, of the step before.

Everything here is integers that were decoded before: no float of a network decides what a bit means, so a file's symbols are
the same on every machine.

A model whose codes were never counted has `guessed` tables: right in kind, and a few per cent to a half longer.
"""

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from genlib.codec.container import digest
from genlib.errors import GenlibError
from genlib.models.contract import Model

LARGEST = 7  # |k|; with a grid of one sigma, no draw of the prior in 10^11 lies beyond
GRID, GAIN = 2.0, 1.4  # of guessed tables; counted ones begin their search there
SYMBOLS = 2 * LARGEST + 1
CONTEXTS = 4
BITS = (77, 153, 307, 460, 612, 920, 1228, 1842, 2456)  # for which tables are made; others take the nearest
ONE = 1 << 14  # the sum of the counts in a table: what is stored
FORMAT = 2
METADATA = "genlib-codes"
MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Rate:
    """One operating point. ``bits`` of a picture it is meant for, ``steps`` that are kept, ``grid`` in units of the prior's
    sigma; ``counts`` int16 [steps, channels, CONTEXTS, SYMBOLS], each row adds up to `ONE`.

    ``gain``, which only the encoder needs: a symbol stands for posteriors whose means are gain times nearer to the prior's. A
    decoder was trained on draws of the posterior, whose noise it has learned to shrink away. What was rounded has no such
    noise, and would be shrunk all the same: so it is written larger."""

    bits: float
    steps: int
    grid: float
    gain: float
    counts: Tensor

    @property
    def probabilities(self) -> np.ndarray:
        """The same as probabilities, float32."""
        return (self.counts.numpy() / np.float32(ONE)).astype(np.float32)

    @property
    def nats(self) -> Tensor:
        """What each symbol costs, same shape, float32."""
        return -(self.counts.float() / ONE).log()


@dataclass(frozen=True)
class CodeTables:
    """The tables of one model, by rising bits."""

    rates: tuple[Rate, ...]

    @property
    def mark(self) -> bytes:
        """Two bytes that stand for these tables in a file."""
        found = 0
        for rate in self.rates:
            found = zlib.crc32(rate.counts.numpy().tobytes() + repr((rate.bits, rate.steps, rate.grid)).encode(), found)
        return (found & 0xFFFF).to_bytes(2, "little")

    def nearest(self, bits: float) -> int:
        """Which rate is meant for about so many bits a picture: the nearest by ratio."""
        return min(range(len(self.rates)), key=lambda i: abs(np.log(self.rates[i].bits / max(bits, 1e-3))))

    def tensors(self) -> dict[str, Tensor]:
        """What a file of them holds; see `read`."""
        return {f"{i:03d}": rate.counts for i, rate in enumerate(self.rates)}

    def header(self, model: Model) -> dict[str, str]:
        """The metadata of that file: whose codes these are, and what each table is meant for."""
        rates = [[rate.bits, rate.steps, rate.grid, rate.gain] for rate in self.rates]
        return {METADATA: json.dumps({"format": FORMAT, "digest": digest(model).hex(), "rates": rates})}


def contexts(used: Tensor, used_before: Tensor) -> Tensor:
    """The context of each place, [..., h, w] integers. ``used``: whether the place has a symbol other than 0, bool
    [..., h, w], of this step and of the step before (for the first step: False)."""
    left = torch.nn.functional.pad(used, (1, 0))[..., :-1]
    above = torch.nn.functional.pad(used, (0, 0, 1, 0))[..., :-1, :]
    return left.long() + above.long() + used_before.long()


def counted(histogram: Tensor) -> Tensor:
    """Histograms [..., CONTEXTS, SYMBOLS] of symbols seen -> counts int16 that add up to `ONE`, none of them 0.

    A context that was seen seldom borrows from the sum of all contexts, and that from a faint two-sided geometric law.
    """
    k = torch.arange(-LARGEST, LARGEST + 1).abs()
    faint = 0.25 ** k.double()
    seen = histogram.double()
    all_contexts = seen.sum(-2, keepdim=True) + faint
    smoothed = seen + 8 * all_contexts / all_contexts.sum(-1, keepdim=True)
    shares = smoothed / smoothed.sum(-1, keepdim=True)
    counts = (1 + shares * (ONE - SYMBOLS)).floor()
    rest = ONE - counts.sum(-1)
    most = counts.argmax(-1, keepdim=True)
    counts.scatter_add_(-1, most, rest.unsqueeze(-1))
    return counts.to(torch.int16)


def guessed(model: Model) -> CodeTables:
    """Tables without a picture seen: the fewer bits, the more zeros; the others by a geometric law."""
    config = model.config
    mean, _ = model.prior(model.begin(1))  # type: ignore[operator]
    _, channels, height, width = mean.shape
    k = torch.arange(-LARGEST, LARGEST + 1).abs()
    rates = []
    for bits in BITS:
        share = min(
            0.5, bits / 5 / (config.steps * channels * height * width)
        )  # of symbols that are not 0, at 5 bits each
        law = torch.where(k == 0, 1 - share, 0.35 ** k.double())
        law[k > 0] *= share / law[k > 0].sum()
        more = torch.tensor([0.6, 1.0, 1.5, 2.0], dtype=torch.float64)[:, None]
        histogram = 1e4 * torch.where(k == 0, law, law * more).expand(config.steps, channels, CONTEXTS, SYMBOLS)
        rates.append(Rate(float(bits), config.steps, GRID, GAIN, counted(histogram)))
    return CodeTables(tuple(rates))


def codes_folder() -> Path:
    """Where the counted tables lie: ``$GENLIB_CODES``, else the folder that ships with the project."""
    given = os.environ.get("GENLIB_CODES")
    return Path(given) if given else Path(__file__).resolve().parents[2] / "checkpoints" / "codes"


def tables_of(model: Model) -> CodeTables:
    """The tables that were counted for these very weights, or `guessed` ones."""
    mark = digest(model).hex()
    for path in sorted(codes_folder().glob("*.safetensors")):
        if read_mark(path, path.stat().st_mtime_ns) == mark:
            return read(path)
    return guessed(model)


@lru_cache(maxsize=64)
def read_mark(path: Path, time: int) -> str:
    """Whose tables a file holds: the digest of the model. ``time`` is the file's: one that was replaced is read again."""
    with _opened(path) as file:
        return str(json.loads((file.metadata() or {})[METADATA])["digest"])


def read(path: Path) -> CodeTables:
    """The tables in a file. One that is damaged is a `GenlibError`."""
    with _opened(path) as file:
        value = json.loads((file.metadata() or {})[METADATA])
        if value["format"] != FORMAT:
            raise ValueError(f"its format is {value['format']!r}, not {FORMAT}")
        rates = []
        for i, (bits, steps, grid, gain) in enumerate(value["rates"]):
            counts = file.get_tensor(f"{i:03d}")
            fits = counts.dtype == torch.int16 and counts.shape[2:] == (CONTEXTS, SYMBOLS) and len(counts) == steps
            if not fits or (counts < 1).any() or (counts.long().sum(-1) != ONE).any():
                raise ValueError(f"table {i} is none")
            rates.append(Rate(float(bits), int(steps), float(grid), float(gain), counts))
        return CodeTables(tuple(rates))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The safetensors file at a path; whatever is wrong with it becomes one sentence."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB")
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise GenlibError(
            f"The code tables {path} cannot be read ({error}): count them again with `genlib calibrate {path.stem}`."
        ) from None
