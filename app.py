"""The app: navigation and the page frame, nothing else. Open it with ``streamlit run app.py``."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before PyTorch loads: a training job shares these cores

import streamlit as st

from genlib.ui import frame

PAGES = {
    "": [  # no section: these stand in the bar itself
        st.Page("pages/home.py", title="Home", icon="🏠", default=True),
        st.Page("pages/train.py", title="Train", icon="🏋️"),
        st.Page("pages/compare.py", title="Compare", icon="⚖️"),
        st.Page("pages/compression.py", title="Compression", icon="🗜️"),
    ],
    "Adversarial": [
        st.Page("pages/gan_stage.py", title="GAN stage", icon="🎭"),
    ],
    "Variational": [
        st.Page("pages/latent_space.py", title="Latent space", icon="🗺️"),
        st.Page("pages/glimpses.py", title="Glimpses", icon="👁️"),
        st.Page("pages/one_shot.py", title="One shot", icon="✍️"),
    ],
    "Autoregressive": [
        st.Page("pages/completion.py", title="Completion", icon="🧩"),
        st.Page("pages/pixel_by_pixel.py", title="Pixel by pixel", icon="🔬"),
        st.Page("pages/receptive_field.py", title="Receptive field", icon="🔭"),
    ],
}

st.set_page_config(page_title="genlib", page_icon="🎨", layout="wide", initial_sidebar_state="expanded")
chosen = st.navigation(PAGES, position="top")
with frame.guard():
    chosen.run()
