"""The Glimpses page: settings, the players, and attention by hand."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from genlib.data import few
from genlib.data.pairs import next_of_class
from genlib.errors import GenlibError
from genlib.figures import glimpses as figures
from genlib.figures.images import to_pixels
from genlib.models import abilities, catalogue
from genlib.ui import ahead, links, models, pick_draw, pick_image
from genlib.ui.components import Attention, Box, Film, Panel, Series, attention_pad, film, player
from genlib.ui.components.attention_pad import checked_attention
from genlib.ui.components.wire import digest
from genlib.ui.recent import Recent

READ, GENERATE, BY_HAND = VIEWS = ("Read", "Generate", "By hand")
PREFIX = "glimpses"  # of the page's own class filter
OTHERS = 16  # pictures that are drawn beside the one that is followed
START = Attention(n=5, x=13.5, y=13.5, delta=4.0, sigma=1.2, gamma=1.0)

_films: Recent[Film] = Recent(48)  # shared by all visitors


@dataclass(frozen=True)
class Settings:
    """What the controls say. ``version`` tells two files of the checkpoint's name apart; ``reads``: whether the model can be given an
    image; ``shown``: whether it is shown an example besides."""

    checkpoint: str
    version: float
    data: str
    model: Any  # a `Model` with the ability
    view: str
    index: int
    seed: int
    temperature: float
    reads: bool
    shown: bool = False


def settings() -> Settings:
    """The sidebar. Values that a link got wrong are named in a sentence, and the defaults are taken."""
    links.check_choice("view", VIEWS, "The view")
    index, seed, temperature = 0, 0, 1.0
    with st.sidebar:
        name = models.choose(
            "step-wise drawing", later=lambda one: models.available()[one][0] != "draw"
        )  # eye and pen first
        kind, data = models.available()[name]
        can = abilities(catalogue.get(kind))
        reads = "bounded likelihood" in can
        if reads:
            view = links.segments("View", VIEWS, "view")
        else:
            view = GENERATE
            st.caption("This model has no encoder for images: there is nothing that it reads, it only generates.")
        if view != GENERATE:
            index = pick_image.choose_index(data, PREFIX)
        if view != BY_HAND:
            seed = pick_draw.choose_seed("Which noise z is drawn.")
        if view == GENERATE:
            temperature = pick_draw.choose_temperature("Scales the spread of the prior that z is drawn from.")
    version = models.version(name)
    shown = "conditioning by example" in can
    return Settings(name, version, data, models.get(name), view, index, seed, temperature, reads, shown)


def show_film(s: Settings) -> None:
    """The model reads one test image and draws it again, or draws one picture large and sixteen more beside it: the player.

    The step where it was left stands in the address, and a link brings it back.
    """
    key = _key(s)
    shown = _films.get(key)
    if shown is None:
        with models.computing():
            shown = _filmed(s)
        _films.put(key, shown)
    links.check_number("step", 1, shown.total, "The step")
    value = player(
        shown,
        key="glimpses",
        fps=6,
        height=290,
        revision=key,
        start=links.linked_step("glimpses-linked", shown.total),
        export_name=f"{s.checkpoint}-{s.view.lower()}",
    )
    links.put("step", str(value.step + 1) if value.step else None)
    ahead.plan("glimpses", [partial(_keep, one) for one in _next(s)])


def _key(s: Settings) -> str:
    return digest(s.checkpoint, s.version, s.view, s.index, s.seed, s.temperature)


def _next(s: Settings) -> list[Settings]:
    """What the page's buttons lead to."""
    seeds = replace(s, seed=pick_draw.seed_after(s.seed))
    if s.view == GENERATE:
        return [seeds]
    return [replace(s, index=pick_image.index_after(s.data, PREFIX, s.index)), seeds]


def _keep(s: Settings) -> None:
    if _films.get(_key(s)) is None:
        _films.put(_key(s), _filmed(s))


def _filmed(s: Settings) -> Film:
    """The film of the current view. To be called with a turn."""
    if s.view == READ:
        given = {"example": example(s).to(s.model.device)} if s.shown else {}
        return _reading(s, s.model.trace(picture(s).to(s.model.device), seed=s.seed, **given))
    return _generating(s, s.model.trace(n=1 + OTHERS, seed=s.seed, temperature=s.temperature))


def picture(s: Settings) -> Any:
    """The test image that is read, float [1, C, H, W]."""
    dataset = few.load_to_look_at(s.data)
    if dataset.info.shape != s.model.config.shape:
        raise GenlibError(
            f"{s.checkpoint} reads images of {s.model.config.shape}, but {s.data} has {dataset.info.shape}: choose another model."
        )
    return dataset.batch("test", slice(s.index, s.index + 1))


def example_index(s: Settings) -> int:
    """The test image that is shown as an example of the class of the one that is read: the next of that class."""
    labels = few.load_to_look_at(s.data).labels("test")
    return int(next_of_class(labels)[s.index])


def example(s: Settings) -> Any:
    """That image, float [1, C, H, W]."""
    index = example_index(s)
    return few.load_to_look_at(s.data).batch("test", slice(index, index + 1))


