"""The lossy half of the Compression page: one picture by several codecs at equal bits, the file, and what each step adds."""

import math
from dataclasses import dataclass

import numpy as np
import streamlit as st
import torch
from torch import Tensor

from genlib.codec import lossy
from genlib.codec.container import Container
from genlib.evaluation.standard_codecs import at_bits
from genlib.figures import compression as figures
from genlib.figures import images as pictures
from genlib.ui import compression_curve, models
from genlib.ui.components import Panel, Series, player
from genlib.ui.compression import Settings, file_name
from genlib.ui.recent import Recent

TRADITIONAL = ("JPEG", "JPEG 2000")
WPV, WOPV = "conv-DRAW WPV", "conv-DRAW WoPV"
HOW = {WPV: "the rest drawn from the prior", WOPV: "the rest at the prior's mean"}


@dataclass(frozen=True)
class Version:
    """The picture after a codec, [1, C, H, W]: ``payload`` bytes of the picture's own in a file of ``total``."""

    name: str
    picture: Tensor
    payload: int
    total: int


@dataclass(frozen=True, eq=False)
class Work:
    """A file, the versions side by side, and the film of its steps: after each of them, the picture with the rest at the
    prior's mean and with the rest drawn, [T + 1, C, H, W] each, and the bytes of the file up to there [T + 1]."""

    data: bytes
    container: Container
    versions: list[Version]
    means: Tensor
    draws: Tensor
    so_far: list[int]


_work: Recent[Work] = Recent(12)  # shared by all visitors


def work(s: Settings) -> Work:
    """The file of the current settings, made once for all visitors who ask for the same."""
    found = _work.get(s.identity)
    if found is None:
        with models.computing():
            found = _made(s)
        _work.put(s.identity, found)
    return found


def _made(s: Settings) -> Work:
    model = s.model
    data = lossy.compress(model, s.images.to(model.device), bits=s.bits)
    container = Container.from_bytes(data).renamed(s.checkpoint)
    data, payload = container.to_bytes(), len(container.payload)
    values, rate = lossy.read_symbols(model, container), lossy.rate_of(model, container)
    kept = values.shape[1]
    means, draws = (
        torch.cat([_from(s, data, mean, steps) for steps in range(kept + 1)]) for mean in (True, False)
    )  # fmt: skip
    so_far = [0, *(len(lossy.pack(values[:, :steps], rate)) for steps in range(1, kept + 1))]
    versions = [Version("Original", s.images, s.images.numel(), s.images.numel())]
    for name in TRADITIONAL:
        coded = at_bits(name, s.images, s.bits, headers=False)
        versions.append(Version(name, coded.picture, coded.size(headers=False), coded.size(headers=True)))
    versions += [Version(WPV, draws[-1:], payload, len(data)), Version(WOPV, means[-1:], payload, len(data))]
    return Work(data, container, versions, means, draws, so_far)


def _from(s: Settings, data: bytes, mean: bool, steps: int | None = None) -> Tensor:
    return lossy.decompress(s.model, data, mean=mean, seed=s.seed, steps=steps).cpu().clamp(0, 1)


def show(s: Settings) -> Work:
    """The versions, the file, what each step adds, and the curve."""
    w = work(s)
    for column, version in zip(st.columns(len(w.versions)), w.versions, strict=True):
        with column:
            _show_version(version, w.versions[0], s.bits)
    left, right = st.columns([3, 1], vertical_alignment="center")
    left.markdown(_words(w, s))
    right.download_button(
        "Take the file home", w.data, file_name(s), "application/octet-stream", icon="⬇️", on_click="ignore", width="stretch"
    )  # fmt: skip
    _film(w, s)
    compression_curve.show(s)
    return w


def _show_version(version: Version, original: Version, bits: int) -> None:
    st.image(
        figures.sheet(pictures.to_pixels(version.picture), 360), output_format="PNG", width="stretch", alt=version.name
    )
    if version is original:
        st.markdown(f"**Original**  \n{version.total:,} bytes, one for each value")
        return
    over = 8 * version.payload > bits
    st.markdown(
        f"**{version.name}**  \n**{version.payload}** bytes{' (its fewest)' if over else ''}, {version.total} with header  \n"
        f"{_decibels(original.picture, version.picture)}, SSIM {compression_curve.similarity(original.picture, version.picture):.2f}"
        + (f"  \n{HOW[version.name]}" if version.name in HOW else "")
    )


def _decibels(original: Tensor, other: Tensor) -> str:
    value = figures.psnr(original, other)
    return "the same picture" if math.isinf(value) else f"{value:.1f} dB"


def _words(w: Work, s: Settings) -> str:
    kept, steps = len(w.so_far) - 1, s.model.config.steps
    payload = len(w.container.payload)
    return (
        f"**{len(w.data)} bytes** on the disk: {payload} ({8 * payload} bits of the {s.bits} allowed) hold the first {kept} of {steps} steps of the "
        f"picture's code, {len(w.data) - payload} say which model wrote it. The other codecs get the same {s.bits} bits for the picture's own data, and their "
        "headers for nothing."
    )


def _film(w: Work, s: Settings) -> None:
    st.subheader("What each stored step adds", anchor=False)
    pixels = pictures.to_pixels(s.images[0])
    frames = len(w.so_far)
    panels = [
        Panel("Original", np.broadcast_to(pixels, (frames, *pixels.shape))),
        Panel("The rest at its mean (WoPV)", pictures.to_pixels(w.means)),
        Panel("The rest drawn (WPV)", pictures.to_pixels(w.draws)),
    ]
    added = np.diff(w.so_far, prepend=0) * 8.0
    captions = [
        (f"{step} of {s.model.config.steps} steps" if step else "Nothing of the file: what the prior alone says")
        + f" · {8 * bytes_so_far} bits · WoPV {_decibels(s.images, mean)} · WPV {_decibels(s.images, draw)}"
        for step, (bytes_so_far, mean, draw) in enumerate(
            zip(w.so_far, w.means[:, None], w.draws[:, None], strict=True)
        )
    ]
    player(
        panels,
        key="compression-film",
        captions=captions,
        series=[Series("Bits of the step", added, unit="bits")],
        fps=3,
        height=290,
        revision=s.identity,
        start=frames - 1,
        export_name=file_name(s).removesuffix(".glc"),
    )
