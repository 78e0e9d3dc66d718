"""What the Completion page shows: completions while they are drawn, what raster order sees, a view inside the model."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
import torch
from torch import Tensor

from genlib.errors import GenlibError
from genlib.figures import completion as figures
from genlib.figures import images
from genlib.ui import links, models
from genlib.ui.completion import Settings
from genlib.ui.components import canvas
from genlib.ui.components.wire import digest
from genlib.ui.recent import Recent

BLINK = 0.07  # seconds between two looks at pictures that are being drawn

_STYLE = """<style>
.st-key-completion-sheet img {max-height: 46vh; object-fit: contain; object-position: left top; border-radius: 0;}
.genlib-legend {display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .95rem;}
.genlib-legend i {display: inline-block; width: .95em; height: .95em; margin-right: .4em; vertical-align: -.1em;
  border-radius: 3px; border: 1px solid #8888;}
.genlib-scale {height: .9rem; border-radius: 4px; border: 1px solid #8888;}
.genlib-ends {display: flex; justify-content: space-between; font-size: .95rem;}
</style>"""


@dataclass(frozen=True, eq=False)
class Completions:
    """``pictures`` [n, C, H, W], drawn in ``seconds``; ``coded`` [C, H, W] is the whole picture as the model reads it."""

    pictures: Tensor
    coded: Tensor
    seconds: float


_drawn: Recent[Completions] = Recent(64)  # shared by all visitors: the same link is computed once
_predicted: Recent[Tensor] = Recent(16)


def _tensor(picture: np.ndarray) -> Tensor:
    """uint8 [H, W] or [H, W, 3] -> float [1, C, H, W] in [0, 1]."""
    pixels = picture[..., None] if picture.ndim == 2 else picture
    return torch.from_numpy(pixels.copy()).movedim(-1, 0)[None].float() / 255


def complete(s: Settings, picture: np.ndarray, known: np.ndarray, show: Callable[[Tensor, int], None]) -> Completions:
    """The completions, from memory or drawn now; then ``show(pictures, row)`` is called a few times a second."""
    key = digest(s.checkpoint, s.version, s.n, s.temperature, s.seed, picture, known)
    found = _drawn.get(key)
    if found is None:
        found = _complete(
            s, _tensor(picture).to(s.model.device), torch.from_numpy(known.copy()).to(s.model.device), show
        )
        _drawn.put(key, found)
    return found


def _complete(s: Settings, image: Tensor, known: Tensor, show: Callable[[Tensor, int], None]) -> Completions:
    with models.computing():
        show(image.expand(s.n, -1, -1, -1), -1)
        begin = shown = time.perf_counter()
        waited = 0.0  # spent on showing, not on drawing
        drawn = None
        for row, drawn in s.model.complete_rows(image, known, s.n, seed=s.seed, temperature=s.temperature):
            now = time.perf_counter()
            if now - shown > BLINK:
                show(drawn[0], row)
                shown = time.perf_counter()
                waited += shown - now
        seconds = time.perf_counter() - begin - waited
        coded = s.model.complete(image, torch.ones_like(known), 1)[0, 0]  # all known: the picture in the model's coding
    result = coded.repeat(s.n, 1, 1, 1) if drawn is None else drawn[0].clone()
    return Completions(result.cpu(), coded.cpu(), seconds)


def show_completions(s: Settings, picture: np.ndarray, known: np.ndarray) -> Completions:
    """The sheet of completions, row by row while they are drawn; below it their average and what the model sees."""
    st.html(_STYLE)
    height, width = figures.completion_sheet(np.zeros((s.n, *known.shape, 3), np.uint8)).shape[:2]
    st.html(f"<style>.st-key-completion-sheet img {{aspect-ratio: {width} / {height};}}</style>")  # before it is loaded
    place: Any = st.container(key="completion-sheet")

    def show(pictures: Tensor, row: int | None) -> None:
        nonlocal place
        tiles = figures.completion_tiles(pictures, known, done=row, colours=s.colours)
        alt = f"{s.n} completions" + ("" if row is None else ", being drawn")
        # What a picture's place shows is replaced where it stands; an empty place first would make the page jump.
        place = place.image(images.png(figures.completion_sheet(tiles)), output_format="PNG", width="stretch", alt=alt)

    done = complete(s, picture, known, show)
    show(done.pictures, None)
    hidden = int((~known).sum())
    if hidden:
        st.caption(f"{s.n} completions of {hidden} hidden pixels, drawn in {done.seconds:.2f} s")
    else:
        st.caption("Nothing is hidden: every completion is the picture itself, as the model reads it.")
    average, sees, words = st.columns([1, 1, 2.2], gap="medium")
    with average:
        st.image(
            images.png(_average(done, known, s.colours)),
            output_format="PNG",
            width="stretch",
            alt="average of the completions",
        )
        st.caption("Average")
    with sees:
        shown = figures.sight_picture(images.to_pixels(_tensor(picture)[0]), known)
        st.image(
            images.png(shown), output_format="PNG", width="stretch", alt="which known pixels the model can look at"
        )
        st.caption("What it sees")
    with words:
        st.markdown(raster_sentence(known))
        st.html(_sight_legend(known))
    return done


def _average(done: Completions, known: np.ndarray, colours: bool) -> np.ndarray:
    tiles = figures.completion_tiles(done.pictures.mean(0, keepdim=True), known, colours=colours)
    return images.enlarge(tiles[0], max(1, -(-figures.TILE // max(known.shape))))


def legend(items: dict[str, str]) -> str:
    """Coloured squares with words: HTML from text -> CSS colour."""
    return (
        '<div class="genlib-legend">'
        + "".join(f'<span><i style="background:{c}"></i>{t}</span>' for t, c in items.items())
        + "</div>"
    )


def _sight_legend(known: np.ndarray) -> str:
    """The legend of the sight picture; the scale only if some known pixel is not seen by all."""
    items = {"hidden": figures.UNDRAWN} if (~known).any() else {}
    if (figures.sight(known) < 1).any():
        items["seen by all hidden pixels"] = "transparent"
        items["by none"] = figures.IGNORED
    return legend(items)


def raster_sentence(known: np.ndarray) -> str:
    """What raster order means for this mask, plainly."""
    share = figures.sight(known)
    hidden, given = int((~known).sum()), int(known.sum())
    ignored, partly = int((share == 0).sum()), int(((share > 0) & (share < 1)).sum())
    if not hidden:
        return "Nothing is hidden: hide a part, and the model draws it."
    if not given:
        return "Everything is hidden: the model has nothing to go by, and every picture is a free sample."
    order = "in raster order (row by row from the top left)"
    if ignored == given:
        return f"**It can use none of the {given} known pixels.** It draws {order}, and all that is known comes later."
    if not ignored and not partly:
        return f"**It can use all {given} known pixels**: {order} they come before all that is hidden."
    seen = []
    if partly:
        seen.append(f"{partly} of the {given} known pixels count only for what is hidden after them")
    if ignored:
        seen.append(f"{ignored} come last and count for nothing")
    return f"**It cannot look ahead.** It draws {order}: {', '.join(seen)}."


# -- inside the model ------------------------------------------------------------------------------


def inside(s: Settings, done: Completions, known: np.ndarray) -> tuple[str, tuple[int, int]]:
    """Entropy of every pixel and the distribution of a chosen one.

    Returns the picture looked at and the pixel (row, column).
    """
    channels = s.shape[0]
    options = ["original", *(f"completion {i + 1}" for i in range(s.n))]
    links.check_choice("look", options, "The picture to look into")
    if st.session_state.get("look", options[0]) not in options:  # there are fewer completions than before
        st.session_state["look"] = options[-1]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("How sure is the model?", anchor=False, width="content")
        look = st.selectbox(
            "Picture to look into", options, 1, key="look", bind="query-params", width=240, label_visibility="collapsed"
        )
    which = options.index(look) - 1
    picture = done.coded if which < 0 else done.pictures[which]
    p = predict(s, picture)  # [C, levels, H, W]
    entropy = figures.entropy_bits(p)
    top = channels * float(np.log2(p.shape[1]))
    left, middle, right = st.columns(3, gap="medium")
    with left:
        st.markdown("**Entropy: click a pixel**")
        pixel = _pick(images.heat(entropy, top), figures.default_pixel(entropy, known))
        st.html(
            f'<div class="genlib-scale" style="background:{images.heat_gradient()}"></div>'
            '<div class="genlib-ends"><span>0 bits: certain</span>'
            f"<span>{top:g} bit{'s' if top != 1 else ''}: no idea</span></div>"
        )
        if (~known).any():
            st.caption(
                f"The hidden pixels hold {entropy[~known].sum():.1f} bits together, {entropy[~known].mean():.2f} each."
            )
    row, column = pixel
    chosen = p[:, :, row, column]
    drawn_from = figures.tempered(chosen, s.temperature).numpy() if s.temperature != 1 else None
    with middle:
        st.markdown("**What this pixel depends on**")
        shown = figures.past_picture(images.to_pixels(picture), known, pixel)
        st.image(
            images.png(shown),
            output_format="PNG",
            width="stretch",
            alt=f"the pixels before row {row}, column {column}, and those after it",
        )
        st.html(legend(_past_colours(known, pixel)))
        st.caption(past_sentence(known, pixel))
    with right:
        st.markdown(f"**{prediction_sentence(chosen)}**")
        st.plotly_chart(
            figures.distribution_chart(chosen.numpy(), drawn_from),
            config={"displayModeBar": False},
            key="completion-chart",
        )
        words = f"Row {row}, column {column}: {entropy[row, column]:.2f} bits."
        if drawn_from is not None:
            words += f" Hatched: what is drawn from at temperature {s.temperature:g}."
        st.caption(words)
    return look, pixel


def predict(s: Settings, picture: Tensor) -> Tensor:
    """The model's distribution at every pixel of a picture [C, H, W], given what comes before it: [C, levels, H, W]."""
    key = digest(s.checkpoint, s.version, picture.numpy())
    found = _predicted.get(key)
    if found is None:
        with models.computing():
            found = s.model.pixel_distribution(picture[None].to(s.model.device))[0].cpu()
        _predicted.put(key, found)
    return found


def _pick(shown: np.ndarray, default: tuple[int, int]) -> tuple[int, int]:
    """The pixel chosen on the map, from the link, or else ``default``.

    The map starts anew when its picture changes, not when it is clicked.
    """
    state = st.session_state
    height, width = shown.shape[:2]
    asked = st.query_params.get("pixel")
    if asked is not None and asked != state.get("completion-pixel-link"):
        state["completion-pixel-link"] = asked
        with links.forgiving():
            state["completion-pixel"] = _read_pixel(asked, height, width)
            state.pop("completion-anchor", None)
    picture = digest(shown)
    if state.get("completion-anchor", ("",))[0] != picture:
        chosen = state.get("completion-pixel")
        inside = chosen is not None and chosen[0] < height and chosen[1] < width
        state["completion-anchor"] = (picture, chosen if inside else default)
    anchor = state["completion-anchor"][1]
    value = canvas(shown, mode="pick", picked=anchor, key="completion-pick", label="Entropy of each pixel; choose one")
    if value.picked is not None and value.revision:
        state["completion-pixel"] = value.picked
    picked = value.picked or anchor
    text = f"{picked[0]}.{picked[1]}"
    if "completion-pixel" in state:
        state["completion-pixel-link"] = text
        links.put("pixel", text)
    return picked


def _read_pixel(text: str, height: int, width: int) -> tuple[int, int]:
    """ROW.COLUMN of a link -> (row, column) within the picture."""
    found = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", text)
    if not found or int(found[1]) >= height or int(found[2]) >= width:
        raise GenlibError(
            f"The pixel {text[:20]!r} in the link is not possible: "
            f"give ROW.COLUMN within {height} x {width}, e.g. 14.10."
        )
    return int(found[1]), int(found[2])


def _past_colours(known: np.ndarray, pixel: tuple[int, int]) -> dict[str, str]:
    """The legend of the picture of the past: what occurs in it."""
    after = figures.later(known.shape, pixel)
    colours = {"this pixel": figures.DRAWN}
    if (after & ~known).any():
        colours["later, hidden"] = figures.UNDRAWN
    if (after & known).any():
        colours["later, known, ignored"] = figures.IGNORED
    return colours


def past_sentence(known: np.ndarray, pixel: tuple[int, int]) -> str:
    """How many pixels a prediction rests on, and how many known ones it says nothing about."""
    after = figures.later(known.shape, pixel)
    before = pixel[0] * known.shape[1] + pixel[1]
    ignored = int((known & after).sum())
    tail = f" {ignored} known pixels come later and play no part." if ignored else ""
    return f"At most on the {before} pixels before it, and on none below or to the right.{tail}"


def prediction_sentence(p: Tensor) -> str:
    """p [C, levels] in words."""
    channels, levels = p.shape
    if levels == 2 and channels == 1:
        return f"Probability of ink: {p[0, 1]:.1%}"
    mean = (p * torch.arange(levels)).sum(1)  # [C]
    likeliest = ", ".join(str(int(v)) for v in p.argmax(1))
    return f"Likeliest value {likeliest}; mean {', '.join(f'{m:.0f}' for m in mean)} of {levels - 1}"
