"""What the Latent space page shows of the plane: the latent pad, measured facts, and the grid of decodes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from genlib.figures import latent as figures
from genlib.models.variational import ACTIVE
from genlib.ui import latent, latent_points, links, models
from genlib.ui.components import LatentPadValue, latent_pad
from genlib.ui.latent import Codes, Plane, Settings
from genlib.ui.latent_points import Start
from genlib.ui.recent import Recent

SHOWN = 5000  # codes on the plane; more would cover each other
FRAMES = 9  # pictures along the path
COLLAPSED = 0.5  # nats of KL below which the code says next to nothing about the image
WIDE = 2.0  # standard deviations of the codes, in those of the prior, from which on the prior misses most of them

Marker = tuple[float, float, str, float, float]
"""x, y, label, and the half axes of an ellipse."""

_STYLE = """<style>
.st-key-latent-grid, .st-key-latent-coverage {width: min(100%, 74vh);}
.st-key-latent-grid {aspect-ratio: 1;}
.st-key-latent-coverage {aspect-ratio: 0.87;}
</style>"""

_decoded: Recent[np.ndarray] = Recent(32)


# -- the plane ---------------------------------------------------------------------------------------------------------


def show_pad(
    s: Settings, found: Codes | None, p: Plane, begun: Start, markers: Sequence[Marker] = ()
) -> LatentPadValue:
    """The latent pad; where the visitor has its points now goes into the address."""
    value = latent_pad(
        p.sheet,
        grid=p.side,
        extent=p.extent,
        key="latent-pad",
        points=p.points(found.mean[:SHOWN]) if found else None,
        point_classes=found.labels[:SHOWN] if found and s.classes else None,
        class_names=s.classes,
        prior_rings=() if p.corners else (1, 2, 3),
        z=begun.z,
        anchors=(begun.a, begun.b),
        path=s.view == latent.PLANE,
        norm=s.numbers == 2,
        path_frames=FRAMES,
        marker=markers,
        label=f"Latent plane of {s.checkpoint}",
        revision=begun.revision,
    )
    latent_points.keep(begun, value.z, value.a, value.b)
    return value


def path_controls(s: Settings, found: Codes | None, p: Plane, begun: Start) -> None:
    """Two classes whose middles become the ends of the path."""
    if not found:
        return
    centres = {c: centre for c, centre in zip(s.classes, p.centres, strict=False) if centre and _inside(centre, p)}
    if not centres:
        return
    points = latent_points.now(begun)
    row = st.sidebar.container(horizontal=True)
    for name, label in zip("ab", ("Path from", "Path to"), strict=True):
        key = f"latent-end-{name}"
        # An end that was dragged away is no class's any more.
        st.session_state[key] = next((c for c, centre in centres.items() if centre == getattr(points, name)), None)
        row.selectbox(
            label,
            list(centres),
            key=key,
            placeholder=f"point {name.upper()}",
            on_change=_to_class,
            args=(name, key, centres),
        )


def _to_class(name: str, key: str, centres: dict[str, latent.Point]) -> None:
    chosen = st.session_state[key]
    if chosen in centres:
        latent_points.move(name, centres[chosen])


def _inside(point: latent.Point, p: Plane) -> bool:
    return max(map(abs, point)) <= p.extent


# -- facts -------------------------------------------------------------------------------------------------------------


def show_facts(s: Settings, found: Codes | None, about: str | None = None) -> None:
    """``about`` the plane, measured figures, and in the sidebar, in sight, what is wrong with the plane if something is."""
    lines = [line for line in (about, _bound(s), _spread(s, found)) if line]
    if lines:
        st.markdown("  \n".join(lines))
    warning = verdict(found) if found else None
    if warning:
        st.sidebar.warning(warning)


def _bound(s: Settings) -> str | None:
    """The ELBO of the test set: from the card of a shipped checkpoint, else as measured here."""
    if not s.encodes:
        return f"No encoder: no image has a code. Noise is {s.numbers} numbers, drawn from N(0, I)."
    if s.model.no_likelihood:
        return f"No nats to compare: {s.model.no_likelihood}."
    scores = models.card(s.checkpoint).get("scores", {})
    if "elbo_nats" in scores:
        names = {"reconstruction_nats": "reconstruction", "kl_nats": "KL"}
        parts = " + ".join(f"{name} {scores[key]:.2f}" for key, name in names.items() if key in scores)
        text = f"−ELBO **{scores['elbo_nats']:.2f} nats** a test image{f' = {parts}' if parts else ''}"
        if "iwae_nats" in scores:
            text += f"; by the IWAE bound with k = {scores['k']}, {scores['iwae_nats']:.2f}"
        return f"{text} (`{scores.get('binarisation')}`; `genlib evaluate {s.checkpoint}` gives it again)."
    costs = latent.reference(s)
    if costs is None:
        return None
    return f"−ELBO **{costs.mean():.1f} nats** an image, measured here on {len(costs):,} test images."


def _spread(s: Settings, found: Codes | None) -> str | None:
    if not found:
        return None
    if not s.is_plane:
        return (
            f"Codes of {len(found.mean):,} test images: KL {found.kl:.2f} nats each. **{int(found.active.sum())} of "
            f"{s.numbers} numbers are active**: their mean changes from image to image (variance above {ACTIVE})."
        )
    x, y = found.mean.std(0)
    outside = float((np.hypot(*found.mean.T) > 3).mean())
    return (
        f"Codes of {len(found.mean):,} test images: KL {found.kl:.2f} nats each; standard deviations {x:.2f} and "
        f"{y:.2f}, where the prior has 1; {outside:.1%} outside the circle of 3σ."
    )


def verdict(found: Codes) -> str | None:
    """What is wrong with the plane, in a sentence; None if nothing is."""
    if found.kl < COLLAPSED:
        return (
            f"**KL collapse.** A code costs {found.kl:.2f} nats, so it says next to nothing about its image: all codes "
            "lie in one place, and every decode is the same average."
        )
    spread = float(np.sqrt((found.mean**2).mean()))
    if spread > WIDE:
        return (
            f"**Far from the prior.** The codes spread {spread:.1f} times as far as N(0, I). Samples come from its 3σ "
            "circle only, small in the middle; the gaps between the clusters are holes."
        )
    return None


# -- the grid of decodes -----------------------------------------------------------------------------------------------


def show_grid(s: Settings, found: Codes | None, p: Plane) -> float:
    """Decodes at n x n places of the plane, and how many codes lie around each.

    Returns how far the even steps reach.
    """
    st.html(_STYLE)
    reach = p.extent
    if s.spacing == latent.EVEN:
        step = p.extent / 10
        links.check_number("reach", step, p.extent, "The reach", whole=False)
        reach = st.sidebar.slider(
            "Reach", step, p.extent, p.extent, step, key="reach", bind="query-params", persist_state="page", format="%g"
        )
    by_prior = s.spacing == latent.BY_THE_PRIOR
    ticks = figures.quantile_ticks(s.n) if by_prior else figures.linear_ticks(s.n, reach)
    left, right = st.columns([6, 5], gap="medium")
    with left:
        st.markdown(f"**Decodes at {s.n} × {s.n} codes**")
        with st.container(key="latent-grid"):
            _chart(figures.grid_figure(decoded(s, ticks), ticks), "latent-grid-chart")
    if not found:
        return reach
    edges = figures.cell_edges(ticks, by_prior)
    counts = figures.coverage(found.drawn(), edges)
    with right:
        st.markdown(f"**Codes of {len(found.mean):,} test images around them**")
        with st.container(key="latent-coverage"):
            expected = figures.prior_mass(edges) * len(found.mean)
            _chart(figures.coverage_figure(counts, expected, ticks), "latent-coverage-chart")
    st.caption(coverage_sentence(counts, len(found.mean), by_prior))
    return reach


def decoded(s: Settings, ticks: np.ndarray) -> np.ndarray:
    """The decodes of ``lattice(ticks)``, uint8 [n * n, H, W] or [n * n, H, W, 3]."""
    key = s.key(ticks)
    tiles = _decoded.get(key)
    if tiles is None:
        with models.computing():
            tiles = figures.tiles_of(figures.decode_all(s.model.decode, figures.lattice(ticks), s.model.device))
        _decoded.put(key, tiles)
    return tiles


def coverage_sentence(counts: np.ndarray, total: int, by_prior: bool) -> str:
    """How well the codes fill the cells, in a sentence. One code is drawn from q(z | x) for each image."""
    empty = int((counts == 0).sum())
    if by_prior:
        return (
            f"Every cell has the same share of the prior; if the codes followed it, each would hold "
            f"{total / counts.size:.1f} of {total:,}. {empty} of the {counts.size} cells are empty, the fullest holds "
            f"{counts.max():,}. One code is drawn from q(z | x) for each image."
        )
    return (
        f"{int(counts.sum()):,} of {total:,} codes lie in these cells, and none in {empty} of the {counts.size}: what "
        "is decoded there is the decoder's guess. One code is drawn from q(z | x) for each image."
    )


def _chart(figure: dict[str, Any], key: str) -> None:
    st.plotly_chart(figure, config={"displayModeBar": False}, key=key, height="stretch")
