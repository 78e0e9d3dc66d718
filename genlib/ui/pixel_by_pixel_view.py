"""What the Pixel by pixel page shows: the player, and what the whole picture cost."""

import math
import re

import numpy as np
import streamlit as st

from genlib.figures import palette
from genlib.figures import pixel_by_pixel as figures
from genlib.figures.pixel_by_pixel import Walk
from genlib.ui import links
from genlib.ui.components import Bars, Captions, Reveal, Scale, Series, player
from genlib.ui.components.player_panels import NEVER
from genlib.ui.pixel_by_pixel import ENTROPY, SURPRISE, Settings, frame_rows, small_order

FILM = 20.0  # seconds that a film takes at speed 1, if the screen is quick enough
LN2 = math.log(2)


def show(s: Settings, w: Walk) -> int:
    """The player and the sentence below it; returns the step, from 0, where the visitor stands."""
    start = _start(s, w)
    value = player(
        [*_canvases(s, w), _map(s, w), _prediction(s, w)],
        key="pixels",
        captions=_captions(s, w),
        series=_series(w),
        fps=float(np.clip(w.steps / FILM, 4, 60)),
        stride=s.shape[0] * s.shape[2],
        height=480,
        revision=s.identity,
        start=start,
        export_name=f"{s.checkpoint}-pixel-by-pixel",
    )
    links.put("step", str(value.step + 1) if value.step != _telling_step(s, w) else None)
    st.caption(total_sentence(s, w))
    return value.step


def _telling_step(s: Settings, w: Walk) -> int:
    """Where we begin: where a drawing model was least sure, where a given picture surprised it most."""
    return int((w.surprise if s.given else w.entropy).argmax())


def _start(s: Settings, w: Walk) -> int:
    """The step that the address asked for when this session began, as long as the picture is that of the address."""
    state = st.session_state
    if "pixels-linked" not in state:
        links.check_number("step", 1, w.steps, "The step")
        text = st.query_params.get("step", "")
        step = min(int(text), w.steps) - 1 if re.fullmatch(r"[1-9]\d{0,5}", text) else None
        state["pixels-linked"] = (s.identity, step)
    identity, step = state["pixels-linked"]
    return step if identity == s.identity and step is not None else _telling_step(s, w)


def _canvases(s: Settings, w: Walk) -> list[Reveal]:
    """The picture as far as it has come; before it the small one, if the model begins with one."""
    title = "Read so far" if s.given else "Drawn so far"
    whole = _reveal(s, title, w.picture(), w.picture_order(), w)
    first = small_order(s)
    if first is None:
        return [whole]
    order = figures.as_picture(first.numpy())
    return [Reveal("First a small one", figures.as_picture(w.pixels()[first.numpy()]), order, w.steps), whole]


def _reveal(
    s: Settings,
    title: str,
    picture: np.ndarray,
    order: np.ndarray,
    w: Walk,
    across: int = 1,
    scale: Scale | None = None,
) -> Reveal:
    """A picture of the whole image; the frames of a film stand side by side."""
    frame = frame_rows(s)
    if frame is not None:
        picture = figures.side_by_side(picture, frame, 0, across)
        order = figures.side_by_side(order, frame, NEVER, across)
    return Reveal(title, picture, order, w.steps, across=across, scale=scale)


def _map(s: Settings, w: Walk) -> Reveal:
    """What the model thought at each place, up to the present step."""
    if s.shown not in (ENTROPY, SURPRISE):
        if w.levels > 2 or s.shape[0] > 1:
            return _reveal(s, "Mean of the prediction", w.picture(w.mean), w.picture_order(), w)
        scale = Scale(("#000000", "#ffffff"), "0", "100 %")
        return _reveal(s, "Probability of ink", w.picture(w.mean), w.picture_order(), w, scale=scale)
    top: float
    if s.shown == ENTROPY:
        numbers, top = w.entropy, math.log2(w.levels)
        scale = Scale(figures.HEAT, "0", f"{top:g} bit{'s' if top != 1 else ''}")
    else:
        numbers, top = w.surprise, figures.surprise_top(w.levels)
        scale = Scale(figures.HEAT, "0", f"{top}+ nats")
    return _reveal(s, s.shown, w.heat(numbers, top), w.strips(w.order), w, s.shape[0], scale)


