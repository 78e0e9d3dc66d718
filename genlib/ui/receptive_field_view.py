"""What the Receptive field page shows: reach by depth, gradients of trained weights, masks, the skewing."""

import base64
import re
from typing import Any, get_args

import numpy as np
import streamlit as st

from genlib.errors import GenlibError
from genlib.evaluation import receptive_field as measured
from genlib.evaluation.receptive_field import ReceptiveField
from genlib.figures import images, skewing
from genlib.figures import receptive_field as figures
from genlib.layers.masked import MaskedConv2d, MaskKind
from genlib.ui import links, models
from genlib.ui.components import Box, Panel, player
from genlib.ui.recent import Recent
from genlib.ui.receptive_field import CHANNELS, DEPTH, IMAGES_USED, Settings, fields, gradients, trained_names

MAX_DEPTH = 64
SCALE = 8  # screen pixels for a pixel of a gradient map, before it is fitted to its column
ROW = 5  # gradient maps side by side

_films: Recent[skewing.SkewFilm] = Recent(1)

_STYLE = """<style>
.genlib-legend {display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; font-size: 1rem;}
.genlib-legend i {display: inline-block; width: 1.05em; height: 1.05em; margin-right: .4em; vertical-align: -.15em;
  border-radius: 3px; border: 1px solid #8888;}
.genlib-scale {height: .9rem; border-radius: 4px; border: 1px solid #8888;}
.genlib-ends {display: flex; justify-content: space-between; font-size: .95rem;}
.genlib-kernels {display: grid; grid-template-columns: 5fr 1.4fr repeat(3, 5fr); gap: .7rem; align-items: center;}
.genlib-kernels img {width: 100%; display: block;}
.genlib-kernels b {font-weight: 500; font-size: 1rem; text-align: center; white-space: nowrap;}
</style>"""


def _legend(items: dict[str, str]) -> str:
    """Coloured squares with words: HTML from words -> CSS background (and more)."""
    parts = (f'<span><i style="background:{look}"></i>{words}</span>' for words, look in items.items())
    return _STYLE + f'<div class="genlib-legend">{"".join(parts)}</div>'


# -- reach ---------------------------------------------------------------------------------------------------------------


def show_reach(s: Settings) -> None:
    """One tile an architecture, one frame a depth; what is seen, blind, or beyond this depth."""
    with st.spinner("Measuring what each architecture can see from here"):
        found = fields(s)
    depths = range(max(field.last for field in found.values()) + 1)
    links.check_number("depth", 0, MAX_DEPTH, "The depth")
    here = [[Box(s.column, s.row, 1.0, 1.0, 2.0, figures.PIXEL)]] * len(depths)
    panels = [
        Panel(
            measured.architectures()[name].title,
            figures.tile(np.stack([field.states(depth) for depth in depths])),
            here,
            notes=[note(field, depth) for depth in depths],
        )
        for name, field in found.items()
    ]
    value = player(
        panels,
        key="receptive-reach",
        captions=[_caption(depth) for depth in depths],
        fps=2,
        height=330,
        start=min(_linked_depth(), len(depths) - 1),
        export_name=f"receptive-field-{s.row}-{s.column}",
    )
    links.put("depth", str(value.step) if value.step != DEPTH else None)
    looks = {
        "seen": figures.SEEN,
        "not yet: a deeper network sees it": figures.BEYOND,
        "blind: no depth sees it": figures.stripes(),
        "comes later": figures.FUTURE,
        "the pixel that is predicted": f"{figures.PIXEL}",
    }
    if any(field.leaks(field.last).any() for field in found.values()):
        looks["must not be seen"] = figures.LEAK
    st.html(_legend(looks))
    st.markdown(_table(found))


def _linked_depth() -> int:
    """The depth that the address asked for when this session began; later the player keeps it itself."""
    state = st.session_state
    if "receptive-depth" not in state:
        text = st.query_params.get("depth", str(DEPTH))
        state["receptive-depth"] = int(text) if re.fullmatch(r"\d{1,2}", text) and int(text) <= MAX_DEPTH else DEPTH
    return state["receptive-depth"]


