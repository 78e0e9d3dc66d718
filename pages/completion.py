"""Completion: hide part of a picture and let a model that draws pixel by pixel finish it."""

import streamlit as st

from genlib.ui import completion, completion_lesson, completion_view, frame

frame.header("Completion", "Hide a part of a picture. A model that draws pixel by pixel finishes it, in many ways.")
settings = completion.settings()
presets = st.container(horizontal=True, vertical_alignment="center")
left, right = st.columns([5, 8], gap="medium")
work = completion.work(settings, presets, left)
with right:
    done = completion_view.show_completions(settings, work.picture, work.known)
look, pixel = completion_view.inside(settings, done, work.known)
frame.lesson(
    notice=completion_lesson.NOTICE,
    attempt=completion_lesson.ATTEMPT,
    maths=completion_lesson.MATHS,
    code=completion_lesson.code(settings, work, look, pixel),
    model=type(settings.model),
)
