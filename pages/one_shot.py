"""One shot: a character that the model sees once is written in twenty hands, and told from nineteen others."""

import streamlit as st

from genlib.ui import frame, one_shot, one_shot_lesson


def page() -> None:
    frame.header(
        "One shot",
        "Show it one character of an unknown alphabet, and it writes it in many hands.",
    )
    settings, shown = one_shot.settings(), None
    if settings is None:
        st.info(one_shot.NO_MODEL, icon="🕳️")
    else:
        from genlib.ui import one_shot_view

        shown = one_shot_view.show(settings)
    frame.lesson(
        notice=one_shot_lesson.NOTICE,
        attempt=one_shot_lesson.ATTEMPT,
        maths=one_shot_lesson.MATHS,
        code=one_shot_lesson.code(settings, shown),
        model=None if settings is None else type(settings.model),
    )


frame.run(page)
