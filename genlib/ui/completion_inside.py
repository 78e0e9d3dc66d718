"""The Completion page's view inside the models: how sure they are at each pixel, and what they expect at a chosen one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import streamlit as st
import torch
from torch import Tensor

from genlib.figures import completion as figures
from genlib.figures import images
from genlib.ui import links, markup
from genlib.ui.completion import Chosen, Settings
from genlib.ui.completion_draw import Completions, predict, ranks
from genlib.ui.completion_view import legend, number
from genlib.ui.components import canvas
from genlib.ui.components.wire import digest
from genlib.ui.pick_pixel import read_pixel

FEW = 4  # values of a pixel that are shown as bars of the page's own


class _View(NamedTuple):
    """One model's view of a picture [C, H, W]: predictions [C, levels, H, W], their entropy and the order, both [H, W]."""

    chosen: Chosen
    picture: Tensor
    p: Tensor
    entropy: np.ndarray
    order: np.ndarray

    @property
    def top(self) -> float:
        """The most bits that a pixel can have."""
        return self.p.shape[0] * float(np.log2(self.p.shape[1]))


def inside(s: Settings, done: Sequence[Completions], known: np.ndarray) -> tuple[str, tuple[int, int]]:
    """Entropy of every pixel and the distribution of a chosen one, for each model.

    Returns the picture looked at and the pixel (row, column).
    """
    options = ["original", *(f"completion {i + 1}" for i in range(s.n))]
    links.check_choice("look", options, "The picture to look into")
    if st.session_state.get("look", options[0]) not in options:  # there are fewer completions than before
        st.session_state["look"] = options[-1]
    title = "How sure is the model?" if len(done) == 1 else "How sure are the models?"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(title, anchor=False, width="content")
        look = st.selectbox(
            "Picture to look into", options, 1, key="look", bind="query-params", width=240, label_visibility="collapsed"
        )
    which = options.index(look) - 1
    views = []
    for chosen, completions in zip(s.chosen, done, strict=True):
        picture = completions.coded if which < 0 else completions.pictures[which]
        p = predict(chosen, picture)
        views.append(_View(chosen, picture, p, figures.entropy_bits(p), ranks(chosen)))
    if len(views) == 1:
        maps, pasts, charts = ([place] for place in st.columns(3, gap="medium"))
    else:
        maps, pasts, charts = _places_of_two(views)
    pixel = _pick([images.heat(v.entropy, v.top) for v in views], figures.default_pixel(views[0].entropy, known), maps)
    for i, view in enumerate(views):
        with maps[i]:
            _scale(view, known, narrow=len(views) > 1)
        with pasts[i]:
            _past(f"What {'it' if len(views) > 1 else 'this pixel'} depends on", view, known, pixel)
        with charts[i]:
            _prediction(s, view, pixel, f"completion-chart{number(i)}")
    return look, pixel


def _places_of_two(views: Sequence[_View]) -> tuple[list, list, list]:
    """A half of the page for each model: map and past side by side, the chart below."""
    maps, pasts, charts = [], [], []
    for view, half in zip(views, st.columns(2, gap="large"), strict=True):
        with half:
            st.markdown(f"**{view.chosen.checkpoint}**")
            left, right = st.columns(2, gap="small")
            maps.append(left)
            pasts.append(right)
            charts.append(st.container())
    return maps, pasts, charts


def _scale(view: _View, known: np.ndarray, *, narrow: bool) -> None:
    """What stands below an entropy map; a narrow one has no room for what the ends of its scale mean."""
    low, high = ("", "") if narrow else (": certain", ": no idea")
    words = ""
    if (~known).any():
        bits = view.entropy[~known]
        words = f"The hidden pixels hold {bits.sum():.1f} bits together, {bits.mean():.2f} each."
    st.html(
        f'<div class="genlib-scale" style="background:{images.heat_gradient()}"></div>'
        f'<div class="genlib-ends"><span>0 bits{low}</span>'
        f"<span>{view.top:g} bit{'s' if view.top != 1 else ''}{high}</span></div>"
        f'<div class="genlib-quiet">{words}</div>'
    )


def _past(title: str, view: _View, known: np.ndarray, pixel: tuple[int, int]) -> None:
    """What the prediction of a pixel rests on, as one element."""
    shown = figures.past_picture(images.to_pixels(view.picture), known, pixel, view.order)
    row, column = pixel
    picture = markup.picture(images.png(shown), f"the pixels before row {row}, column {column}, and those after it")
    st.html(
        f'<div class="genlib-past"><b>{title}</b>{picture}{legend(_past_colours(known, pixel, view.order))}'
        f'<div class="genlib-quiet">{past_sentence(known, pixel, view.order)}</div></div>'
    )


def _prediction(s: Settings, view: _View, pixel: tuple[int, int], key: str) -> None:
    """What a model expects at a pixel. Few values are bars of the page's own, one element; a chart of many can be zoomed and read."""
    row, column = pixel
    p = view.p[:, :, row, column]
    drawn_from = figures.tempered(p, s.temperature).numpy() if s.temperature != 1 else None
    words = f"Row {row}, column {column}: {view.entropy[row, column]:.2f} bits."
    if view.chosen.label is not None:
        words += f" Told class {s.told}."
    elif view.chosen.classes:
        words += " All classes together, each weighed by what the pixels before tell of it."
    if drawn_from is not None:
        words += f" Hatched: what is drawn from at temperature {s.temperature:g}."
    if p.numel() <= FEW:
        st.html(
            f'<div class="genlib-past"><b>{prediction_sentence(p)}</b>{value_bars(p.numpy(), drawn_from)}'
            f'<div class="genlib-quiet">{words}</div></div>'
        )
        return
    st.markdown(f"**{prediction_sentence(p)}**")
    st.plotly_chart(
        figures.distribution_chart(p.numpy(), drawn_from, height=330 if len(s.chosen) == 1 else 240),
        config={"displayModeBar": False},
        key=key,
    )
    st.caption(words)


