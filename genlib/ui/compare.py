"""The Compare page's parts: walls with one seed, the table of scores, drawing times measured here and now."""

from typing import Any

import pandas as pd
import streamlit as st
import torch

from genlib.data import datasets
from genlib.errors import GenlibError
from genlib.evaluation import parameters
from genlib.figures import compare as figures
from genlib.figures.images import png, sheet, to_pixels
from genlib.training import checkpoint
from genlib.ui import links, models, pick_draw
from genlib.ui import walls as walls_of

WALL = walls_of.Layout(n=16, columns=4, scale=3, gap=3)
MOST = 24  # checkpoints at once
AT_ONCE = 6  # walls that fit beside each other


def choose() -> list[str]:
    """Which checkpoints; by default the shipped ones that share a data set. The choice is in the URL."""
    names = list(models.available())
    if not names:
        raise GenlibError("There is no checkpoint to compare yet: train a model on the Train page first.")
    asked = [name for name in st.query_params.get("models", "").split(",") if name]
    for name in asked:
        if name not in names:
            with links.forgiving():
                checkpoint.find_named(name)
    usual = _on_one_data_set(checkpoint.shipped() or names)
    default = [name for name in asked if name in names][:MOST] or usual
    with st.sidebar:
        chosen = st.multiselect("Models", names, default=default, key="compare-models", max_selections=MOST)
    links.put("models", ",".join(chosen) if chosen and chosen != usual else None)
    if not chosen:
        raise GenlibError("No model is chosen: choose at least one in the sidebar.")
    return chosen


def _on_one_data_set(names: list[str]) -> list[str]:
    """Those trained on the data set that most of them share, at most `MOST`."""
    data = {name: models.available()[name][1] for name in names if name in models.available()}
    kinds = list(data.values())
    commonest = max(dict.fromkeys(kinds), key=kinds.count, default=None)
    return [name for name in names if data.get(name) == commonest][:MOST]


def seed() -> int:
    """The one seed of all walls, in the URL."""
    with st.sidebar:
        return pick_draw.choose_seed("Every wall is drawn with it.")


def walls(names: list[str], seed: int) -> None:
    """Samples of every model from the same seed, and of the data for comparison."""
    across = min(AT_ONCE, len(names) + 1)
    data = models.available()[names[0]][1]
    places = [column for start in range(0, len(names) + 1, across) for column in st.columns(across, gap="medium")]
    with places[0]:
        st.markdown("**Real**")
        st.image(_real(data, seed), output_format="PNG", width="stretch", alt=f"{WALL.n} real images of {data}")
        st.caption(f"{datasets.describe(data).title}, test set")
    # The quick ones first; what stands in the others' columns stays until theirs are ready.
    place_of = dict(zip(names, places[1:], strict=False))
    for name in walls_of.quickest_first(names):
        wall = walls_of.draw(name, seed, WALL)
        with place_of[name]:
            st.markdown(f"**{name}**")
            st.image(wall.picture, output_format="PNG", width="stretch", alt=f"{WALL.n} samples of {name}")
            st.caption(f"{wall.title}, {wall.family}: {1000 * wall.seconds:.0f} ms for {WALL.n}")
    walls_of.ahead(names, seed + 1, WALL)


@st.cache_data(max_entries=16, show_spinner=False)
def _real(data: str, seed: int) -> bytes:
    dataset = datasets.load(data)
    rows = torch.randperm(dataset.size("test"), generator=torch.Generator().manual_seed(seed))[: WALL.n]
    return png(sheet(to_pixels(dataset.batch("test", rows)), WALL.columns, scale=WALL.scale, gap=WALL.gap))


def facts(name: str) -> dict[str, Any]:
    """What the card says of a shipped checkpoint; of a run, what its file says."""
    header = checkpoint.read_header(checkpoint.find_named(name))
    scores: dict[str, Any] = {}
    if name in checkpoint.shipped() and checkpoint.card_path(name).is_file():
        scores = checkpoint.read_card(name).get("scores", {})
    return {"header": header, "scores": scores}


def entries(names: list[str], seed: int) -> list[figures.Entry]:
    """The chosen checkpoints with their scores and the drawing time here and now."""
    found = []
    for name in names:
        scores = facts(name)["scores"]
        exact = scores.get("nll_nats")
        nats = exact if exact is not None else scores.get("elbo_nats")
        found.append(
            figures.Entry(
                name,
                models.get(name).family,
                scores.get("binarisation"),
                exact is not None,
                nats,
                walls_of.draw(name, seed, WALL).seconds / WALL.n,
            )
        )
    return found


def table(found: list[figures.Entry]) -> None:
    """Scores, sizes and times. Best likelihood first; models without one at the end."""
    rows = []
    for entry, verdict in zip(found, figures.verdicts(found), strict=True):
        known = facts(entry.name)
        origin, scores = known["header"].origin, known["scores"]
        rows.append(
            {
                "model": entry.name,
                "family": entry.family,
                "nats": entry.nats,
                "iwae": scores.get("iwae_nats"),
                "bits": scores.get("bits_per_dim"),
                "form": entry.form or "—",
                "verdict": verdict if entry.nats is not None or scores else "? not evaluated",
                "ms": 1000 * entry.seconds,
                "parameters": parameters(models.get(entry.name))["total"],
                "minutes": origin.seconds / 60,
                "seen": origin.images_seen,
            }
        )
    frame = pd.DataFrame(rows).sort_values("nats", na_position="last")
    number = st.column_config.NumberColumn
    st.dataframe(
        frame,
        hide_index=True,
        row_height=42,
        column_config={
            "model": "Checkpoint",
            "family": "Family",
            "nats": number(
                "Nats per image",
                format="%.2f",
                help="-log p(x) on the test set, or the negative ELBO (beta = 1); lower is better",
            ),
            "iwae": number("IWAE", format="%.2f", help="the tighter bound, k draws of the code"),
            "bits": number("Bits/dim", format="%.4f"),
            "form": st.column_config.TextColumn("Data form", help="how grey pixels became bits"),
            "verdict": st.column_config.TextColumn("Comparable?", width="medium"),
            "ms": number("ms per image", format="%.2f", help=f"drawing the wall of {WALL.n} at once, on this machine"),
            "parameters": number("Parameters", format="localized"),
            "minutes": number("Training, min", format="%.0f"),
            "seen": number("Images seen", format="compact"),
        },
    )
