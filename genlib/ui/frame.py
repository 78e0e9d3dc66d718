"""The page frame: what every page has in common.

A page is a thin script, one function that `run` runs: `header`, controls in the sidebar, a figure, and `lesson` at the end, which says what
to notice, what to try, the maths, and the code that reproduces the view. `guard` turns every error into one sentence.
"""

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.errors import StreamlitInvalidLayoutContextError
from streamlit.runtime.pages_manager import PagesManager

from genlib.errors import GenlibError

if TYPE_CHECKING:  # the frame is on screen before PyTorch is loaded
    from genlib.models.contract import Model

CODE = "⌨️ The code"  # the last of a lesson's tabs
LOG = logging.getLogger("genlib")

_STYLE = """
<style>
[data-testid="stMainBlockContainer"] {padding: 4.2rem 2.5rem 2rem; max-width: 1800px;}
[data-testid="stTopNavLink"] {padding-left: .3rem; padding-right: .3rem; gap: .3rem;}  /* all fit beside the sidebar at 1280 */
h1 {font-size: 2rem !important; padding: 0 0 .2rem 0 !important;}
h3 {font-size: 1.25rem !important; padding: .6rem 0 .2rem 0 !important;}
.genlib-lead {font-size: 1.05rem; opacity: .85; margin: 0 0 .6rem 0; max-width: 75ch;}
</style>
"""


def style() -> None:
    """The few rules that Streamlit's theme cannot express."""
    st.html(_STYLE)


@contextmanager
def guard() -> Iterator[None]:
    """Show every error as one sentence; details of an unexpected one go to the server's log. Other visitors are untouched."""
    try:
        yield
    except GenlibError as error:
        st.error(str(error), icon="⚠️")
    except Exception as error:  # the app's outer boundary: a visitor never sees a traceback
        LOG.exception("a page failed")
        st.error(
            f"This page could not be shown ({type(error).__name__}). Nothing is lost: reload it, or change the last control. "
            "The server's log has the details.",
            icon="⚠️",
        )


def run(page: Callable[[], None]) -> None:
    """Run a page as a fragment: a click in it leaves app.py and the navigation alone, here and in the browser."""

    @st.fragment
    def whole() -> None:
        with guard():
            try:
                page()
            except StreamlitInvalidLayoutContextError:
                st.rerun()  # a sidebar that was empty until now: only a run of everything makes room for it

    whole()


def header(title: str, lead: str) -> None:
    """The page's heading and one sentence on what it shows."""
    enter_through_app()
    st.title(title, anchor=False)
    st.html(f'<p class="genlib-lead">{lead}</p>')


def lesson(*, notice: str, attempt: str, maths: str, code: str, model: "type[Model] | None" = None) -> None:
    """What every page ends with, as tabs. Markdown; ``maths`` may hold LaTeX.

    ``attempt``: what to try. ``code``: the exact lines that reproduce the current view. ``model``: whose source is shown below them.

    The browser goes through all that lies in the tabs at every step of every later click, so what is under a tab is sent only when
    somebody opens it: all of it costs a third of a click's time.
    """
    _lesson(notice, attempt, maths, code, model)


@st.fragment
def _lesson(notice: str, attempt: str, maths: str, code: str, model: "type[Model] | None") -> None:
    notice_tab, attempt_tab, maths_tab, code_tab = st.tabs(
        ["👀 What to notice", "🧪 What to try", "∑ The maths", CODE], key="lesson", on_change="rerun"
    )
    for tab, text in ((notice_tab, notice), (attempt_tab, attempt), (maths_tab, maths)):
        if tab.open:
            tab.markdown(text)
    if not code_tab.open:
        return
    with code_tab:
        st.caption("These lines give what you see now.")
        st.code(code, language="python")
        if model is not None:
            opened = st.expander(
                f"{model.title}: the model itself, {model.__module__.replace('.', '/')}.py",
                key="lesson-source",
                on_change="rerun",
            )
            if opened.open:
                source = inspect.getsource(inspect.getmodule(model) or model)
                opened.caption(model.paper)
                opened.code(source, language="python", line_numbers=True, height=500)


def enter_through_app() -> None:
    """Until ``app.py`` has run once in the process, Streamlit takes a folder named pages/ for its older kind of app: a link straight to a
    page then runs that page alone, without navigation and `guard`. Tell it otherwise, and begin again."""
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()
