"""The GAN stage's noise view: ways between noises, and sums of noises, each picture with the judge's verdict."""

from typing import Any

import streamlit as st
import torch
from torch import Tensor

from genlib.data import datasets
from genlib.figures import gan_stage as figures
from genlib.figures.images import enlarge, png, to_pixels
from genlib.ui import links, models
from genlib.ui.gan_stage import ARITHMETIC, Settings
from genlib.ui.gan_stage_game import CROWD, shares

ANCHORS, STEPS = 4, 9  # noises that are joined, pictures from one to the next
GALLERY, ACROSS = 18, 9  # samples to pick from
SCALE = 4  # a pixel's side in the pictures that are sent


def between(start: Tensor, end: Tensor, *, straight: bool = False, steps: int = STEPS) -> Tensor:
    """Noises [steps, latent] from start to end, both [latent]: along the arc (White 2016, arXiv:1609.04468), or straight.

    Noises of one direction have no arc between them; the straight way is theirs.
    """
    t = torch.linspace(0, 1, steps, device=start.device)[:, None]
    cosine = torch.dot(start, end) / (start.norm() * end.norm())
    angle = torch.arccos(cosine.clamp(-1, 1))
    if straight or float(angle.sin()) < 1e-4:
        return (1 - t) * start + t * end
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / angle.sin()


def combine(a: Tensor, b: Tensor, c: Tensor, steps: int = STEPS) -> Tensor:
    """Noises [steps, latent] from c to a - b + c, all brought to c's length, on the shell that G has seen."""
    t = torch.linspace(0, 1, steps, device=c.device)[:, None]
    z = c + t * (a - b)
    return z * (c.norm() / z.norm(dim=1, keepdim=True).clamp_min(1e-9))


def show(s: Settings) -> tuple[int, int, int]:
    """The view; returns the three samples of the arithmetic."""
    chosen = (0, 1, 2)
    if s.way == ARITHMETIC:
        with st.sidebar:
            chosen = _three()
        _arithmetic(s, chosen)
    else:
        with st.sidebar:
            straight = st.toggle(
                "Straight", key="straight", bind="query-params", persist_state="page",
                help="Straight lines in place of arcs: their middles are shorter than any noise that G has seen.",
            )  # fmt: skip
        _between(s, straight)
    st.caption(_legend(s))
    return chosen


def _three() -> tuple[int, int, int]:
    found = []
    for name, column, usual in zip("abc", st.columns(3), (0, 1, 2), strict=True):
        links.check_number(name, 0, GALLERY - 1, f"The sample {name}")
        found.append(
            int(
                column.number_input(
                    name, 0, GALLERY - 1, usual, key=name, bind="query-params", persist_state="page",
                    help="A number of the gallery.",
                )
            )
        )  # fmt: skip
    return found[0], found[1], found[2]


def _between(s: Settings, straight: bool) -> None:
    with models.computing():
        z = s.model.noise(ANCHORS, s.model.generator(s.seed))
        rows = [between(z[i], z[(i + 1) % ANCHORS], straight=straight) for i in range(ANCHORS)]
        picture = _strips(s, torch.cat(rows), STEPS)
    st.markdown(
        f"{ANCHORS} noises, joined in a ring: the last picture of a row is the first of the next. "
        + ("**Straight lines.**" if straight else "**Arcs on the shell.**")
    )
    alt = f"{ANCHORS} rows of {STEPS} generated pictures, from noise to noise"
    st.image(picture, output_format="PNG", width="stretch", alt=alt)


def _arithmetic(s: Settings, chosen: tuple[int, int, int]) -> None:
    with models.computing():
        z = s.model.noise(GALLERY, s.model.generator(s.seed))
        a, b, c = (z[i] for i in chosen)
        way = combine(a, b, c)
        gallery = _strips(s, z, ACROSS, names=[str(i) for i in range(GALLERY)])
        terms = [_strips(s, one[None], 1) for one in (a, b, c, way[-1])]
        strip = _strips(s, way, STEPS)
    words = (f"a: sample {chosen[0]}", f"− b: sample {chosen[1]}", f"+ c: sample {chosen[2]}", "= a − b + c")
    left, right = st.columns([4, 5], gap="large")
    with left:
        for column, picture, text in zip(st.columns(4), terms, words, strict=True):
            column.markdown(f"**{text}**")
            column.image(picture, output_format="PNG", width="stretch", alt=text)
    with right:
        st.markdown("**From c to a − b + c**")
        st.image(strip, output_format="PNG", width="stretch", alt="nine pictures from c to a − b + c")
    st.markdown(f"**Samples to pick from**, numbered 0 to {GALLERY - 1} in reading order")
    st.image(gallery, output_format="PNG", width="stretch", alt=f"{GALLERY} generated pictures with their numbers")


def _strips(s: Settings, z: Tensor, columns: int, names: list[str] | None = None) -> bytes:
    """The pictures of noises [N, latent] with their verdicts, as PNG; with ``names``, numbers in place of the verdicts."""
    images = s.model.decode(z)
    verdicts = s.model.discriminate(images).float().cpu().numpy()
    placed = _placed(s, verdicts)
    dark = st.context.theme.type == "dark"
    return png(enlarge(figures.wall(to_pixels(images), verdicts, placed, columns, dark=dark, names=names), SCALE))


def _placed(s: Settings, verdicts: Any) -> Any:
    """Where the verdicts lie between those of a crowd of generated and of real images, see `shares`."""
    if s.model.verdict == "probability of real":
        return verdicts
    crowd = s.model.decode(s.model.noise(CROWD, s.model.generator(0)))
    real = _held(s.data).to(s.model.device)
    on_fake, on_real = (s.model.discriminate(part).float().cpu().numpy() for part in (crowd, real))
    return shares(s.model, verdicts, on_real, on_fake)


def _held(data: str) -> Tensor:
    return datasets.load(data).batch("validation", slice(0, CROWD))


def _legend(s: Settings) -> str:
    if s.model.verdict == "probability of real":
        return "Under each picture: D's verdict, the probability that it is real. Blue: taken for real; orange: not."
    return "Under each picture: the critic's score. Blue: nearer to what it says of real pictures; orange: of generated ones."
