"""What the Completion page shows first: completions while they are drawn, what the order of drawing sees, what a class
did. The rest is in `genlib.ui.completion_inside`.
"""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from torch import Tensor

from genlib.figures import completion as figures
from genlib.figures import images
from genlib.models.contract import count_parameters
from genlib.ui import markup, pick_class
from genlib.ui.completion import Chosen, Settings
from genlib.ui.completion_draw import Completions, Show, class_chances, complete, ranks, tensor

MOST_CLASSES = 10  # bars of the chances of the classes; of more classes the likeliest are shown

_STYLE = """<style>
[class*="st-key-completion-sheet"] img {max-height: 46vh; object-fit: contain; object-position: left top;
  border-radius: 0;}
.genlib-below {display: grid; grid-template-columns: repeat(2, minmax(0, 7rem)) minmax(0, 1fr); gap: .7rem 1.3rem;}
.genlib-below > .genlib-quiet, .genlib-below.two > div {grid-column: 1 / -1;}
.genlib-below p {margin: 0 0 .5rem;}
.genlib-past {display: grid; gap: .6rem;}
.genlib-values {display: flex; gap: 1.2rem; max-width: 24rem; padding-top: 1.4rem; text-align: center;}
.genlib-values > span {flex: 1;}
.genlib-values i {display: flex; gap: 4px; align-items: flex-end; height: 11rem; margin-bottom: .2rem; border-bottom: 1px solid #8888; font-style: normal;}
.genlib-values b {position: relative; flex: 1; background: ORANGE;}
.genlib-values .drawn {background: repeating-linear-gradient(135deg, ORANGE 0 5px, #fff 5px 8px);}
.genlib-values u {position: absolute; inset: -1.5em 0 auto; text-decoration: none; font-size: .9rem;}
.genlib-legend {display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .95rem;}
.genlib-legend i {display: inline-block; width: .95em; height: .95em; margin-right: .4em; vertical-align: -.1em;
  border-radius: 3px; border: 1px solid #8888;}
.genlib-scale {height: .9rem; border-radius: 4px; border: 1px solid #8888;}
.genlib-ends {display: flex; justify-content: space-between; font-size: .95rem;}
.genlib-model {white-space: nowrap; overflow: hidden; text-overflow: ellipsis; font-size: .95rem;}
.genlib-classes {display: flex; gap: .3rem; max-width: 30rem; font-size: .95rem; text-align: center;}
.genlib-classes > span {flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis;}
.genlib-classes i {display: flex; align-items: flex-end; height: 2.6rem; border-bottom: 1px solid #8888;}
.genlib-classes b {width: 100%;}
</style>""".replace("ORANGE", figures.DRAWN)


def show_completions(s: Settings, picture: np.ndarray, known: np.ndarray, columns: Sequence[Any]) -> list[Completions]:
    """In a column for each model: its sheet of completions, row by row while they are drawn; below it their average
    and what the model sees.
    """
    aspect = 1.9 if len(s.chosen) == 1 else 1.1  # of the space for a sheet, roughly
    height, width = figures.completion_sheet(np.zeros((s.n, *known.shape, 3), np.uint8), aspect).shape[:2]
    st.html(  # the room that a sheet takes is there before it is loaded
        f'{_STYLE}<style>[class*="st-key-completion-sheet"] img {{aspect-ratio: {width} / {height};}}</style>'
    )
    shows = []
    for i, (chosen, column) in enumerate(zip(s.chosen, columns, strict=True)):
        with column:
            if len(s.chosen) > 1:
                st.html(_heading(chosen))
            shows.append(_sheet(s, known, aspect, f"completion-sheet{number(i)}"))
    done = complete(s, picture, known, shows)
    for chosen, completions, show, column in zip(s.chosen, done, shows, columns, strict=True):
        show(completions.pictures, None)
        with column:
            _below(s, chosen, completions, picture, known)
    return done


def number(i: int) -> str:
    """What the keys of a model's elements end with: nothing for the first, -2 for the second."""
    return f"-{i + 1}" if i else ""


def _heading(chosen: Chosen) -> str:
    """A model's name and what it is, a line each, so that two sheets begin at the same height."""
    what = f"{chosen.model.title}, {count_parameters(chosen.model):,} weights"
    name, what = html.escape(chosen.checkpoint), html.escape(what)
    return f'<div class="genlib-model" title="{name}: {what}"><b>{name}</b><br>{what}</div>'


def _sheet(s: Settings, known: np.ndarray, aspect: float, key: str) -> Show:
    """A place for a sheet of completions; returns what shows them there."""
    place: Any = st.container(key=key)

    def show(pictures: Tensor, drawn: np.ndarray | None) -> None:
        nonlocal place
        tiles = figures.completion_tiles(pictures, known, drawn=drawn, colours=s.colours)
        sheet = images.png(figures.completion_sheet(tiles, aspect))
        alt = f"{s.n} completions" + ("" if drawn is None else ", being drawn")
        # What a picture's place shows is replaced where it stands; an empty place first would make the page jump.
        place = place.html(markup.picture(sheet, alt))

    return show


