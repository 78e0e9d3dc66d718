"""The Compare page's first part: which data, models and seed; walls with that seed; two of them under a divider."""

from collections.abc import Mapping, Sequence

import streamlit as st
import torch

from genlib.data import datasets
from genlib.errors import GenlibError
from genlib.evaluation import comparison
from genlib.evaluation.comparison import REAL, Marked
from genlib.training import checkpoint
from genlib.training.variants import without_variants
from genlib.ui import links, models, pick_draw, wall_grid
from genlib.ui import walls as walls_of
from genlib.ui.components.wipe import wipe
from genlib.ui.wall_grid import Shown

WALL = walls_of.Layout(n=16, columns=4)
TWO, FIGURES, COST, CLAIMS = VIEWS = ("Two walls", "Figures", "Quality and cost", "Claims")
MOST = 24  # checkpoints at once
ACROSS = 6  # walls beside each other
FACTS = ("form", "FCD", "precision", "recall", "class entropy", "sharpness", "nats", "parameters", "training, min")


def choose_data() -> str:
    """The data set, in the URL; a choice where there are checkpoints of several. A link that names models means theirs."""
    found = models.available()
    if not found:
        raise GenlibError("There is no checkpoint to compare yet: train a model on the Train page first.")
    kinds = list(dict.fromkeys(data for _, data in found.values()))
    kinds.sort(key=lambda data: (data != "mnist", data))
    links.check_choice("data", kinds, "The data set")
    if len(kinds) == 1:
        return kinds[0]
    named = [found[name][1] for name in _asked() if name in found]
    if named and "data" not in st.session_state and "data" not in st.query_params:
        st.session_state["data"] = named[0]
    return st.selectbox("Data set", kinds, key="data", bind="query-params")


def _asked() -> list[str]:
    return [name for name in st.query_params.get("models", "").split(",") if name]


def choose(data: str) -> list[str]:
    """Which checkpoints of the data set; by default all shipped ones but variants. The choice is in the URL."""
    found = models.available()
    names = [name for name, (_, own) in found.items() if own == data]
    for name in _asked():
        if name not in found:
            with links.forgiving():
                checkpoint.find_named(name)
    shipped = checkpoint.shipped()
    usual = (without_variants({name: found[name] for name in names if name in shipped}) or names)[:MOST]
    default = [name for name in _asked() if name in names][:MOST] or usual
    chosen = st.multiselect("Models", names, default=default, key=f"compare-models-{data}", max_selections=MOST)
    links.put("models", ",".join(chosen) if chosen and chosen != usual else None)
    if not chosen:
        raise GenlibError("No model is chosen: choose at least one in the sidebar.")
    return chosen


def seed() -> int:
    """The one seed of all walls, in the URL."""
    return pick_draw.choose_seed("Every wall is drawn with it.")


def choose_view() -> str:
    """What stands below the walls, in the URL."""
    links.check_choice("view", VIEWS, "The view")
    return links.segments("Look closer", VIEWS, "view")


def walls(names: Sequence[str], data: str, seed: int) -> dict[str, walls_of.Wall]:
    """Samples of every model from the same seed, beside images of the data; returns the models' walls.

    Those that are drawn already come at once, then the others, the quick ones first. What this visitor saw of a model stays until
    its new wall is ready. A checkpoint that cannot be read says so in its place.
    """
    last: dict[str, Shown] = st.session_state.setdefault("compare-walls", {})
    shown = {REAL: _shown_real(data, seed)}
    shown |= {name: last.get(name) or Shown(short(name, data), note="being drawn") for name in names}
    drawn = {name: wall for name in names if (wall := walls_of.kept(name, seed, WALL)) is not None}
    shown |= {name: _shown(name, data, wall) for name, wall in drawn.items()}
    grid = wall_grid.Grid(min(ACROSS, len(shown)), "compare")
    grid.show(list(shown.values()))
    missing = walls_of.quickest_first([name for name in names if name not in drawn])
    for name in missing:
        try:
            drawn[name] = walls_of.draw(name, seed, WALL)
            shown[name] = _shown(name, data, drawn[name])
        except GenlibError as error:
            shown[name] = Shown(name, error=str(error))
        grid.show(list(shown.values()), more=name != missing[-1])
    last |= {name: shown[name] for name in drawn}
    walls_of.ahead(names, seed + 1, WALL)
    return {name: drawn[name] for name in names if name in drawn}


def _shown(name: str, data: str, wall: walls_of.Wall) -> Shown:
    return Shown(short(name, data), wall.picture, f"{WALL.n} samples of {name}", f"{milliseconds(wall):.3g} ms each")


def _shown_real(data: str, seed: int) -> Shown:
    title = REAL.capitalize()
    try:
        return Shown(title, real(data, seed), f"{WALL.n} real images of {data}", datasets.describe(data).title)
    except GenlibError as error:
        return Shown(title, note=str(error))


def short(name: str, data: str) -> str:
    """A checkpoint's name without the data set, which is the same for all on the page."""
    return name.removesuffix(f"-{data}")


def milliseconds(wall: walls_of.Wall) -> float:
    """For one picture of a wall, here and now."""
    return 1000 * wall.seconds / WALL.n


@st.cache_data(max_entries=16, show_spinner=False)
def real(data: str, seed: int) -> bytes:
    """A wall of test images."""
    dataset = datasets.load(data)
    rows = torch.randperm(dataset.size("test"), generator=torch.Generator().manual_seed(seed))[: WALL.n]
    return walls_of.picture(dataset.batch("test", rows), WALL)


def two(drawn: Mapping[str, walls_of.Wall], data: str, seed: int, rows: Sequence[Marked]) -> None:
    """Two walls on top of each other with a divider to drag, and the figures of the two."""
    options = [*([REAL] if datasets.find(data) else []), *drawn]
    if len(options) < 2:
        return
    st.subheader("Two under one divider", anchor=False)
    left, right = st.columns([6, 7], gap="medium")
    with right:
        first, second = st.columns(2)
        for key, what in (("a", "The left model"), ("b", "The right model")):
            links.check_choice(key, options, what)
        a = first.selectbox("Left", options, key="a", bind="query-params")
        b = second.selectbox("Right", options, index=1, key="b", bind="query-params")
        st.markdown(_facts(a, b, data, rows))
    with left:
        pictures = [real(data, seed) if name == REAL else drawn[name].picture for name in (a, b)]
        wipe(
            pictures[0], pictures[1], names=(a, b), key="compare-wipe", size=640, label="Divider between the two walls"
        )


def _facts(a: str, b: str, data: str, rows: Sequence[Marked]) -> str:
    """The figures of two rows side by side, as Markdown. Real images are those on the other's scale."""
    by_name = {one.row.name: one for one in rows}
    forms = [by_name[name].row.quality for name in (a, b) if name in by_name]
    form = next((found.form for found in forms if found), None)
    found = [by_name.get(f"{REAL} ({data}, {form})" if name == REAL else name) for name in (a, b)]
    header, lines = comparison.cells([one for one in found if one])
    filled = iter(lines)
    columns = [next(filled) if one else ["-"] * len(header) for one in found]
    table = [
        f"| {name} | {one} | {other} |".replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")
        for name, one, other in zip(header, *columns, strict=True)
        if name in FACTS and (one, other) != ("-", "-")
    ]
    return "\n".join([f"| | {short(a, data)} | {short(b, data)} |", "|---|---|---|", *table])
