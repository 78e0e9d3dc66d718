"""The page frame: what every page has in common.

A page is a thin script, one function that `run` runs: `header`, controls in the sidebar, a figure, and `lesson` at the end, which says what
to notice, what to try, the maths, and the code that reproduces the view. `guard` turns every error into one sentence.
"""

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit.errors import StreamlitInvalidLayoutContextError
from streamlit.runtime.pages_manager import PagesManager

from genlib.errors import GenlibError

if TYPE_CHECKING:  # the frame is on screen before PyTorch is loaded
    from genlib.models.contract import Model

NOTICE, ATTEMPT, MATHS, CODE = PARTS = (
    "👀 What to notice",
    "🧪 What to try",
    "∑ The maths",
    "⌨️ The code",
)  # of a lesson
LOG = logging.getLogger("genlib")

# The few rules that Streamlit's theme cannot express. They travel with the heading: the browser goes through every element of a page
# several times at each click, and this is one element in the place of three.
_STYLE = """<style>
[data-testid="stMainBlockContainer"] {padding: 4.2rem 2.5rem 2rem; max-width: 1800px;}
[data-testid="stTopNavLink"] {padding-left: .3rem; padding-right: .3rem; gap: .3rem;}  /* all fit beside the sidebar at 1280 */
h1.genlib-title {font-size: 2rem; margin: 0; padding: 0 0 .6rem;}
h3 {font-size: 1.25rem !important; padding: .6rem 0 .2rem 0 !important;}
[data-testid=stSidebar] [data-testid=stHorizontalBlock] {flex-wrap: nowrap;}  /* two controls side by side, at any width */
[data-testid=stSidebar] [data-testid=stHorizontalBlock] > [data-testid=stElementContainer] {flex: 1 1 0; min-width: 0;}
/* Streamlit fades what waits for an answer; the fade of each element costs a layer, and all of them a tenth of a click's time. */
[data-stale=true] {opacity: 1 !important; transition: none !important;}
.genlib-picture {display: block; width: 100%; image-rendering: pixelated; border-radius: 6px;}
.genlib-quiet {font-size: .9rem; opacity: .75;}
.genlib-shown {margin: 0;}
.genlib-shown figcaption {padding-top: .3rem;}
.genlib-lead {font-size: 1.05rem; opacity: .85; margin: 0 0 .6rem 0; max-width: 75ch;}
</style>"""


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


def run(page: Callable[[], None], *, parts: bool = False) -> None:
    """Run a page as a fragment: a click in it leaves app.py and the navigation alone, here and in the browser.

    ``parts``: the page has fragments of its own, such as one that comes back by itself; then it is run plainly. In a fragment there must be no
    other: at a click while the page is drawn for the first time, Streamlit drops what is not sent yet of the outer one and sends the
    inner one's elements, for which the browser then has no place.
    """

    @st.fragment
    def whole() -> None:
        with guard():
            try:
                page()
            except StreamlitInvalidLayoutContextError:
                st.rerun()  # a sidebar that was empty until now: only a run of everything makes room for it

    page() if parts else whole()


def header(title: str, lead: str = "", place: Any = st) -> None:
    """The page's heading and one sentence on what it shows. Every page has it, and with it the app's few rules of style."""
    enter_through_app()
    sentence = f'<p class="genlib-lead">{lead}</p>' if lead else ""
    place.html(f'{_STYLE}<h1 class="genlib-title">{title}</h1>{sentence}')


def lesson(*, notice: str, attempt: str, maths: str, code: str, model: "type[Model] | None" = None) -> None:
    """What every page ends with. Markdown; ``maths`` may hold LaTeX.

    ``attempt``: what to try. ``code``: the exact lines that reproduce the current view. ``model``: whose source is shown below them.

    Only the part that is open is sent: the browser goes through all that is on a page at every step of every later click. For the same
    reason the parts are a segmented control; Streamlit's tabs cost ten times as much.
    """
    part = st.segmented_control(
        "Lesson", PARTS, default=NOTICE, required=True, key="lesson", label_visibility="collapsed"
    )
    if part != CODE:
        st.markdown({NOTICE: notice, ATTEMPT: attempt, MATHS: maths}[part])
        return
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