def _prediction(s: Settings, w: Walk) -> Bars:
    """The distribution at each step; at a temperature the one that is drawn from, with the model's own over it."""
    heights, chosen, size = figures.grouped(w.p, w.values)  # ticks are values, bars may stand for several
    outline, names = None, ("", "")
    side = frame_rows(s) or s.shape[1]
    if s.temperature != 1:
        outline, names = heights, (f"drawn from, T = {s.temperature:g}", "the model")
        heights, _, _ = figures.grouped(w.at_temperature(s.temperature), w.values)
    title = f"Prediction, ▲ {'came' if s.given else 'drawn'}"
    grey = s.shape[0] == 1
    return Bars(
        title,
        heights,
        chosen,
        [(value // size, word) for value, word in figures.ticks(s.shape[0], w.levels)],
        [palette.SKY] if grey else figures.INKS,
        inks=None if grey else w.places[:, 0],
        outline=outline,
        names=names,
        height=side,
        width=side,
    )


def _captions(s: Settings, w: Walk) -> Captions:
    """One line a step: where, what came, how likely it was, what all of it cost so far."""
    words = dict(figures.ticks(s.shape[0], w.levels))
    came = [words[value] for value in w.values.tolist()] if w.levels == 2 else w.values
    columns = [w.places[:, 1], w.places[:, 2], came, 100 * w.chance, w.so_far / LN2]
    where = "Row {0}, column {1}"
    frame = frame_rows(s)
    if frame is not None:
        columns[0] = w.places[:, 1] % frame
        where = f"Frame {{{len(columns)}}}, row {{0}}, column {{1}}"
        columns.append(w.places[:, 1] // frame + 1)
    if s.shape[0] == 3:
        where += f", {{{len(columns)}}}"
        columns.append([figures.CHANNELS[channel] for channel in w.places[:, 0]])
    first = small_order(s)
    if first is not None:
        where += f", {{{len(columns)}}}"
        small = np.isin(np.arange(w.steps), first)
        columns.append(["of the small image" if one else "around the small image" for one in small])
    return Captions(where + ": {2}, to which the model gave {3} % · so far {4} bits", columns)


def _series(w: Walk) -> list[Series]:
    return [
        Series("Entropy", w.entropy, unit="bits"),
        Series("Surprise", w.surprise, unit="nats"),
        Series("Surprise so far", w.so_far, "line", "nats"),
    ]


def total_sentence(s: Settings, w: Walk) -> str:
    """What the picture cost the model, in words."""
    nats, expected = float(w.surprise.sum()), float(w.entropy.sum())
    first = small_order(s)
    told = f" given class {s.label_name}" if s.label_name else ""
    if s.model.classes and s.label is None:
        told = " over all classes"
    sentence = (
        f"The whole picture has {nats:.2f} nats = {nats / LN2:.2f} bits: exactly −ln p(picture){told}. "
        f"On this way the model expected {expected:.1f} bits, the sum of the entropies."
    )
    if first is not None:
        sentence += f" The small image took {float(w.surprise[first.numpy()].sum()):.2f} nats of it."
    frame = frame_rows(s)
    if frame is not None:
        by_frame = np.bincount(w.places[:, 1] // frame, w.surprise)
        sentence += f" Frame by frame: {', '.join(f'{one:.1f}' for one in by_frame)} nats."
    _, _, size = figures.grouped(w.p[:1], w.values[:1])
    if size > 1:
        sentence += f" Each bar stands for {size} neighbouring values."
    if s.temperature != 1:
        sentence += (
            f" All numbers and maps are the model's own; values were drawn from its p to the power of 1/{s.temperature:g}, made to sum to one."
            if s.temperature
            else " All numbers and maps are the model's own; at temperature 0 the likeliest value was taken everywhere."
        )
    return sentence
