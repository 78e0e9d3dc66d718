"""The sidebar's choice of the class that conditional models are told, by name, in the URL as ``class``."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from genlib.data import datasets
from genlib.ui import links

KEY = "class"
ANY = "any"


def class_names(model: Any, data: str) -> list[str]:
    """What the classes of a model are called: as in the data set it was trained on, if that has as many, else numbers."""
    names = list(datasets.describe(data).classes)
    return names if len(names) == model.classes else [str(label) for label in range(model.classes)]


def choose_class(names: Sequence[Sequence[str]], help_text: str) -> str:
    """The class that is told, or `ANY`. ``names``: the class names of each model on the page, none for one without classes.

    Without a conditional model there is no control. A class of the link that no model knows is one sentence.
    """
    options = [ANY, *dict.fromkeys(name for of_one in names for name in of_one)]
    if len(options) == 1:
        asked = links.asked(KEY)
        if asked is not None and asked != ANY:
            links.refuse(
                KEY,
                f"The class {asked[:40]!r} in the link is not possible: no model here knows classes; "
                "choose a class-conditional one, or leave the class out.",
            )
        return ANY
    links.check_choice(KEY, options, "The class")
    if st.session_state.get(KEY, ANY) not in options:  # another model's
        st.session_state[KEY] = ANY
    return st.selectbox("Class it is told", options, key=KEY, bind="query-params", help=help_text)
