"""The Train page's uploader: a zip of the visitor's own pictures becomes a data set, and is chosen at once."""

import streamlit as st

from genlib import data
from genlib.data import own
from genlib.errors import GenlibError
from genlib.ui import models

SIZES = (28, 32, 48, 64)
_MADE, _SENTENCE = "own_pictures_made", "own_pictures_sentence"


def choose_the_new_one() -> None:
    """Before the data choice is drawn: the data set that was just made (or MNIST, when one was removed) becomes the chosen one."""
    made = st.session_state.pop(_MADE, None)
    if made is not None:
        st.session_state["data"] = st.query_params["data"] = made


def uploader(chosen: str) -> None:
    """The uploader, and what became of the last zip; for own pictures that are ``chosen`` a button that removes them."""
    sentence = st.session_state.pop(_SENTENCE, None)
    if sentence is not None:
        st.success(sentence, icon="🖼️")
    with st.expander("Own pictures", icon="🖼️"):
        st.caption(
            "A zip of PNG, JPEG, GIF, WebP or BMP files becomes a data set for every model. Its folders become the classes. "
            "Everybody who uses this app can train on it. Larger zips: `genlib data import`."
        )
        zipped = st.file_uploader("Zip of pictures", type="zip", key="own_zip")
        left, right = st.columns(2, vertical_alignment="bottom")
        side = left.selectbox("Size", SIZES, key="own_size", format_func=lambda pixels: f"{pixels} × {pixels}")
        grey = right.toggle("Grey", key="own_grey", help="Grey values instead of colours.")
        name = st.text_input(
            "Name of the data set", key="own_name", max_chars=40, placeholder="mine",
            help="Lower-case letters, digits and underscores.",
        )  # fmt: skip
        if st.button("Make the data set", key="own_make", disabled=zipped is None, width="stretch"):
            assert zipped is not None
            try:
                with st.spinner("Reading the pictures…"), models.computing():
                    made = own.import_zip(
                        zipped.getvalue(), name.strip() or "mine", side=side, grey=grey, label=zipped.name
                    )
            except GenlibError as error:
                st.error(str(error))
            else:
                st.session_state[_MADE], st.session_state[_SENTENCE] = made.info.name, made.sentence()
                st.rerun()
        if data.describe(chosen).own:
            st.button(f"Remove “{chosen}”", key="own_remove", on_click=_remove, args=[chosen], width="stretch")


def _remove(name: str) -> None:
    own.remove(name)
    st.session_state[_MADE] = "mnist"
