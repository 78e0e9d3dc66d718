"""Work that nobody waits for yet: what the next click will most likely ask for, computed while no visitor is served.

Whoever presses "New seed" asks for the next seed, whoever presses "Another image" for the next image. A page plans that once it has
shown what was asked for; one thread does it in the pauses, and a visitor never waits for it longer than for one task.
"""

import atexit
import logging
import threading
import time
from collections.abc import Callable, Sequence

from genlib.errors import GenlibError

LOG = logging.getLogger("genlib")
QUIET = 1.0  # seconds since a visitor was served before a task begins
# The same where the page's last task took at most ``SHORT`` seconds: then a visitor hardly ever waits for it.
SOON, SHORT = 0.2, 0.2
LOOK = 0.05  # seconds between two looks at whether a pause is over: a task that needs a shorter one may be planned meanwhile

Task = Callable[[], object]
"""Computes something under a turn that is held for it, and remembers it where the page will look."""

_plans: dict[str, list[Task]] = {}
_took: dict[str, float] = {}  # seconds of the last task of each page
_news = threading.Condition()
_thread: threading.Thread | None = None
_closing = False


@atexit.register
def _close() -> None:
    """Let the thread finish its task: a process that ends in the midst of PyTorch's arithmetic aborts."""
    global _closing
    with _news:
        _closing = True
        _plans.clear()
        _news.notify()
    if _thread is not None:
        _thread.join(30)


def plan(page: str, tasks: Sequence[Task]) -> None:
    """Do these tasks in the pauses. What the page had planned before, for any visitor, and is not done yet is forgotten."""
    global _thread
    from genlib.ui import models

    models.visited()  # who has just been answered from memory still waits for the browser, which needs the processor
    with _news:
        _plans[page] = list(tasks)
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_work, name="ahead", daemon=True)
            _thread.start()
        _news.notify()


def _pause(page: str) -> float:
    return SOON if _took.get(page, 0.0) <= SHORT else QUIET


def _due() -> str | None:
    """Of the pages whose pause is over, the one that needs the shortest; waits for a plan if there is none."""
    from genlib.ui import models

    with _news:
        if not any(_plans.values()):
            _plans.clear()
            if not _closing:
                _news.wait()
            return None
        return min(
            (page for page, tasks in _plans.items() if tasks and _pause(page) <= models.idle()),
            key=_pause,
            default=None,
        )


def _take(page: str) -> Task | None:
    """The next task of a page, unless the plan has been dropped since."""
    with _news:
        tasks = _plans.get(page)
        return tasks.pop(0) if tasks and not _closing else None


def _work() -> None:
    from genlib.ui import models

    while not _closing:
        page = _due()
        if page is not None:
            with models.computing_if_free() as free:
                task = _take(page) if free else None
                if task is not None:
                    _do(page, task)
                    continue
        time.sleep(LOOK)


def _do(page: str, task: Task) -> None:
    start = time.perf_counter()
    try:
        task()
    except GenlibError:
        return  # the page says so when somebody asks for it
    except Exception:  # the thread's outer boundary: it must go on for the other tasks
        LOG.exception("something could not be computed in advance")
    _took[page] = time.perf_counter() - start
