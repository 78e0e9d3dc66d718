"""What the Latent space page shows of one picture: its code on the plane, its reconstruction, and what both cost."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
import torch

from genlib.data import few
from genlib.errors import GenlibError
from genlib.figures import images
from genlib.figures import latent as figures
from genlib.models import abilities
from genlib.ui import latent, latent_points, latent_view, links, markup, models
from genlib.ui.components import canvas
from genlib.ui.latent import Codes, Plane, Point, Settings
from genlib.ui.latent_points import Start
from genlib.ui.recent import Recent

NEIGHBOURS = 15

_STYLE = """<style>
.genlib-numbers {display: flex; flex-wrap: wrap; gap: .2rem 1.6rem; line-height: 1.3;}
.genlib-numbers b {display: block; font-size: 1.4rem; font-weight: 600; font-variant-numeric: tabular-nums;}
.genlib-numbers span {font-size: .95rem; opacity: .8;}
</style>"""


@dataclass(frozen=True, eq=False)
class Encoded:
    """One picture's code, the decode of its mean, [C, H, W], and both parts of -ELBO, nats (None: no bound)."""

    mean: Point
    sigma: Point
    rebuilt: torch.Tensor
    costs: tuple[float, float] | None

    @property
    def cost(self) -> float | None:
        """-ELBO, nats."""
        return sum(self.costs) if self.costs else None


_encoded: Recent[Encoded] = Recent(256)


def show(s: Settings, found: Codes | None, p: Plane, begun: Start) -> np.ndarray | None:
    """The plane with the code of one picture, beside the picture and its reconstruction.

    Returns the picture, uint8 [H, W] or [H, W, 3].
    """
    left, right = st.columns([9, 11], gap="medium")
    markers: list[latent_view.Marker] = []
    with right:
        st.html(_STYLE)
        drawn = s.source == latent.DRAWING
        here, there = st.columns([11, 9] if drawn else 2, gap="small")
        picture = _drawing(s, here) if drawn else _test_image(s, here)
        if picture is None:
            there.info("Draw a digit. Its code appears on the plane, and here what the decoder makes of that code.")
        else:
            done = encode(s, picture)
            name = "drawing" if drawn else f"image {s.index}"
            markers = [(*done.mean, name, 2 * done.sigma[0], 2 * done.sigma[1])]
            with there:
                _show_picture(images.to_pixels(done.rebuilt), "the reconstruction", "Rebuilt from its code")
                if drawn:
                    _show_costs(done)  # beside the canvas, which is as high as its tools
            if not drawn:
                _show_costs(done)
            _show_place(s, found, p, done)
    with left:
        latent_view.show_pad(s, found, p, begun, markers)
    return picture


def _test_image(s: Settings, place: Any) -> np.ndarray:
    dataset = few.load_to_look_at(s.data)
    if dataset.info.shape != s.shape:
        raise GenlibError(
            f"{s.checkpoint} works on images of {s.shape}, but {s.data} has {dataset.info.shape}: draw a picture."
        )
    pixels = dataset.images("test")[s.index].movedim(0, -1).numpy()
    label = int(dataset.labels("test")[s.index])
    title = f"Test image {s.index}" + (f": {dataset.classes[label]}" if dataset.classes else "")
    with place:
        _show_picture(np.broadcast_to(pixels, (*pixels.shape[:2], 3)), title, title)
    return np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _show_picture(pixels: np.ndarray, alt: str, caption: str) -> None:
    st.html(markup.figure(images.png(pixels), alt, caption))


def _drawing(s: Settings, place: Any) -> np.ndarray | None:
    """The canvas, beginning from the link's drawing or from the one of this visit; None while it is empty."""
    state = st.session_state
    channels, height, width = s.shape
    shape = (height, width) if channels == 1 else (height, width, channels)
    begun = state.get("latent-drawing-start")
    text = st.query_params.get("picture")
    followed = text is not None and text != state.get("latent-drawing-link")
    if begun is None or begun[0].shape != shape or followed:
        image = np.zeros(shape, np.uint8)
        if text is not None:
            state["latent-drawing-link"] = text  # a damaged one is complained about once
            with links.forgiving():
                image = links.unpack_picture(text, shape)
        begun = state["latent-drawing-start"] = (image, begun[1] + 1 if begun else 0)
    with place:
        value = canvas(
            begun[0], mode="draw", key="latent-drawing", size=336, label="Draw a digit to encode", revision=begun[1]
        )
    state["latent-drawing-link"] = links.pack_picture(value.image) if value.image.any() else None
    links.put("picture", state["latent-drawing-link"])
    return value.image if value.image.any() else None


