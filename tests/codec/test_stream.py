"""The ends of the entropy coder: as few bytes as can be, and everything is read again."""

import constriction
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genlib.codec.stream import decoder, encoder, finite, same_arithmetic, seal
from genlib.errors import GenlibError

FAMILY = constriction.stream.model.Bernoulli(perfect=False)


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.sampled_from([0.03, 0.3, 1, 30]))
@settings(max_examples=300, deadline=None)
def test_a_stream_ends_within_a_byte_of_its_information(seed: int, steps: int, skew: float) -> None:
    rng = np.random.default_rng(seed)
    chances = [rng.random(rng.integers(1, 6)) ** skew for _ in range(steps)]
    symbols = [(rng.random(len(p)) < p).astype(np.int32) for p in chances]
    coder = encoder()
    for p, s in zip(chances, symbols, strict=True):
        coder.encode(s, FAMILY, p)
    data = seal(coder)
    bits = -sum(float(np.log2(np.where(s, p, 1 - p)).sum()) for p, s in zip(chances, symbols, strict=True))
    assert len(data) <= bits * 1.0001 / 8 + 1.01
    reader = decoder(data)
    for p, s in zip(chances, symbols, strict=True):
        assert (reader.decode(FAMILY, p) == s).all()


def test_one_thread_inside_and_the_old_number_after() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with same_arithmetic():
            assert torch.get_num_threads() == 1
        with pytest.raises(ValueError), same_arithmetic():
            raise ValueError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_what_is_no_number_is_refused() -> None:
    assert finite(np.array([0.5])) == 0.5
    with pytest.raises(GenlibError, match="diverged"):
        finite(np.array([0.5, np.nan]))
