"""The two controls of every page that draws from a model: the seed and the temperature, both in the URL."""

import streamlit as st

from genlib.ui import links

MAX_SEED, MAX_TEMPERATURE = 2**31 - 1, 2.0


def choose_seed(help_text: str = "The same seed draws the same again.", button: str = "New seed") -> int:
    """The seed, with a ``button`` for the next one. What a link got wrong is named in a sentence, and 1 is taken."""
    links.check_number("seed", 0, MAX_SEED, "The seed")
    row = st.container(horizontal=True, vertical_alignment="bottom")
    seed = row.number_input(
        "Seed", 0, MAX_SEED, 1, key="seed", bind="query-params", persist_state="page", help=help_text
    )
    row.button(button, icon="🎲", on_click=next_seed, width="stretch")
    return int(seed)


def next_seed() -> None:
    """A button's callback."""
    st.session_state["seed"] = seed_after(st.session_state["seed"])


def seed_after(seed: int) -> int:
    """The seed that the button goes on to."""
    return seed % MAX_SEED + 1


def choose_temperature(help_text: str = "0 always takes the likeliest value; 1 draws from the model.") -> float:
    """The temperature from 0 to 2, in the same way."""
    links.check_number("temperature", 0, MAX_TEMPERATURE, "The temperature", whole=False)
    value = st.slider(
        "Temperature",
        0.0,
        MAX_TEMPERATURE,
        1.0,
        0.05,
        key="temperature",
        bind="query-params",
        persist_state="page",
        help=help_text,
    )
    return float(value)
