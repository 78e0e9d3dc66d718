"""Variants of a checkpoint stand behind it only where it is there itself."""

from genlib.training.variants import without_variants


def test_a_variant_needs_the_plain_one() -> None:
    kinds = {
        "gan-mnist": ("gan", "mnist"),
        "gan-mnist-wide": ("gan", "mnist"),
        "gan-cifar10-wide": ("gan", "cifar10"),
        "mine": ("vae", "mnist"),
    }
    assert without_variants(kinds) == ["gan-mnist", "gan-cifar10-wide", "mine"]
