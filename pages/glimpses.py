"""Glimpses: a model that draws step by step, while it reads a digit and while it invents one; and its attention, moved by hand."""

from genlib.ui import frame, glimpses, glimpses_lesson


def page() -> None:
    frame.header(
        "Glimpses", "Models that paint in steps. DRAW looks at a small part at a time: follow its eye and its pen."
    )
    settings = glimpses.settings()
    grid = None
    if settings.view == glimpses.BY_HAND:
        grid = glimpses.show_by_hand(settings)
    else:
        glimpses.show_film(settings)
    notice, attempt, maths = glimpses_lesson.lesson(settings)
    frame.lesson(
        notice=notice,
        attempt=attempt,
        maths=maths,
        code=glimpses_lesson.code(settings, grid),
        model=type(settings.model),
    )


frame.run(page)
