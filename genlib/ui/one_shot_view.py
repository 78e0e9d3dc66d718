"""What the One shot page shows: twenty new exemplars, which of twenty characters it is, and every step of writing one."""

import html
import time
from dataclasses import dataclass
from typing import Any

import streamlit as st
from torch import Tensor

from genlib.evaluation.one_shot import log_likelihoods, posterior
from genlib.figures import glimpses as figures
from genlib.figures import images
from genlib.figures.palette import GREEN
from genlib.ui import glimpses, links, models, one_shot
from genlib.ui.completion_draw import tensor
from genlib.ui.components import Panel, Series, player
from genlib.ui.components.wire import digest
from genlib.ui.one_shot import Settings, Shown
from genlib.ui.recent import Recent

EXEMPLARS, COLUMNS = 20, 5
SURE = 0.995  # from here on a share is shown as "> 99 %"

_STYLE = """<style>
.genlib-wall {display: block; width: 100%; max-width: min(760px, 78vh); image-rendering: pixelated;}
.genlib-tell {display: grid; grid-template-columns: repeat(5, minmax(0, 1fr)); gap: .4rem; margin: 0 !important;
  padding: 0 !important; list-style: none; max-width: 760px;}
.genlib-tell li {display: grid; justify-items: center; margin: 0 !important; padding: .3rem; border: 2px solid rgba(128, 140, 152, .3);
  border-radius: .4rem;}
.genlib-tell img {width: 3.2rem; image-rendering: pixelated;}
.genlib-tell b {font-size: .85rem; line-height: 1.4; font-variant-numeric: tabular-nums; font-weight: 600; white-space: nowrap;}
.genlib-tell i {justify-self: start; height: .45rem; border-radius: .2rem; background: #56B4E9; min-width: 2px;}
</style>"""


@dataclass(frozen=True, eq=False)
class Written:
    """Pictures [n, C, H, W] in [0, 1] and the seconds that they took."""

    pictures: Tensor
    seconds: float


_written: Recent[Written] = Recent(128)
_told: Recent[Tensor] = Recent(256)
_traces: Recent[Any] = Recent(24)


def show(s: Settings) -> Shown:
    """The canvas, and beside it what the view is about. Returns the picture on the canvas."""
    st.html(_STYLE)
    if s.view == one_shot.STEPS:
        left, right = st.columns([3, 8], gap="medium")
    else:
        left, right = st.columns([4, 7], gap="medium")
    with left:
        shown = one_shot.show_canvas(s)
    with right:
        if not shown.picture.any():
            st.info("Draw a character: a letter of your own invention will do. The model is shown it once.")
        elif s.view == one_shot.TELL:
            _show_told(s, shown)
        elif s.view == one_shot.WRITE:
            _show_written(s, shown)
        else:
            _show_steps(s, shown)
    return shown


def _key(s: Settings, shown: Shown, *more: object) -> str:
    return digest(s.checkpoint, s.version, s.view, s.seed, shown.picture, *more)


def _show_written(s: Settings, shown: Shown) -> None:
    """Twenty new exemplars at once."""
    key = _key(s, shown, s.temperature)
    found = _written.get(key)
    if found is None:
        with models.computing():
            start = time.perf_counter()
            example = tensor(shown.picture).to(s.model.device)
            pictures = s.model.sample_like(example, EXEMPLARS, seed=s.seed, temperature=s.temperature)[0].cpu()
            found = Written(pictures, time.perf_counter() - start)
        _written.put(key, found)
    tiles = images.to_pixels(found.pictures)
    wall = images.data_url(images.sheet(tiles, COLUMNS, scale=4, gap=8))
    st.html(f'<img class="genlib-wall" data-testid="one-shot-wall" alt="{EXEMPLARS} new exemplars" src="{wall}">')
    st.caption(f"{EXEMPLARS} new exemplars after one look, all at once in {found.seconds:.2f} s.")


def _show_told(s: Settings, shown: Shown) -> None:
    """The posterior over the twenty supports of a run."""
    runs = one_shot.runs()
    supports = runs.support[s.run - 1]
    key = _key(s, shown, s.run, s.draws)
    shares = _told.get(key)
    if shares is None:
        with models.computing():
            log_p = log_likelihoods(s.model, tensor(shown.picture), supports, k=s.draws, seed=s.seed)
            shares = posterior(log_p)[0]
        _told.put(key, shares)
    chosen = int(shares.argmax())
    answer = int(runs.answers[s.run - 1, s.query - 1]) if s.source == one_shot.GIVEN and shown.given else None
    verdict = "" if answer is None else ", and it is" if answer == chosen else f", but it is number {answer + 1}"
    st.markdown(f"Most likely **number {chosen + 1}** ({_percent(float(shares[chosen]))}){verdict}.")
    st.html(_cards(supports, shares, chosen, answer))
    st.caption(
        "p(character | drawing) for the twenty characters of the run, each shown to the model once. Filled blue: the likeliest"
        + ("; green frame: the right one." if answer is not None else ".")
    )


def _cards(supports: Tensor, shares: Tensor, chosen: int, answer: int | None) -> str:
    """The supports [20, C, H, W] with a bar each."""
    rows = []
    for i, (picture, share) in enumerate(zip(images.to_pixels(supports), shares.tolist(), strict=True)):
        frame = f"border-color: {GREEN};" if i == answer else ""
        fill = "background: rgba(86, 180, 233, .25);" if i == chosen else ""
        name = html.escape(f"character {i + 1}: {_percent(share)}" + (", the right one" if i == answer else ""))
        rows.append(
            f'<li style="{frame}{fill}"><img alt="{name}" src="{images.data_url(images.enlarge(picture, 2))}">'
            f'<b>{_percent(share)}</b><i style="width: {100 * share:.1f}%"></i></li>'
        )
    return f'<ul class="genlib-tell" data-testid="one-shot-posterior">{"".join(rows)}</ul>'


def _percent(share: float) -> str:
    return "> 99 %" if share > SURE else "< 1 %" if share < 1 - SURE else f"{100 * share:.0f} %"


# Step by step


def _show_steps(s: Settings, shown: Shown) -> None:
    """One exemplar while it is written: where the model looks at the example, and where it writes."""
    key = _key(s, shown, s.temperature)
    t = _traces.get(key)
    if t is None:
        with models.computing():
            example = tensor(shown.picture).to(s.model.device)
            t = s.model.trace(n=1, seed=s.seed, temperature=s.temperature, example=example)
        _traces.put(key, t)
    steps = t.canvases.shape[1]
    panels = [
        glimpses.example_panel(t),
        Panel("The canvas", figures.canvases(t, 0), glimpses.writing_boxes(t)),
        Panel("The change", figures.changes(t, 0)),
    ]
    series = [
        Series("Side of the reading grid", t.example.width(t.example_grid)[0].cpu().numpy(), "line", "pixels"),
        Series("Side of the writing grid", t.write.width(t.write_grid)[0].cpu().numpy(), "line", "pixels"),
    ]
    links.check_number("step", 1, steps, "The step")
    value = player(
        panels,
        key="one-shot-player",
        captions=[f"Step {i + 1} of {steps}: z from the prior" for i in range(steps)],
        series=series,
        fps=5,
        height=330,
        revision=key,
        start=links.linked_step("one-shot-linked", steps),
        export_name=f"{s.checkpoint}-one-shot",
    )
    links.put("step", str(value.step + 1) if value.step else None)
