"""The Compare page's last part: what the literature says of the families, with verdicts from the figures of the models shown."""

from collections.abc import Sequence
from typing import cast
from urllib.parse import quote

import numpy as np
import streamlit as st

from genlib.evaluation import receptive_field, training_seconds
from genlib.evaluation.claims import Claim, judge
from genlib.evaluation.comparison import Marked
from genlib.evaluation.verdicts import SEEDS, Contender
from genlib.models import catalogue
from genlib.models.autoregressive import AutoregressiveModel
from genlib.training.run import Run, all_runs
from genlib.ui import models, runs
from genlib.ui.compare_rows import Figures, facts
from genlib.ui.kept_curves import kept_curve

STEP_IMAGES = 16  # images of a timed training step
POINTS = 5  # validations without which a run's curve has no form yet
LOOKED_AT = 64  # runs, the newest
MARKS = {True: "✓ holds here", False: "✗ does not hold here", None: "? not enough measured"}


@st.cache_data(max_entries=64, ttl=900, show_spinner=False)
def _step_seconds(name: str, version: float) -> float:
    """Seconds a training step takes, per image, here and now."""
    with models.computing():
        return training_seconds(models.get(name), STEP_IMAGES, seconds=1.5) / STEP_IMAGES


@st.cache_data(max_entries=64, show_spinner=False)
def _sees(name: str, version: float) -> str:
    """The form of the receptive field of a pixel in the middle, measured on a narrow copy of the checkpoint's kind."""
    model = models.get(name)
    _, height, width = model.config.shape
    found = receptive_field.grow(type(cast(AutoregressiveModel, model)), (1, height, width), height // 2, width // 3)
    return found.form(found.last)


@st.cache_data(ttl=60, show_spinner=False)
def _curves(model: str, data: str) -> tuple[tuple[float, ...], ...]:
    """Validation losses of a model's runs that differ in nothing but the seed; of several such groups, the largest."""
    groups: dict[str, dict[int, Run]] = {}
    for run in all_runs()[:LOOKED_AT]:
        asked = runs.options(run)
        if (asked.model, asked.data) == (model, data):
            groups.setdefault(repr((sorted(asked.config.items()), asked.start)), {})[asked.seed] = run
    found = max(groups.values(), key=len, default={})
    if len(found) < SEEDS:
        return ()
    term = next(iter(catalogue.get(model).terms))
    histories = [runs.history(run.path) for run in found.values()]
    for history in histories:
        history.refresh()
    values = [history.curve("validation", term)[1] for history in histories]
    return tuple(tuple(map(float, curve)) for curve in values if len(curve) >= POINTS and np.isfinite(curve).all())


def claims(figures: Figures) -> None:
    """Each claim, its verdict, and the figures and checkpoints that it comes from."""
    left, right = st.columns([5, 2], vertical_alignment="bottom")
    left.subheader("Claims of the literature, measured", anchor=False)
    timed = right.button(
        "Time the training", icon="⏱️", width="stretch",
        help="A few training steps of each autoregressive model, here and now, and by gradients what a pixel sees.",
    )  # fmt: skip
    state = st.session_state
    state["compare-timed"] = closer = state.get("compare-timed", False) or timed
    with st.spinner("Timing training steps, and measuring what each model sees" if closer else "Judging"):
        contenders = [_contender(one, figures, closer) for one in figures.models]
    found = judge(contenders, figures.floors)
    st.markdown(words(found))
    if not closer:
        st.caption("*Time the training* measures what is still open of training times and receptive fields.")


def _contender(one: Marked, figures: Figures, closer: bool) -> Contender:
    row, known = one.row, facts(one.row.name)
    version = models.version(row.name)
    closer = closer and issubclass(catalogue.get(known.model), AutoregressiveModel)
    seconds = figures.milliseconds.get(row.name)
    kept = kept_curve(row.name)
    return Contender(
        row,
        known.model,
        known.values,
        known.code,
        None if seconds is None else seconds / 1000,
        _step_seconds(row.name, version) if closer else None,
        _sees(row.name, version) if closer else None,
        _curves(known.model, row.data),
        () if kept is None else kept.result.points,
    )


def words(found: Sequence[Claim]) -> str:
    """The claims as a table in Markdown: a line for each claim in bold with its verdict, and one for each of its parts."""
    lines = ["| claim | here | measured on the models shown |", "|---|---|---|"]
    for claim in found:
        lines.append(f"| **{claim.text}** | **{_unbroken(MARKS[claim.holds])}** | {_count(claim)} |")
        for part in claim.parts:
            lines.append(f"| {part.part} | {_unbroken(MARKS[part.holds])} | {_safe(part.measured)}{_link(part.used)} |")
    return "\n".join(lines)


def _unbroken(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _count(claim: Claim) -> str:
    """How many parts have which verdict; nothing for a claim of one part."""
    verdicts = [part.holds for part in claim.parts]
    words = {True: "✓", False: "✗", None: "?"}
    counts = [f"{verdicts.count(value)} {word}" for value, word in words.items() if value in verdicts]
    return f"{len(verdicts)} parts: {', '.join(counts)}" if len(verdicts) > 1 else ""


def _link(names: Sequence[str]) -> str:
    """To this page with the checkpoints that a verdict comes from."""
    return f" [→\N{NO-BREAK SPACE}these]({'?models=' + quote(','.join(names), safe=',')})" if names else ""


def _safe(text: str) -> str:
    """As text of a cell: nothing of it is taken for Markdown."""
    text = text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}").replace("≤ ", "≤\N{NO-BREAK SPACE}")
    return "".join(f"\\{letter}" if letter in "\\|*_[]`~<>$:" else letter for letter in text)
