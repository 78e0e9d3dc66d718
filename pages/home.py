"""Home: what this is, a wall of fresh samples of every shipped model, doors to the pages."""

import streamlit as st

from genlib.ui import frame, home


def page() -> None:
    frame.header(
        "See how image generators work",
        "Every classic family, on the same data, live.",
    )
    seed = home.seed_control()
    names = home.names_of(home.choose_data())
    places = home.kept_walls(names, seed)  # on screen before PyTorch is loaded
    home.fresh_walls(places, seed)
    home.show_doors()
    frame.lesson(
        notice=home.NOTICE,
        attempt=home.ATTEMPT,
        maths=home.MATHS,
        code=home.code(names, seed),
    )
    st.caption("Everything on these pages is computed here and now, on this machine; nothing needs the network.")


frame.run(page)
