"""A file that comes back: dropped on the page, it is decompressed by the model that it names."""

from dataclasses import dataclass
from typing import Any

import streamlit as st
from torch import Tensor

from genlib.codec import lossless
from genlib.codec.container import Container
from genlib.errors import GenlibError
from genlib.figures import compression as figures
from genlib.figures import images as pictures
from genlib.training.sheets import sheet_png
from genlib.ui import links, models
from genlib.ui.components.wire import digest
from genlib.ui.compression import find_model
from genlib.ui.recent import Recent

MAX_BYTES = 1 << 20
MAX_PICTURES = 200  # that a visitor may have decoded: some seconds of the server's time


@dataclass(frozen=True, eq=False)
class Opened:
    """What a file held. ``views``: a title and pictures [N, C, H, W] each; of a lossy file one for each way to go on."""

    container: Container
    views: list[tuple[str, Tensor]]


_opened: Recent[Opened] = Recent(8)


def show(shown: Tensor | None = None) -> None:
    """The place to drop a file, and what was in it. ``shown``: the pictures above, which it may hold."""
    st.subheader("Drop a file back in", anchor=False)
    left, right = st.columns([5, 12], gap="medium")
    file = left.file_uploader(
        "A .glc file from this page or from `genlib compress`",
        key="compression-drop",
        help="It names its model itself.",
    )
    if file is None:
        right.caption("Take the file above home, look how small it is, and bring it back: the pictures are in there.")
        return
    with links.forgiving():
        opened = _open(file.getvalue())
        with right:
            _show(opened, file.name, shown)


def _open(data: bytes) -> Opened:
    key = digest(data)
    found = _opened.get(key)
    if found is None:
        if len(data) > MAX_BYTES:
            raise GenlibError(f"The file is larger than {MAX_BYTES >> 20} MiB: open it with `genlib decompress`.")
        container = Container.from_bytes(data)
        if container.count > MAX_PICTURES:
            raise GenlibError(
                f"The file holds {container.count:,} pictures, more than the {MAX_PICTURES} that are opened here: open it with "
                "`genlib decompress`."
            )
        model = find_model(container.name)
        with models.computing():
            found = Opened(container, _views(model, container, data))
        _opened.put(key, found)
    return found


def _views(model: Any, container: Container, data: bytes) -> list[tuple[str, Tensor]]:
    if container.kind == "lossless":
        return [("Every pixel as it was", lossless.decompress(model, data).cpu())]
    from genlib.codec import lossy

    return [
        ("The rest drawn from the prior (WPV)", lossy.decompress(model, data, seed=1).cpu()),
        ("The rest at the prior's mean (WoPV)", lossy.decompress(model, data, mean=True).cpu()),
    ]


def _show(opened: Opened, name: str, shown: Tensor | None) -> None:
    container = opened.container
    n, total = container.count, len(container.to_bytes())
    st.markdown(
        f"**{name}** · {container.kind}, {n} {'picture' if n == 1 else 'pictures'} of {' x '.join(map(str, container.shape))} in "
        f"{total:,} bytes, written by **{container.name}**"
    )
    for column, (title, found) in zip(st.columns(max(3, len(opened.views))), opened.views, strict=False):
        with column:
            if n:
                st.image(
                    figures.sheet(pictures.to_pixels(found), 360),
                    output_format="PNG",
                    width="stretch",
                    caption=title,
                    alt=title,
                )
            if container.kind == "lossless" and shown is not None and found.shape == shown.shape:
                same = bool((found == shown).all())
                st.markdown("**The same as above, to the last pixel.**" if same else "Other pictures than those above.")
            if n:
                st.download_button(
                    "As PNG",
                    sheet_png(found),
                    f"{name}.png",
                    "image/png",
                    key=f"compression-png-{title}",
                    on_click="ignore",
                )