def tidy_link(s: Settings) -> None:
    """The drawing stands in the address as long as it is shown; the canvas keeps it for longer."""
    if s.view != latent.ENCODE or s.source != latent.DRAWING:
        links.put("picture", None)


def encode(s: Settings, picture: np.ndarray) -> Encoded:
    """The code of a picture, uint8 [H, W] or [H, W, 3], from memory or computed now."""
    key = s.key(picture)
    done = _encoded.get(key)
    if done is None:
        done = _encode(s, picture)
        _encoded.put(key, done)
    return done


def _encode(s: Settings, picture: np.ndarray) -> Encoded:
    pixels = picture[..., None] if picture.ndim == 2 else picture
    with models.computing():
        image = torch.from_numpy(pixels.copy()).movedim(-1, 0)[None].float().to(s.model.device) / 255
        mean, log_var = s.model.encode(image)
        rebuilt = s.model.decode(mean)[0].cpu()
        measured = s.model.no_likelihood is None and "bounded likelihood" in abilities(s.model)
        bound = s.model.bound(image) if measured else None
    x, y = mean[0].tolist()
    sigma_x, sigma_y = (0.5 * log_var[0]).exp().tolist()
    costs = (float(bound.reconstruction[0]), float(bound.kl[0])) if bound else None
    return Encoded((x, y), (sigma_x, sigma_y), rebuilt, costs)


def _show_costs(done: Encoded) -> None:
    """The parts of -ELBO, large, with their names below them."""
    if done.costs:
        values = {"reconstruction": done.costs[0], "+ KL": done.costs[1], "= −ELBO, nats": sum(done.costs)}
        cells = "".join(f"<div><b>{value:.1f}</b><span>{name}</span></div>" for name, value in values.items())
        st.html(f'<div class="genlib-numbers">{cells}</div>')


def _show_place(s: Settings, found: Codes | None, p: Plane, done: Encoded) -> None:
    lines = [f"**Code** z₁ = {_number(done.mean[0], done.sigma[0])}, z₂ = {_number(done.mean[1], done.sigma[1])}"]
    if found:
        rank = _rank(s, done)
        lines += [_place(s, found, done)] + ([rank] if rank else [])
    st.markdown("\n".join(f"* {line}" for line in lines))
    inside = max(map(abs, done.mean)) <= p.extent
    st.button(
        "Move the point to its code" if inside else f"Its code lies outside this plane, which ends at ±{p.extent:g}",
        on_click=latent_points.move,
        args=("z", done.mean),
        disabled=not inside,
    )


def _number(mean: float, sigma: float) -> str:
    return f"{mean:.2f} ± {sigma:.2f}".replace("-", "−")


def _place(s: Settings, found: Codes, done: Encoded) -> str:
    """Where on the plane the code lies, in a sentence."""
    radius = float(np.hypot(*done.mean))
    further = float(
        (np.hypot(*found.mean.T) > radius + 1e-4).mean()
    )  # a picture's own code, rounded otherwise in a batch, is not further
    text = f"**Place** {radius:.2f} from the origin; {further:.0%} of the test codes lie further out"
    if not s.classes:
        return text
    near = figures.nearest(found.mean, done.mean, NEIGHBOURS)
    votes = np.bincount(found.labels[near], minlength=len(s.classes))
    best = int(votes.argmax())
    return f"{text}. Of the {len(near)} nearest, {votes[best]} are of class **{s.classes[best]}**"


def _rank(s: Settings, done: Encoded) -> str | None:
    """How a picture's cost compares with those of test images, in a sentence."""
    costs = latent.reference(s)
    if costs is None or done.cost is None:
        return None
    ordinary = f"{len(costs):,} test images (median {np.median(costs):.0f} nats)"
    if done.cost > costs[-1]:
        return (
            f"**Cost** more than any of {ordinary}: the plane has no place for such a picture, and the encoder puts it "
            "somewhere all the same"
        )
    return f"**Cost** more than {np.searchsorted(costs, done.cost) / len(costs):.0%} of {ordinary}"
