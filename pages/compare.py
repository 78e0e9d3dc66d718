"""Compare: all models side by side with the same seed, their measured scores, and the drawing time here and now."""

import streamlit as st

from genlib.figures.compare import speed_figure
from genlib.ui import compare, compare_claims, compare_lesson, frame

frame.header(
    "Compare",
    "One seed, one data set, and figures that anybody can measure again.",
)
names = compare.choose()
seed = compare.seed()
compare.walls(names, seed)
entries = compare.entries(names, seed)
compare.table(entries)
st.plotly_chart(speed_figure(entries), key="speed", config={"displayModeBar": False})
compare_claims.claims(entries)
frame.lesson(
    notice=compare_lesson.NOTICE,
    attempt=compare_lesson.ATTEMPT,
    maths=compare_lesson.MATHS,
    code=compare_lesson.code(names, seed),
)
