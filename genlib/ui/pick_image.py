"""The sidebar's choice of a test image: its number, in the URL as ``digit``, a filter by class, and a button for the next one."""

import streamlit as st

from genlib.data import datasets, few
from genlib.ui import links

KEY = "digit"


def choose_index(data: str, prefix: str) -> int:
    """Which image of the test set. ``prefix`` keeps the class filters of two pages apart."""
    last = few.load_to_look_at(data).size("test") - 1
    links.check_number(KEY, 0, last, "The test image")
    row = st.container(horizontal=True, vertical_alignment="bottom")
    filter_key = f"{prefix}-class"
    wanted = row.selectbox(
        "Class", ["any", *datasets.describe(data).classes], key=filter_key, on_change=_next, args=(data, filter_key)
    )
    index = row.number_input(
        "Number",
        0,
        last,
        key=KEY,
        bind="query-params",
        persist_state="page",
        help="Which image of the test set; the model has not seen it.",
    )
    name = "image" if wanted == "any" else wanted
    if few.is_short(data):
        st.caption(
            f"The first {last + 1} of {datasets.describe(data).title}'s test images come with genlib; "
            f"`genlib data fetch {data}` brings all."
        )
    st.button(f"Another {name}", icon="⏭️", on_click=_next, args=(data, filter_key), width="stretch")
    return int(index)


def _next(data: str, filter_key: str) -> None:
    st.session_state[KEY] = _after(data, filter_key, st.session_state[KEY])


def index_after(data: str, prefix: str, index: int) -> int:
    """The image that the button goes on to."""
    return _after(data, f"{prefix}-class", index)


def _after(data: str, filter_key: str, index: int) -> int:
    """The next test image of the wanted class, from the start again after the last one."""
    labels = few.load_to_look_at(data).labels("test")
    wanted = st.session_state[filter_key]
    if wanted == "any":
        return (index + 1) % len(labels)
    places = (labels == datasets.describe(data).classes.index(wanted)).nonzero()[:, 0]
    after = places[places > index]
    return int(after[0] if len(after) else places[0])
