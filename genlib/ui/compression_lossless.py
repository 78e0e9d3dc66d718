"""The lossless half of the Compression page: what each pixel costs, and the file beside PNG and WebP."""

from dataclasses import dataclass

import numpy as np
import streamlit as st
from PIL import Image
from torch import Tensor

from genlib.codec import lossless
from genlib.codec.container import Container
from genlib.evaluation import file_sizes
from genlib.figures import compression as figures
from genlib.figures import images as pictures
from genlib.ui import models
from genlib.ui.compression import Settings, file_name
from genlib.ui.recent import Recent


@dataclass(frozen=True, eq=False)
class Work:
    """A file and what is shown of it. ``coded``: the pictures that are in it, [N, C, H, W]; ``bits`` of each pixel [N, H, W];
    ``others``: bytes by format, None where it is not installed."""

    data: bytes
    container: Container
    coded: Tensor
    bits: np.ndarray
    others: dict[str, int | None]


_work: Recent[Work] = Recent(12)  # shared by all visitors


def work(s: Settings) -> Work:
    """The file of the current settings, made once for all visitors who ask for the same."""
    found = _work.get(s.identity)
    if found is None:
        model = s.model
        with models.computing():
            coded = model.code(s.images.to(model.device))
            labels = lossless.likeliest_classes(model, coded)
            data = lossless.compress(model, coded, label=labels)
            bits = figures.pixel_bits(model.pixel_distribution(coded, label=labels), model.values(coded))
        container = Container.from_bytes(data).renamed(s.checkpoint)
        found = Work(container.to_bytes(), container, coded.cpu(), bits, _others(coded, model.config.levels))
        _work.put(s.identity, found)
    return found


def _others(coded: Tensor, levels: int) -> dict[str, int | None]:
    """Bytes of one file with all the pictures, by format: of many a mosaic."""
    pixels = file_sizes.pictures(coded, levels)
    sheets = [file_sizes.mosaic(pixels, columns) for columns in {1, round(len(pixels) ** 0.5)}]
    return {
        name: None if write is None else min(len(write(Image.fromarray(sheet))) for sheet in sheets)
        for name, write in file_sizes.formats().items()
    }


def show(s: Settings) -> Work:
    """Pictures, map, sizes, and the file to take home."""
    w = work(s)
    n, payload = len(w.coded), len(w.container.payload)
    levels, channels = s.model.config.levels, s.model.config.channels
    left, middle, right = st.columns([5, 5, 7], gap="medium")
    with left:
        st.subheader("What goes in", anchor=False)
        st.image(figures.sheet(pictures.to_pixels(w.coded)), output_format="PNG", width="stretch", alt=f"{n} pictures")
        form = "black and white" if levels == 2 else f"{levels} values a channel"
        st.caption(f"{'One picture' if n == 1 else f'{n} pictures'}, {form}: the pixels that {s.checkpoint} knows.")
    with middle:
        st.subheader("What each pixel costs", anchor=False)
        top = figures.bits_top(levels, channels)
        tiles = pictures.heat(w.bits, top)
        st.image(figures.sheet(tiles), output_format="PNG", width="stretch", alt="bits of each pixel")
        st.html(
            '<div style="display:flex;gap:.6rem;align-items:center;font-size:.95rem"><span>0</span>'
            f'<span style="flex:1;height:.8rem;background:{pictures.heat_gradient()}"></span><span>{top:.0f} bits</span></div>'
        )
    with right:
        st.subheader("The file", anchor=False)
        header = len(w.data) - payload
        ours = figures.File(s.checkpoint, len(w.data), header)
        rows = [ours, *(figures.File(name, size) for name, size in w.others.items())]
        st.plotly_chart(figures.file_bars(rows), config={"displayModeBar": False}, key="compression-sizes")
        st.markdown(_words(w, s))
        st.download_button(
            "Take the file home", w.data, file_name(s), "application/octet-stream", icon="⬇️", on_click="ignore"
        )
    return w


def _words(w: Work, s: Settings) -> str:
    n, payload, total = len(w.coded), len(w.container.payload), len(w.data)
    pixels = n * w.coded[0, 0].numel()
    model_bits = float(w.bits.sum())
    text = (
        f"**{total:,} bytes**: {payload:,} hold the {'picture' if n == 1 else 'pictures'} "
        f"({8 * payload / n:,.1f} bits{'' if n == 1 else ' each'}, {8 * payload / pixels:.3f} a pixel), {total - payload} say which model "
        f"wrote them. The map adds up to {model_bits:,.1f} bits; the coder needs {8 * payload - model_bits:+.1f} beside that."
    )
    best = min(((size, name) for name, size in w.others.items() if size is not None), default=None)
    if best is not None:
        share = total / best[0] - 1
        text += f" The file is **{abs(share):.0%} {'smaller' if share < 0 else 'larger'}** than the best of the others, {best[1]}."
    absent = [name for name, size in w.others.items() if size is None]
    if absent:
        text += f" {', '.join(absent)}: not installed here."
    return text
