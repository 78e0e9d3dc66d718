"""The one-shot classification task of Lake, Salakhutdinov & Tenenbaum 2015 ("Human-level concept learning through probabilistic
program induction", Science 350): 20 runs, in each 20 characters of one alphabet, drawn once by one person and once by another.

A run asks of each of the second person's characters which of the first person's it is. All alphabets are of the evaluation set, so
that none of these characters is in the data set ``omniglot``. The runs lie in the embedded ``omniglot.npz``.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genlib.data.datasets import EMBEDDED

RUNS, CHARACTERS = 20, 20


class OneShotRuns(NamedTuple):
    """Float images in [0, 1], ink = 1; ``answers[r, q]`` is the support that query q of run r is the same character as."""

    support: Tensor
    """[20, 20, 1, 28, 28]: the one example of each character."""
    query: Tensor
    """[20, 20, 1, 28, 28]: what is to be classified."""
    answers: Tensor
    """int64 [20, 20]."""


@lru_cache(maxsize=1)
def one_shot_runs() -> OneShotRuns:
    """All runs; they stay in memory."""
    with np.load(EMBEDDED["omniglot"], allow_pickle=False) as file:
        support, query = (
            torch.from_numpy(file[f"oneshot_{part}"])[:, :, None].float() / 255 for part in ("support", "query")
        )
        return OneShotRuns(support, query, torch.from_numpy(file["oneshot_answers"].astype(np.int64)))
