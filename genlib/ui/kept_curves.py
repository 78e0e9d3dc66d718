"""The rate-distortion curves that ship with checkpoints, as pages read them."""

import streamlit as st

from genlib.errors import GenlibError
from genlib.evaluation.rate_distortion import Kept, read_kept
from genlib.training import checkpoint


def kept_curve(name: str) -> Kept | None:
    """What is kept beside a shipped checkpoint, if anything is. Of a damaged file the page says so, and goes on without it."""
    path = checkpoint.distortion_path(name)
    if name not in checkpoint.shipped() or not path.is_file():
        return None
    try:
        return read_kept(path)
    except GenlibError as error:
        st.error(str(error), icon="⚠️")
        return None