def _caption(depth: int) -> str:
    if depth == 0:
        return "Depth 0: the first layer alone, or the fewest layers an architecture has"
    return f"Depth {depth}: {depth} block{'s' if depth > 1 else ''} or layer{'s' if depth > 1 else ''}"


def note(field: ReceptiveField, depth: int) -> str:
    """What stands under a tile: the form of what is seen, and counts."""
    counts = field.counts(depth)
    lines = [
        field.form(depth),
        f"sees {counts.seen} of {counts.past}",
        f"{counts.blind} blind",
        f"{counts.beyond} not yet" if counts.beyond else f"done at depth {field.last}",
    ]
    if counts.leaks:
        lines[3] = f"{counts.leaks} too many"
    if field.maps.shape[1] > 1:
        lines.append(f"of its own: {_own(field, depth)}")
    return "\n".join(lines)


def _own(field: ReceptiveField, depth: int) -> str:
    return " ".join(name for name, seen in zip(CHANNELS, field.own(depth), strict=True) if seen) or "none"


def _table(found: dict[str, ReceptiveField]) -> str:
    """What each architecture sees with one layer and in the limit."""
    past = next(iter(found.values())).past.sum()
    rows = [
        f"| of {past} earlier pixels | one layer | | in the limit | | blind | from depth |",
        "|---|--:|---|--:|---|--:|--:|",
    ]
    for name, field in found.items():
        one, most = field.counts(1), field.counts(field.last)
        rows.append(
            f"| **{measured.architectures()[name].title}** | {one.seen} | {field.form(1)} | {most.seen} | {field.form(field.last)} "
            f"| {most.blind} | {field.last} |"
        )
    return "\n".join(rows)


# -- trained weights -----------------------------------------------------------------------------------------------------


def show_trained(s: Settings) -> None:
    """One heat map a checkpoint, and how near what it uses lies."""
    names = trained_names()
    if not names:
        raise GenlibError(
            "No trained autoregressive model for 28 x 28 images is here yet: train one on the Train page first."
        )
    if s.row == s.column == 0:
        st.info("The first pixel has no past: its prediction is a constant. Choose another one.", icon="👆")
        return
    found: dict[str, np.ndarray] = {}
    places = {}
    chart: Any = None
    for start in range(0, len(names), ROW):
        row = list(names)[start : start + ROW]
        # a chart beside one or two maps, else below them
        widths = [1.0] * len(row) + [3.0 - len(row)] if len(names) < 3 else [1.0] * min(ROW, len(names))
        columns = st.columns(widths, gap="medium")
        if len(names) < 3:
            chart = columns[-1]
        for name, column in zip(row, columns, strict=False):
            column.markdown(f"**{name}**")
            places[name] = column.empty()
    if len(names) >= 3:
        chart = st.container()
    for name, data in names.items():
        with places[name].container():
            with st.spinner("Measuring"):
                found[name] = gradients(s, name, data)
            st.image(
                images.png(_framed(figures.logarithmic(found[name]), s)),
                output_format="PNG",
                width="stretch",
                alt=f"gradient of row {s.row}, column {s.column} in {name}",
            )
            st.caption(_nearness(found[name], s))
    shares = {name: measured.within(gradient, s.row, s.column) for name, gradient in found.items()}
    chart.plotly_chart(figures.nearness_chart(shares), key="receptive-nearness", config={"displayModeBar": False})
    st.html(
        _STYLE
        + f'<div class="genlib-scale" style="background:{images.heat_gradient()}"></div><div class="genlib-ends">'
        f"<span>1/{10**figures.DECADES:,} of the greatest, or less</span><span>the greatest mean |d logit / d pixel|</span></div>"
    )


def _framed(pixels: np.ndarray, s: Settings) -> np.ndarray:
    return images.frame(images.enlarge(pixels, SCALE), (s.row, s.column), SCALE)