def value_bars(p: np.ndarray, drawn_from: np.ndarray | None) -> str:
    """The distribution of a pixel of few values, p [1, levels], as bars in HTML; hatched beside each, what it is drawn from."""
    names = ["no ink", "ink"] if p.shape[1] == 2 else [str(level) for level in range(p.shape[1])]
    rows = [("", p[0])] + ([("drawn", drawn_from[0])] if drawn_from is not None else [])
    bars = "".join(
        "<span><i>"
        + "".join(
            f'<b class="{kind}" style="height:{chances[i]:.1%}"><u>{chances[i]:.0%}</u></b>' for kind, chances in rows
        )
        + f"</i>{name}</span>"
        for i, name in enumerate(names)
    )
    words = ", ".join(f"{name} {chance:.0%}" for name, chance in zip(names, p[0], strict=True))
    return f'<div class="genlib-values" role="img" aria-label="{words}">{bars}</div>'


# -- the chosen pixel ------------------------------------------------------------------------------


class _Anchor(NamedTuple):
    """What an entropy map began from: its picture, the pixel that was marked, how often it has begun.

    ``shown``: the pixel marked now; another one if it has been clicked since.
    """

    picture: str
    pixel: tuple[int, int]
    times: int
    shown: tuple[int, int]


def _pick(shown: Sequence[np.ndarray], default: tuple[int, int], places: Sequence) -> tuple[int, int]:
    """The pixel chosen on one of the maps, from the link, or else ``default``; all maps mark it.

    A map starts anew when its picture changes or when another map is clicked, not when it is clicked itself: then it
    has the mark already. So the map that was clicked last goes first, and the others follow.
    """
    state = st.session_state
    height, width = shown[0].shape[:2]
    asked = st.query_params.get("pixel")
    if asked is not None and asked != state.get("completion-pixel-link"):
        state["completion-pixel-link"] = asked
        with links.forgiving():
            state["completion-pixel"] = read_pixel(asked, height, width)
            state["completion-anchors"] = {
                i: anchor._replace(picture="") for i, anchor in state.get("completion-anchors", {}).items()
            }
    anchors: dict[int, _Anchor] = state.setdefault("completion-anchors", {})
    chosen = state.get("completion-pixel")
    pixel = chosen if chosen is not None and chosen[0] < height and chosen[1] < width else default
    keys = [f"completion-pick{number(i)}" for i in range(len(shown))]
    clicked = _last_clicked(keys)
    for i in sorted(range(len(shown)), key=lambda i: i != clicked):
        picture = digest(shown[i])
        anchor = anchors.get(i)
        if anchor is None or anchor.picture != picture or (i != clicked and anchor.shown != pixel):
            anchor = _Anchor(picture, pixel, anchor.times + 1 if anchor else 0, pixel)
        with places[i]:
            st.markdown("**Entropy: click a pixel**")
            value = canvas(
                shown[i],
                mode="pick",
                picked=anchor.pixel,
                key=keys[i],
                label="Entropy of each pixel; choose one",
                revision=anchor.times,
            )
        anchors[i] = anchor._replace(shown=value.picked or anchor.pixel)
        if i == clicked:
            pixel = anchors[i].shown
            if value.picked and value.revision:
                state["completion-pixel"] = pixel
    if "completion-pixel" in state:
        text = f"{pixel[0]}.{pixel[1]}"
        state["completion-pixel-link"] = text
        links.put("pixel", text)
    return pixel


def _last_clicked(keys: Sequence[str]) -> int:
    """Which of the maps was clicked last: the one whose state in the browser has changed since the run before."""
    state = st.session_state
    seen = state.setdefault("completion-picks-seen", {})
    for i, key in enumerate(keys):
        sent = state.get(key)
        if sent and sent != seen.get(key):
            seen[key] = sent
            state["completion-clicked"] = i
    return min(state.get("completion-clicked", 0), len(keys) - 1)


# -- words -----------------------------------------------------------------------------------------


def _past_colours(known: np.ndarray, pixel: tuple[int, int], order: np.ndarray) -> dict[str, str]:
    """The legend of the picture of the past: what occurs in it."""
    after = figures.later(known.shape, pixel, order)
    colours = {"this pixel": figures.DRAWN}
    if (after & ~known).any():
        colours["later, hidden"] = figures.UNDRAWN
    if (after & known).any():
        colours["later, known, ignored"] = figures.IGNORED
    return colours


def past_sentence(known: np.ndarray, pixel: tuple[int, int], order: np.ndarray) -> str:
    """How many pixels a prediction rests on, and how many known ones it says nothing about."""
    ignored = int((known & figures.later(known.shape, pixel, order)).sum())
    tail = f" {ignored} known pixels come later and play no part." if ignored else ""
    if np.array_equal(order, figures.raster(order.shape)):
        return f"At most on the {order[pixel]} pixels before it, and on none below or to the right.{tail}"
    return f"At most on the {order[pixel]} pixels that are drawn before it, wherever they lie.{tail}"


def prediction_sentence(p: Tensor) -> str:
    """p [C, levels] in words."""
    channels, levels = p.shape
    if levels == 2 and channels == 1:
        return f"Probability of ink: {p[0, 1]:.1%}"
    mean = (p * torch.arange(levels)).sum(1)  # [C]
    likeliest = ", ".join(str(int(v)) for v in p.argmax(1))
    return f"Likeliest value {likeliest}; mean {', '.join(f'{m:.0f}' for m in mean)} of {levels - 1}"
