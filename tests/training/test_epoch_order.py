"""The order of an epoch: every image once, and those that belong together side by side."""

import pytest
import torch

from genlib.training.steps import epoch_order


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("together", [1, 2, 3])
def test_every_image_once(together: int) -> None:
    labels = torch.randint(5, (100,), generator=seeded(0))
    order = epoch_order(labels, together, seeded(1))
    assert order.sort().values.tolist() == list(range(100))
    assert torch.equal(order, epoch_order(labels, together, seeded(1)))
    assert not torch.equal(order, epoch_order(labels, together, seeded(2)))


def test_runs_share_a_label_and_what_is_left_over_comes_last() -> None:
    labels = torch.tensor([0] * 5 + [1] * 4 + [2] * 7 + [3])
    found = labels[epoch_order(labels, 2, seeded(0))]
    runs = found[:14].view(-1, 2)
    assert torch.equal(runs[:, 0], runs[:, 1])
    assert runs[:, 0].bincount().tolist() == [2, 2, 3]
    assert sorted(found[14:].tolist()) == [0, 2, 3]
    assert runs[:, 0].tolist() != sorted(runs[:, 0].tolist())


def test_who_meets_whom_changes_from_epoch_to_epoch() -> None:
    labels = torch.zeros(20, dtype=torch.long)
    pairs = [{frozenset(pair) for pair in epoch_order(labels, 2, seeded(seed)).view(-1, 2).tolist()} for seed in (0, 1)]
    assert pairs[0] != pairs[1]


def test_without_company_it_is_the_plain_shuffle() -> None:
    labels = torch.arange(30) % 3
    assert torch.equal(epoch_order(labels, 1, seeded(4)), torch.randperm(30, generator=seeded(4)))
