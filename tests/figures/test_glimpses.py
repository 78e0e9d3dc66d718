"""Frames and boxes say what the trace says."""

import numpy as np
import pytest
import torch

from genlib.figures import glimpses
from genlib.layers.attention import GlimpseBox
from genlib.models import create


@pytest.fixture(scope="module")
def trace():
    model = create("draw", steps=4, hidden=8, latent=3)
    return model.trace(torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0)), seed=1)


def test_a_box_spans_the_outermost_filter_centres(trace):
    boxes = glimpses.overlays(trace.write, trace.write_grid, 2, glimpses.WRITE)
    dots = glimpses.centres(trace.write, trace.write_grid, 2)
    for (box,), points in zip(boxes, dots, strict=True):
        xs, ys = np.array(points).T
        assert box.width == pytest.approx(xs.max() - xs.min(), abs=1e-4)
        assert box.height == pytest.approx(ys.max() - ys.min(), abs=1e-4)
        assert box.cx == pytest.approx(xs.mean(), abs=1e-4)
        assert box.cy == pytest.approx(ys.mean(), abs=1e-4)


def test_line_width_grows_with_the_filters_width():
    values = [torch.tensor([[v]]) for v in (5.0, 5.0, 2.0)]
    thin, thick = (
        glimpses.overlays(GlimpseBox(*values, torch.tensor([[sigma]]), torch.ones(1, 1)), 5, 0, glimpses.READ)[0][
            0
        ].line_width
        for sigma in (1.2, 4.0)
    )
    assert thin < thick


def test_the_last_canvas_is_the_picture_and_changes_add_up_in_sign(trace):
    frames = glimpses.canvases(trace, 1)
    assert frames.shape == (4, 28, 28, 3)
    assert np.array_equal(frames[-1, ..., 0], (trace.canvases[1, -1, 0] * 255).round().byte().numpy())
    change = glimpses.changes(trace, 1)[2].astype(int)
    step = (trace.canvases[1, 2] - trace.canvases[1, 1])[0].numpy()
    ink, gone = step > 0.05, step < -0.05
    assert (change[ink][:, 0] >= change[ink][:, 2]).all()  # orange: more red than blue
    assert (change[gone][:, 2] >= change[gone][:, 0]).all()  # blue


def test_a_wall_shows_every_picture_in_reading_order(trace):
    wall = glimpses.wall(trace, 2)
    assert wall.shape == (4, 56, 56)
    assert np.array_equal(wall[-1, 28:, :28], glimpses.canvases(trace, 2)[-1, ..., 0])
