"""What the Latent space page shows of spaces of many numbers: one number at a time, and the ways between two draws of noise."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
import torch

from genlib.data import few
from genlib.figures import latent as figures
from genlib.figures import latent_flat
from genlib.ui import latent, latent_view, links, models
from genlib.ui.latent import Codes, Plane, Settings
from genlib.ui.recent import Recent

VALUES = 11  # pictures of a strip
REACH = 3.0  # standard deviations of the prior that a strip spans each way
STRIPS = 8
WAY = 11  # pictures between two draws
ENDS = "ABC"

_strips: Recent[np.ndarray] = Recent(64)


def corners(p: Plane) -> list[latent_view.Marker]:
    """The draws of noise that the plane goes through, as stars."""
    return [(x, y, f"draw {name}", 0.0, 0.0) for name, (x, y) in zip(ENDS, p.corners, strict=False)]


def share_sentence(s: Settings, p: Plane) -> str | None:
    """What the plane shows of the space, in a sentence; None where it is all of it."""
    if s.numbers == 2:
        return None
    if p.corners:
        return (
            f"The plane goes through three draws of {s.numbers} numbers, A, B and C; each point is stretched to the sphere on "
            f"which they lie, of radius about {p.flat.norm[0]:.1f}."  # type: ignore[index]
        )
    if p.flat.share is None:
        return f"The plane of the first two of {s.numbers} numbers."
    return (
        f"The plane goes through the mean of the codes, along the two directions in which they vary most: {p.flat.share:.0%} of "
        f"their variance. The other {s.numbers - 2} numbers stay at their mean, so that decodes here are averages."
    )


# -- traversals --------------------------------------------------------------------------------------------------------


def show_traversals(s: Settings, found: Codes | None) -> None:
    """The code of one test image with one number changed at a time, the costliest numbers first."""
    if found is None:
        st.info("Without the test images there is no code to begin from.")
        return
    order = np.argsort(-found.kl_per_latent, kind="stable")
    shown = order[first_rank(s) - 1 :][:STRIPS]
    key = s.key("strips", s.index, shown)
    tiles = _strips.get(key)
    if tiles is None:
        tiles = _traverse(s, shown)
        _strips.put(key, tiles)
    left, right = st.columns([11, 8], gap="medium")
    kl = found.kl_per_latent
    names = [f"z<sub>{i}</sub>  {kl[i]:.2f}" for i in shown.tolist()]
    values = np.linspace(-REACH, REACH, VALUES)
    with left:
        st.markdown(f"**Test image {s.index} with one number of its code changed**")
        texts = [f"{value:.1f}".replace("-", "−") for value in values]
        _chart(latent_flat.strips_figure(tiles, names, texts, "value of the number", height=400), "latent-strips")
        st.caption("Before each strip: which number, and its KL in nats.")
    with right:
        st.markdown("**What each number costs**")
        _chart(latent_flat.kl_figure(kl, shown.tolist(), found.active, height=400), "latent-kl")
        st.caption("Orange: the numbers whose strips stand at the left. Grey: not active.")


def first_rank(s: Settings) -> int:
    """Which number of the code, counted from the costliest, the first strip shows."""
    links.check_number("first", 1, s.numbers, "The first strip")
    return int(
        st.sidebar.number_input(
            "First strip",
            1,
            s.numbers,
            1,
            step=STRIPS,
            key="first",
            bind="query-params",
            persist_state="page",
            help="Numbers of the code are ordered by their KL, the costliest first.",
        )
    )


def rank_now() -> int:
    """The first strip's rank as it stands."""
    return int(st.session_state.get("first", 1))


def _traverse(s: Settings, shown: Sequence[int] | np.ndarray) -> np.ndarray:
    """Strips uint8 [len(shown), VALUES, H, W(, 3)]."""
    image = few.load_to_look_at(s.data).batch("test", slice(s.index, s.index + 1)).to(s.model.device)
    values = torch.linspace(-REACH, REACH, VALUES, device=s.model.device)
    with models.computing():
        mean = s.model.encode(image)[0][0]
        codes = torch.cat([latent_flat.traversal(mean, int(i), values) for i in shown])
        pictures = s.model.decode(codes).cpu()
    tiles = figures.tiles_of(pictures)
    return tiles.reshape(len(shown), VALUES, *tiles.shape[1:])


# -- between two draws -------------------------------------------------------------------------------------------------


def show_ways(s: Settings) -> None:
    """From draw A to draw B and from B to C, on the sphere and straight through."""
    draws = latent.noise(s)
    rows, codes = [], []
    for a, b, name in ((0, 1, "A → B"), (1, 2, "B → C")):
        for way, between in (("sphere", latent_flat.slerp), ("straight", latent_flat.lerp)):
            rows.append(f"{name}, {way}")
            codes.append(between(draws[a], draws[b], WAY))
    stacked = torch.stack(codes)  # [4, WAY, latent]
    with models.computing():
        pictures = s.model.decode(stacked.flatten(0, 1)).cpu()
    tiles = figures.tiles_of(pictures)
    texts = [f"{share:.0%}" for share in np.linspace(0, 1, WAY)]
    tiles = tiles.reshape(len(rows), WAY, *tiles.shape[1:])
    _chart(latent_flat.strips_figure(tiles, rows, texts, "share of the way", height=340), "latent-ways")
    norms = stacked.norm(dim=2)
    st.caption(
        f"Half way from A to B the length of z is {norms[0, WAY // 2]:.1f} on the sphere and {norms[1, WAY // 2]:.1f} on the "
        f"straight line; draws of {s.numbers} numbers have {np.sqrt(s.numbers):.1f} on average, and seldom much less or more."
    )


def _chart(figure: dict[str, Any], key: str) -> None:
    st.plotly_chart(figure, config={"displayModeBar": False}, key=key)
