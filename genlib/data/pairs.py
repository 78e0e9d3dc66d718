"""Pairs of images that share a label."""

import torch
from torch import Tensor


def next_of_class(labels: Tensor) -> Tensor:
    """For each of N labels the place of the next that is the same, and for the last of a label the place of its first: int64 [N].

    A label that stands alone gets its own place.
    """
    order = labels.argsort(stable=True)
    ranked, place = labels[order], torch.arange(len(labels), device=labels.device)
    first = torch.where(ranked != ranked.roll(1), place, 0).cummax(0).values  # of the label, in ``order``
    follows = torch.cat((ranked[1:] == ranked[:-1], torch.zeros(1, dtype=torch.bool, device=labels.device)))
    return torch.empty_like(order).scatter_(0, order, order[torch.where(follows, place + 1, first)])
