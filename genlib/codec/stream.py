"""The entropy coder, and the arithmetic that both of its sides must share.

A range coder (Martin 1979; here the one of the library `constriction`) turns a sequence of symbols into a number from an
interval that each symbol narrows by its probability: n symbols cost -log2 prod p bits, and less than a byte more. It is a queue:
what is written first is read first, so a decoder can compute what to expect from what it has read. Both sides must ask for the
same distributions in the same order, to the last bit of every float.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from genlib.errors import GenlibError

WORD = 4  # bytes that the coder reads and writes at once
_alone = threading.Lock()


@contextmanager
def same_arithmetic() -> Iterator[None]:
    """Inside, sums are made by one thread, whatever the process uses elsewhere: more threads add in another order.

    The number of threads belongs to the process, so only one coding at a time is inside; others wait.
    """
    with _alone:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def set_threads(threads: int) -> None:
    """`torch.set_num_threads`, once no coding is under way."""
    with _alone:
        torch.set_num_threads(threads)


def encoder() -> Any:
    """An empty `constriction` range encoder."""
    import constriction

    return constriction.stream.queue.RangeEncoder()


def seal(coder: Any) -> bytes:
    """What an encoder has written, as few bytes as name a number in its last interval; zeros follow in thought.

    The coder itself ends on whole words of four bytes.
    """
    position, (lower, size) = coder.pos()
    words = coder.get_compressed()[:position].astype(">u4").tobytes()
    before = int.from_bytes(words, "big") - (lower + (1 << 32) > 1 << 64)  # its own end carried one into these words
    low = (before << 64) + lower  # the interval: `size` numbers of 64 bits more than the words have
    length = 0
    while -(-low >> 64 - 8 * length) << 64 - 8 * length >= low + size:  # no multiple of so large a unit lies inside
        length += 1
    return (-(-low >> 64 - 8 * length)).to_bytes(len(words) + length, "big").rstrip(b"\0")


def decoder(data: bytes) -> Any:
    """A `constriction` range decoder of what `seal` gave."""
    import constriction

    whole = data + bytes(-len(data) % WORD + 2 * WORD)
    return constriction.stream.queue.RangeDecoder(np.frombuffer(whole, ">u4").astype(np.uint32))


def finite(probabilities: np.ndarray) -> np.ndarray:
    """The same, or a `GenlibError`: a model whose weights overflowed gives no probabilities."""
    if not np.isfinite(probabilities).all():
        raise GenlibError(
            "The model gives probabilities that are no numbers, as it has diverged: take another checkpoint."
        )
    return probabilities
