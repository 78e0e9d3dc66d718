"""Glimpses: a model that draws step by step, while it reads a digit and while it invents one; and its attention, moved by hand."""

from genlib.ui import frame, glimpses, glimpses_lesson

frame.header("Glimpses", "DRAW looks at a small part at a time and paints in steps. Follow its eye and its pen.")
settings = glimpses.settings()
grid = None
if settings.view == glimpses.READ:
    glimpses.show_reading(settings)
elif settings.view == glimpses.GENERATE:
    glimpses.show_generating(settings)
else:
    grid = glimpses.show_by_hand(settings)
frame.lesson(
    notice=glimpses_lesson.NOTICE,
    attempt=glimpses_lesson.ATTEMPT,
    maths=glimpses_lesson.MATHS,
    code=glimpses_lesson.code(settings, grid),
    model=type(settings.model),
)