def _below(s: Settings, chosen: Chosen, done: Completions, picture: np.ndarray, known: np.ndarray) -> None:
    """What stands below a model's sheet, as one element."""
    order = ranks(chosen)
    hidden = int((~known).sum())
    if hidden:
        line = f"{s.n} completions of {hidden} hidden pixels, drawn in {done.seconds:.2f} s"
    else:
        line = "Nothing is hidden: every completion is the picture itself, as the model reads it."
    average = images.png(_average(done, known, s.colours))
    shown = figures.sight_picture(images.to_pixels(tensor(picture)[0]), known, order)
    st.html(
        f'<div class="genlib-below{" two" if len(s.chosen) > 1 else ""}"><div class="genlib-quiet">{line}</div>'
        f"{markup.figure(average, 'average of the completions', 'Average')}"
        f"{markup.figure(images.png(shown), 'which known pixels the model can look at', 'What it sees')}"
        f"<div><p>{markup.strong(sight_sentence(known, order))}</p>{_sight_legend(known, order)}"
        f"{_class(s, chosen, done, known, order)}</div></div>"
    )


def _average(done: Completions, known: np.ndarray, colours: bool) -> np.ndarray:
    return figures.completion_tiles(done.pictures.mean(0, keepdim=True), known, colours=colours)[0]


def legend(items: dict[str, str]) -> str:
    """Coloured squares with words: HTML from text -> CSS colour."""
    return (
        '<div class="genlib-legend">'
        + "".join(f'<span><i style="background:{c}"></i>{t}</span>' for t, c in items.items())
        + "</div>"
    )


# -- the order of drawing --------------------------------------------------------------------------


def _sight_legend(known: np.ndarray, order: np.ndarray) -> str:
    """The legend of the sight picture; the scale only if some known pixel is not seen by all."""
    items = {"hidden": figures.UNDRAWN} if (~known).any() else {}
    if (figures.sight(known, order) < 1).any():
        items["seen by all hidden pixels"] = "transparent"
        items["by none"] = figures.IGNORED
    return legend(items)


def order_words(order: np.ndarray) -> str:
    """The order of drawing, int [H, W] of ranks, in words."""
    if np.array_equal(order, figures.raster(order.shape)):
        return "in raster order (row by row from the top left)"
    stride = figures.coarse_stride(order)
    if stride:
        return f"from coarse to fine (first every {_ORDINALS.get(stride, f'{stride}th')} pixel of every such row)"
    return "in an order of its own"


_ORDINALS = {2: "second", 3: "third"}


def sight_sentence(known: np.ndarray, order: np.ndarray) -> str:
    """What the order of drawing means for this mask, plainly."""
    share = figures.sight(known, order)
    hidden, given = int((~known).sum()), int(known.sum())
    ignored, partly = int((share == 0).sum()), int(((share > 0) & (share < 1)).sum())
    if not hidden:
        return "Nothing is hidden: hide a part, and the model draws it."
    if not given:
        return "Everything is hidden: the model has nothing to go by, and every picture is a free sample."
    words = order_words(order)
    if ignored == given:
        return f"**It can use none of the {given} known pixels.** It draws {words}, and all that is known comes later."
    if not ignored and not partly:
        return f"**It can use all {given} known pixels**: {words} they come before all that is hidden."
    seen = []
    if partly:
        seen.append(f"{partly} of the {given} known pixels count only for what is hidden after them")
    if ignored:
        seen.append(f"{ignored} come last and count for nothing")
    return f"**It cannot look ahead.** It draws {words}: {', '.join(seen)}."


# -- classes ---------------------------------------------------------------------------------------


def _class(s: Settings, chosen: Chosen, done: Completions, known: np.ndarray, order: np.ndarray) -> str:
    """What the class did, and the chances of the classes if the model draws them itself: HTML."""
    chances = None
    if chosen.classes and chosen.label is None:
        chances = class_chances(chosen, done.coded, known).numpy()
    sentence = class_sentence(s, chosen, known, order, chances)
    return (f"<p>{markup.strong(sentence)}</p>" if sentence else "") + (
        "" if chances is None else class_bars(chosen.classes, chances)
    )


def class_sentence(
    s: Settings, chosen: Chosen, known: np.ndarray, order: np.ndarray, chances: np.ndarray | None
) -> str:
    """What being told ``s.told`` did to a model's completions; empty where there is nothing to say.

    ``chances`` [K]: what the known pixels before the first hidden one tell of the class, if the model draws it itself.
    """
    if not chosen.classes:
        return "" if s.told == pick_class.ANY else "It knows no classes: telling one changes nothing here."
    if chances is None:
        return f"**Told class {s.told}**: it draws every completion as {s.told}, whatever the known part looks like."
    start = "**Told no class.**" if s.told == pick_class.ANY else f"**{chosen.data} has no class {s.told}.**"
    seen = int(figures.known_first(known, order).sum())
    if not seen:
        return (
            f"{start} Each completion is of any class, all equally likely: nothing known comes before what is hidden."
        )
    before = " before the first hidden one" if (~known).any() else ""
    best = int(chances.argmax())
    return (
        f"{start} Each completion is of a class drawn by what the {seen} known pixels{before} tell: "
        f"most likely **{chosen.classes[best]}** ({chances[best]:.0%})."
    )


def class_bars(names: Sequence[str], chances: np.ndarray) -> str:
    """The chances of the classes as bars, HTML."""
    shown = np.sort(np.argsort(-chances, kind="stable")[:MOST_CLASSES])
    bars = "".join(
        f'<span title="{html.escape(names[i])}: {chances[i]:.1%}"><i><b style="height:{chances[i]:.1%};'
        f'background:{figures.DRAWN}"></b></i>{html.escape(names[i])}</span>'
        for i in shown
    )
    words = ", ".join(f"{html.escape(names[i])} {chances[i]:.0%}" for i in shown)
    return f'<div class="genlib-classes" role="img" aria-label="chances of the classes: {words}">{bars}</div>'
