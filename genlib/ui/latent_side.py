"""Several planes side by side on the Latent space page: the codes of the same test images, and what is decoded between them."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from genlib.errors import GenlibError
from genlib.figures import images, latent_flat
from genlib.figures import latent as figures
from genlib.training import checkpoint
from genlib.ui import latent, latent_view, links, models
from genlib.ui.latent import Codes, Settings

MOST = 4  # planes in a row
SIDE = 12  # decodes a side
CELLS = 10  # a side, of equal prior mass, to count the empty ones


def candidates() -> dict[str, str]:
    """Checkpoints whose codes are planes: name -> a few words on how it was trained."""
    found: dict[str, tuple[float, str]] = {}
    for name in models.available(latent.CODES):
        header = checkpoint.read_header(checkpoint.find_named(name))
        if header.config.get("latent") == 2:
            beta = header.config.get("beta")
            found[name] = (0.0, header.model) if beta is None else (beta, f"β = {beta:g}")
    return {name: found[name][1] for name in sorted(found, key=lambda name: (found[name][0], name))}


def _series(first: str, known: Sequence[str]) -> list[str]:
    """What stands side by side at first: planes of one model and data set, in order of beta. Of the open plane's model if it has
    several, else of the one with most."""
    kinds = {name: models.available()[name] for name in known}
    groups = [[other for other in known if kinds[other] == kinds[name]] for name in known]
    of_first = next((group for group in groups if first in group), [])
    largest = of_first if len(of_first) > 1 else max(groups, key=len)
    return (largest if len(largest) > 1 else list(known))[:MOST]


def show(s: Settings) -> list[str]:
    """The chosen planes in a row; returns their checkpoints' names."""
    known = candidates()
    if not known:
        raise GenlibError("No checkpoint here has a code of two numbers: train vae on the Train page first.")
    chosen = _choose(s, known)
    same = st.sidebar.toggle("Same scale", key="same", bind="query-params", help="All planes reach equally far.")
    if not chosen:
        st.info("Choose up to four planes at the left.")
        return []
    sides = [_side(s, name) for name in chosen]
    codes = [latent.codes_if_here(side) for side in sides]
    extents = [figures.extent_of(found.mean[: latent.CHUNK] if found else np.zeros((0, 2))) for found in codes]
    if same:
        extents = [max(extents)] * len(extents)
    for column, side, found, extent in zip(
        st.columns(MOST if len(chosen) > 2 else 2), sides, codes, extents, strict=False
    ):
        with column:
            st.markdown(f"**{known[side.checkpoint]}**")
            _one(side, found, extent)
    return chosen


def _choose(s: Settings, known: dict[str, str]) -> list[str]:
    """Up to four, in the address as a list with commas; at first the open one and those beside it."""
    text = st.query_params.get("planes")
    asked = [name for name in (text or "").split(",") if name]
    for name in asked:
        if name not in known and "latent-planes" not in st.session_state:
            links.refuse("planes", f"{name[:60]!r} in the link is no plane here: choose among {', '.join(known)}.")
            asked = []
            break
    default = asked[:MOST] or _series(s.checkpoint, list(known))
    if "latent-planes" not in st.session_state:
        st.session_state["latent-planes"] = default
    else:
        st.session_state["latent-planes"] = [name for name in st.session_state["latent-planes"] if name in known]
    chosen: list[str] = st.sidebar.multiselect(
        "Planes", list(known), key="latent-planes", max_selections=MOST, persist_state="page"
    )
    links.put("planes", ",".join(chosen) or None)
    return chosen


def _side(s: Settings, name: str) -> Settings:
    """The settings of another checkpoint's plane."""
    version = models.version(name)
    data = models.available()[name][1]
    return Settings(name, version, data, models.get(name), s.view, s.source, 0, SIDE, latent.EVEN)


def _one(side: Settings, found: Codes | None, extent: float) -> None:
    """Figures, codes, and decodes at equal steps, below each other."""
    st.caption(side.checkpoint + (f": {facts(found, extent)}" if found else ""))
    if found:
        labels = found.labels[: latent.CHUNK] if side.classes else None
        figure = latent_flat.scatter_figure(found.mean[: latent.CHUNK], labels, side.classes, extent)
        st.plotly_chart(figure, config={"displayModeBar": False}, key=f"latent-side-{side.checkpoint}", height=200)
    tiles = latent_view.decoded(side, figures.linear_ticks(SIDE, extent))
    pixels = tiles if tiles.ndim == 4 else np.repeat(tiles[..., None], 3, -1)
    sheet = images.sheet(pixels, SIDE, scale=2, gap=0)[..., :3]
    st.image(
        images.png(sheet), output_format="PNG", width="stretch",
        alt=f"{SIDE} x {SIDE} decodes of {side.checkpoint} from −{extent:g} to {extent:g}",
    )  # fmt: skip


def facts(found: Codes, extent: float) -> str:
    """KL and holes of a plane, in a few words."""
    chunk = slice(0, latent.CHUNK)
    first = Codes(found.mean[chunk], found.log_var[chunk], found.labels[chunk], found.index[chunk], found.total)
    empty = figures.coverage(first.drawn(), figures.cell_edges(figures.quantile_ticks(CELLS), True)) == 0
    return f"±{extent:g} · KL {first.kl:.1f} nats · {empty.mean():.0%} of the prior empty"


def code(names: Sequence[str]) -> list[str]:
    """The lines that give the planes of these checkpoints."""
    listed = ", ".join(f'"{name}"' for name in names)
    return [
        f"for name in [{listed}]:",
        "    model = genlib.load(name)",
        '    mean, log_var = model.encode(data.batch("test", slice(0, 1000)))  # the scatter, [1000, 2]',
        f"    ticks = torch.linspace(-3, 3, {SIDE})",
        '    x, y = torch.meshgrid(ticks, ticks.flip(0), indexing="xy")',
        "    pictures = model.decode(torch.stack([x.flatten(), y.flatten()], 1))  # row by row",
    ]
