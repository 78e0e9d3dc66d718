"""Arithmetic: where a number must be exact, whatever the training loop chose for speed."""

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """A context without autocast: layers compute in the type of their weights. Likelihoods and draws need it."""
    if not torch.amp.is_autocast_available(device.type):  # e.g. the meta device
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
