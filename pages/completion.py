"""Completion: hide part of a picture and let one or two models that draw pixel by pixel finish it."""

import streamlit as st

from genlib.ui import completion, completion_draw, completion_inside, completion_lesson, completion_view, frame


def page() -> None:
    frame.header("Completion", "Hide a part of a picture. A model that draws pixel by pixel finishes it, in many ways.")
    settings = completion.settings()
    presets = st.container(horizontal=True, vertical_alignment="center")
    left, *right = st.columns([5, 8] if len(settings.chosen) == 1 else [4, 5, 5], gap="medium")
    work = completion.work(settings, presets, left)
    done = completion_view.show_completions(settings, work.picture, work.known, right)
    look, pixel = completion_inside.inside(settings, done, work.known)
    frame.lesson(
        notice=completion_lesson.NOTICE,
        attempt=completion_lesson.ATTEMPT,
        maths=completion_lesson.MATHS,
        code=completion_lesson.code(settings, work, look, pixel),
        model=type(settings.chosen[0].model),
    )
    completion_draw.complete_next(settings, work)


frame.run(page)
