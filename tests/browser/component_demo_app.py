"""Each component (`?show=` chooses) and what Python received: tests read the echo, people the pictures."""

import json

import numpy as np
import streamlit as st
from demo_data import EXTENT, GRID, SIDE, plane, ring

from genlib.ui.components import (
    Box,
    Panel,
    Series,
    canvas,
    latent_pad,
    player,
)


@st.cache_data
def trace(total: int) -> tuple[np.ndarray, np.ndarray, list[list[Box]], list[list[Box]], list[np.ndarray], np.ndarray]:
    """A ring drawn in a moving window: grey and colour frames, read and write boxes, centres, a number a step."""
    target = ring().astype(float)
    frames, reads, writes, dots = [], [], [], []
    shown = np.zeros_like(target)
    for t in range(total):
        angle = 2 * np.pi * t / 32
        cx, cy = 13.5 + 8 * np.cos(angle), 13.5 + 8 * np.sin(angle)
        rows, columns = np.mgrid[:SIDE, :SIDE]
        shown = np.maximum(shown, target * np.exp(-((rows - cy) ** 2 + (columns - cx) ** 2) / 30))
        frames.append(shown.astype(np.uint8))
        reads.append([Box(cx, cy, 11, 11, 3, "#56b4e9")])
        writes.append([Box(cx, cy, 7, 7, 2 + 2 * (t % 3), "#e69f00")])
        grid = np.linspace(-3, 3, 5)
        dots.append(np.stack(np.meshgrid(cx + grid, cy + grid), -1).reshape(-1, 2))
    series = 6 * np.exp(-np.arange(total) / 12) + np.sin(np.arange(total)) ** 2
    colour = np.stack([np.array(frames), np.array(frames)[:, ::-1], np.full((total, SIDE, SIDE), 40, np.uint8)], -1)
    return np.array(frames), colour, reads, writes, dots, series


def echo(name: str, value: dict) -> None:
    """What Python has, where a test can read it; `run` counts reruns, so that a test can wait for one."""
    st.session_state.runs = st.session_state.get("runs", 0) + 1
    st.html(f'<pre data-testid="echo-{name}" style="white-space:pre-wrap">{json.dumps(value)}</pre>')
    st.html(f'<span data-testid="runs">{st.session_state.runs}</span>')


def show_canvas(mode: str) -> None:
    images = {
        "ring": ring(),
        "blank": np.zeros((SIDE, SIDE), np.uint8),
        "colour": np.dstack([ring(32), ring(32, 4), ring(32, 12)]),
    }
    picture = st.query_params.get("image", "ring")
    if "swap" in st.session_state and st.session_state.swap % 2:
        picture = "blank" if picture == "ring" else "ring"
    left, right = st.columns(2)
    left.button("Rerun")
    if right.button("Other picture"):
        st.session_state.swap = st.session_state.get("swap", 0) + 1
        st.rerun()
    value = canvas(images[picture], mode=mode, key=f"canvas-{mode}", brush=int(st.query_params.get("brush", 2)))
    if st.query_params.get("echo", "1") == "1":
        inked = value.image.reshape(value.image.shape[0], value.image.shape[1], -1)[..., 0]
        echo(
            "canvas",
            {
                "ink": [[int(r), int(c), int(inked[r, c])] for r, c in np.argwhere(inked)],
                "hidden": np.argwhere(~value.known).tolist(),
                "picked": value.picked,
                "revision": value.revision,
            },
        )


def show_pad() -> None:
    atlas, points, classes = st.cache_data(plane)()
    st.button("Rerun")
    marker = [(0.4, -1.9, "your digit")] if st.toggle("Marker") else []
    value = latent_pad(atlas, grid=GRID, extent=EXTENT, points=points, point_classes=classes, marker=marker, key="pad")
    if st.query_params.get("echo", "1") == "1":
        echo("pad", {"z": value.z, "a": value.a, "b": value.b})


def show_player() -> None:
    total = st.session_state.setdefault("total", int(st.query_params.get("frames", 32)))
    if st.button("Append 8 frames"):
        st.session_state.total = total = total + 8
    frames, colour, reads, writes, dots, series = trace(total)
    value = player(
        [
            Panel("What it reads", np.broadcast_to(ring(), frames.shape), boxes=reads, dots=dots),
            Panel("What it has drawn", frames, boxes=writes),
            Panel("In colour", colour),
        ],
        captions=[f"Step {t + 1}: the window has turned {360 * t / 32:.0f}°" for t in range(total)],
        series=[
            Series("KL", series, unit="nats"),
            Series("Reconstruction", series[::-1] * 20 + 80, kind="line", unit="nats"),
        ],
        follow=st.query_params.get("follow") == "1",
        autoplay=st.query_params.get("autoplay") == "1",
        key="player",
        export_name="demo",
    )
    if st.query_params.get("echo", "1") == "1":
        echo("player", {"step": value.step, "following": value.following})


st.set_page_config(page_title="Components", layout="wide")
show = st.query_params.get("show", "canvas")
if show == "canvas":
    show_canvas(st.query_params.get("mode", "both"))
elif show == "pad":
    show_pad()
elif show == "player":
    show_player()
elif show == "pages":
    # Two pages in one: leaving the canvas and coming back must not lose it.
    if st.toggle("Elsewhere"):
        st.write("Another page")
    else:
        show_canvas("both")
