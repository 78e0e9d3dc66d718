"""Which checkpoints are variants of another: named apart from the plain MODEL-DATA, which is there as well."""

from collections.abc import Mapping


def without_variants(kinds: Mapping[str, tuple[str, str]]) -> list[str]:
    """Of checkpoints, name -> (model, data set), those that are shown unasked, in the same order."""
    return [
        name for name, (model, data) in kinds.items() if name == f"{model}-{data}" or f"{model}-{data}" not in kinds
    ]