def _reading(s: Settings, t: Any) -> Film:
    steps = t.canvases.shape[1]
    pixels = np.broadcast_to(to_pixels(t.images[0]), (steps, *to_pixels(t.images[0]).shape))
    panels = [example_panel(t)] if s.shown else []
    if t.read is None:
        panels.append(Panel("What it reads: the whole image", pixels))
    else:
        box = boxes(t.read, t.read_grid, figures.READ)
        panels.append(Panel("Where it reads", pixels, box, figures.centres(t.read, t.read_grid, 0), figures.READ))
    panels.append(canvas_panel(t))
    panels.append(Panel("What this step changed", figures.changes(t, 0)))
    kl = t.kl[0].cpu().numpy()
    series = [Series("KL", kl, unit="nats")]
    if t.read is not None:
        series.append(Series("Side of the reading grid", t.read.width(t.read_grid)[0].cpu().numpy(), "line", "pixels"))
        series.append(
            Series("Side of the writing grid", t.write.width(t.write_grid)[0].cpu().numpy(), "line", "pixels")
        )
    so_far = np.cumsum(kl)
    captions = [
        f"Step {i + 1} of {steps}: {kl[i]:.2f} nats, {so_far[i]:.1f} so far" + _numbers(t, i) for i in range(steps)
    ]
    return film(panels, captions, series)


def _generating(s: Settings, t: Any) -> Film:
    steps = t.canvases.shape[1]
    rest = type(t)(**{**vars(t), "canvases": t.canvases[1:]})
    panels = [
        *([example_panel(t)] if s.shown else []),
        canvas_panel(t),
        Panel("What this step changed", figures.changes(t, 0)),
        Panel(f"{OTHERS} more at the same time", figures.wall(rest, 4)),
    ]
    series = []
    if t.write is not None:
        series = [
            Series("Side of the writing grid", t.write.width(t.write_grid)[0].cpu().numpy(), "line", "pixels"),
            Series("Width σ of its filters", t.write.sigma[0].cpu().numpy(), "line", "pixels"),
        ]
    captions = [f"Step {i + 1} of {steps}: z from the prior" + _numbers(t, i) for i in range(steps)]
    return film(panels, captions, series)


def example_panel(t: Any) -> Panel:
    """The example that the trace's first picture is to be like, and where the model looks at it."""
    steps, pixels = t.canvases.shape[1], to_pixels(t.examples[0])
    return Panel(
        "The example",
        np.broadcast_to(pixels, (steps, *pixels.shape)),
        boxes(t.example, t.example_grid, figures.EXAMPLE),
        figures.centres(t.example, t.example_grid, 0),
        figures.EXAMPLE,
    )


def canvas_panel(t: Any) -> Panel:
    """The canvas of the trace's first picture, with the box in which it is written, if the model has one."""
    return Panel("Canvas" if t.write is None else "Canvas, where it writes", figures.canvases(t, 0), writing_boxes(t))


def writing_boxes(t: Any) -> list[list[Box]]:
    """Where the first picture is written at each step, and where what was seen of an example is pasted."""
    write = boxes(t.write, t.write_grid, figures.WRITE)
    if getattr(t, "paste", None) is None:
        return write
    paste = boxes(t.paste, t.example_grid, figures.EXAMPLE)
    return [one + other for one, other in zip(write, paste, strict=True)]


def boxes(box: Any, grid: int, colour: str) -> list[list[Box]]:
    """The rectangle of the trace's first picture at each step; none for a model without boxes."""
    return [] if box is None else [[Box(*row) for row in rows] for rows in figures.overlays(box, grid, 0, colour)]


def _numbers(t: Any, step: int) -> str:
    """Centre, stride and width of the boxes at a step, for the caption."""
    text = ""
    for name, box in (("read", t.read), ("write", t.write)):
        if box is not None:
            x, y, delta, sigma, _ = box.tensor()[0, step].tolist()
            text += f" · {name} at ({x:.0f}, {y:.0f}), δ {delta:.1f}, σ {sigma:.1f}"
    return text


def show_by_hand(s: Settings) -> Attention:
    """The grid of filters over a test image, moved by hand."""
    image = to_pixels(picture(s)[0])[..., 0]
    if "glimpses-grid" not in st.session_state:
        st.session_state["glimpses-grid"] = _linked_grid(*image.shape)
    grid = attention_pad(image, start=st.session_state["glimpses-grid"], key="attention", revision=s.index)
    if grid != START:
        links.put("grid", ",".join(f"{value:g}" for value in _rounded(grid)))
    return grid


def _rounded(grid: Attention) -> list[float]:
    return [round(value, 2) for value in (grid.n, grid.x, grid.y, grid.delta, grid.sigma, grid.gamma)]


def _linked_grid(height: int, width: int) -> Attention:
    """The grid that the address asks for, or the one we begin with."""
    text = st.query_params.get("grid")
    if text is None:
        return START
    with links.forgiving():
        try:
            values = [float(part) for part in text[:80].split(",")]
            return checked_attention(
                dict(zip(("n", "x", "y", "delta", "sigma", "gamma"), values, strict=True)), height, width, "grid"
            )
        except ValueError:
            raise GenlibError(
                f"The grid {text[:40]!r} in the link is not possible: give n,x,y,stride,width,intensity within the sliders' limits, e.g. grid=5,13,13,4,1.2,1."
            ) from None
    return START
