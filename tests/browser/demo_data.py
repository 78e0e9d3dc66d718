"""The pictures and codes of the demo page, apart from the page so that tests can compute with them."""

from __future__ import annotations

import numpy as np

from genlib.ui.components import atlas_codes, atlas_sheet

SIDE = 28
GRID, EXTENT = 13, 3.0


def ring(side: int = SIDE, radius: float = 8.0) -> np.ndarray:
    """A grey ring, uint8 [side, side]."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    return (255 * np.exp(-((np.hypot(rows, columns) - radius) ** 2) / 3)).astype(np.uint8)


def plane() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sheet of ellipses that bend with the code, and ten clouds of codes."""
    rows, columns = (np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2) / 10
    tiles = []
    for x, y in atlas_codes(GRID, EXTENT):
        radius = np.hypot(rows * (1 + 0.2 * y), columns * (1 - 0.2 * x) + 0.15 * x * rows)
        tiles.append(255 * np.exp(-((radius - 0.55 - 0.1 * y) ** 2) / (0.02 + 0.01 * (x + 3))))
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 10, 4000)
    angle = classes * 2 * np.pi / 10
    spread = rng.normal(size=(4000, 2)) * (0.25, 0.45)
    centres = np.stack([np.cos(angle), np.sin(angle)], 1) * (0.8 + 0.9 * (classes % 2))[:, None]
    return atlas_sheet(np.array(tiles).astype(np.uint8), GRID), np.clip(centres + spread, -3, 3), classes
