"""Quality against bits: of many test pictures, as it was measured and kept, or of the picture that is shown, measured now."""

import streamlit as st
from torch import Tensor

from genlib.codec import lossy
from genlib.codec.container import Container
from genlib.evaluation import rate_distortion
from genlib.evaluation.rate_distortion import Kept
from genlib.evaluation.standard_codecs import CODECS, at_bits
from genlib.figures import compression as figures
from genlib.figures.compression import Curve
from genlib.ui import models
from genlib.ui.compression import Settings
from genlib.ui.kept_curves import kept_curve
from genlib.ui.recent import Recent

BITS = (77, 153, 307, 612, 1228, 2456)
THIS = "This picture"
MEASURES = {
    "PSNR": ("psnr", "PSNR (dB)"),
    "SSIM": ("ssim", "SSIM"),
    "Same class": ("agreement", "taken for the same class"),
}

_measured: Recent[list[tuple[str, list[float], list[Tensor]]]] = Recent(12)  # shared by all visitors


def similarity(original: Tensor, other: Tensor) -> float:
    """SSIM of two images [1, C, H, W]."""
    return rate_distortion.similarity(original[0], other[0])


def show(s: Settings) -> None:
    """The curve, in an expander: nothing is measured before somebody opens it."""
    opened = st.expander("Quality against bits", key="compression-curve", on_change="rerun")
    if not opened.open:
        return
    with opened:
        kept = kept_curve(s.checkpoint)
        of_many = f"{kept.result.images} test pictures" if kept else ""
        left, middle, right = st.columns([3, 3, 2], vertical_alignment="bottom")
        sources = [of_many, THIS] if kept else [THIS]
        source = left.segmented_control("Of", sources, default=sources[0], required=True, key="compression-curve-of")
        measures = list(MEASURES) if source == of_many else ["PSNR", "SSIM"]
        measure = middle.segmented_control(
            "Measure", measures, default="PSNR", required=True, key="compression-measure"
        )
        headers = right.toggle("Count headers", key="compression-headers", disabled=source == THIS)
        field, title = MEASURES[measure]
        curves = _of_many(kept, field, headers) if source == of_many and kept else _of_this(s, measure)
        st.plotly_chart(
            figures.rate_curves(curves, title, s.bits), config={"displayModeBar": False}, key="compression-rate"
        )
        st.caption(_caption(kept if source == of_many else None, headers))


def _caption(kept: Kept | None, headers: bool) -> str:
    if kept is None:
        return "Bits of the picture's own data; no codec's header counts."
    counted = (
        "Whole files, headers counted." if headers else "Bits of the pictures' own data; no codec's header counts."
    )
    return f"{counted} Measured by `{kept.command}` on {kept.machine}."


def _of_many(kept: Kept, field: str, headers: bool) -> list[Curve]:
    found = kept.result.curves(field, headers=headers)
    return [Curve(name, list(points), list(points.values())) for name, points in found.items()]


def _of_this(s: Settings, measure: str) -> list[Curve]:
    found = _measured.get(s.identity)
    if found is None:
        with models.computing():
            found = _pictures(s)
        _measured.put(s.identity, found)
    quality = figures.psnr if measure == "PSNR" else similarity
    return [Curve(name, bits, [quality(s.images, picture) for picture in versions]) for name, bits, versions in found]


def _pictures(s: Settings) -> list[tuple[str, list[float], list[Tensor]]]:
    """Every codec at several sizes: its name, the bits that it took, the pictures."""
    written = [lossy.compress(s.model, s.images.to(s.model.device), bits=bits) for bits in BITS]
    sizes = [8.0 * len(Container.from_bytes(file).payload) for file in written]
    found = [
        (f"{s.model.name} {name}", sizes, [_decoded(s, file, mean) for file in written])
        for name, mean in (("WPV", False), ("WoPV", True))
    ]
    for name in CODECS:
        coded = {len(one.data): one for one in (at_bits(name, s.images, bits, headers=False) for bits in BITS)}
        bits = [8.0 * one.size(headers=False) for one in coded.values()]
        found.append((name, bits, [one.picture for one in coded.values()]))
    return found


def _decoded(s: Settings, file: bytes, mean: bool) -> Tensor:
    return lossy.decompress(s.model, file, mean=mean, seed=s.seed).cpu().clamp(0, 1)