def _nearness(gradient: np.ndarray, s: Settings) -> str:
    shares = measured.within(gradient, s.row, s.column)
    half, most = (int((shares >= part).argmax()) for part in (0.5, 0.99))
    return f"Half of it within {half} pixel{'s' if half != 1 else ''}, 99 % within {most}. Mean of {IMAGES_USED} test images."


# -- masks ---------------------------------------------------------------------------------------------------------------


def show_masks(s: Settings) -> None:
    """Masks A and B as they lie in the memory of a real layer, for grey and for colour."""
    k = s.kernel
    for kind, column in zip(get_args(MaskKind), st.columns(2, gap="large"), strict=True):
        one, three = MaskedConv2d(kind, 1, 1, k), MaskedConv2d(kind, 3, 3, k, groups=3)
        own = three.mask[:, :, -1, k // 2]
        with column:
            st.subheader(f"Mask {kind}: {'not itself' if kind == 'A' else 'itself too'}", anchor=False)
            st.html(_kernels(kind, one, three))
            st.caption(
                f"In use: {int(one.mask.sum())} of {k * k} taps for grey, {int(three.mask.sum())} of {9 * k * k} for colour, "
                f"of these {int(own.sum())} of 9 at the pixel itself."
            )
    st.html(
        _legend(
            {
                "in use": figures.SEEN,
                "masked": figures.MASKED,
                "below: never multiplied": figures.ABSENT,
                "the pixel itself": f"transparent; border: 3px solid {figures.PIXEL}",
            }
        )
    )


def _kernels(kind: str, one: MaskedConv2d, three: MaskedConv2d) -> str:
    """The kernel of one channel beside the nine of three: rows are the map that is computed, columns the map that is read."""
    cells = ["<b>Grey</b>", "<b></b>", *(f"<b>reads {name}</b>" for name in CHANNELS)]
    for o, out in enumerate(CHANNELS):
        grey = _kernel(one.mask[0, 0].numpy(), f"mask {kind}, one channel") if o == 0 else "<b></b>"
        cells += [grey, f"<b>for {out}</b>"]
        cells += [_kernel(three.mask[o, i].numpy(), f"mask {kind}, for {out}, reads {CHANNELS[i]}") for i in range(3)]
    return f'{_STYLE}<div class="genlib-kernels">{"".join(cells)}</div>'


def _kernel(mask: np.ndarray, alt: str) -> str:
    data = base64.b64encode(figures.kernel_figure(mask).encode()).decode()
    return f'<img alt="{alt}" src="data:image/svg+xml;base64,{data}">'


# -- skewing -------------------------------------------------------------------------------------------------------------


def show_skewing() -> None:
    """The Diagonal BiLSTM's two maps: skewed, swept, and one of them moved down."""
    film = _films.get("film")
    if film is None:
        with models.computing():
            film = skewing.film()
        _films.put("film", film)
    steps = len(film.captions)
    links.check_number("step", 1, steps, "The step")
    panels = []
    for k, name in enumerate(("Left to right", "Right to left")):
        panels.append(Panel(f"{name}, skewed", film.skewed[k], _boxes(film.skewed_boxes[k])))
        panels.append(Panel("In the image", film.plain[k], _boxes(film.plain_boxes[k])))
    value = player(
        panels,
        key="receptive-skewing",
        captions=film.captions,
        fps=2,
        height=330,
        start=links.linked_step("receptive-step", steps),
        export_name="skewing",
    )
    links.put("step", str(value.step + 1) if value.step else None)
    st.html(
        _legend(
            {
                **{
                    f"diagonal {i + 1}, {i + 1 + len(skewing.DIAGONALS)}, …": c for i, c in enumerate(skewing.DIAGONALS)
                },
                "nothing there, or not computed yet": skewing.EMPTY,
            }
        )
    )


def _boxes(steps: list[list[skewing.Rectangle]]) -> list[list[Box]]:
    return [[Box(*rectangle) for rectangle in of_step] for of_step in steps]
