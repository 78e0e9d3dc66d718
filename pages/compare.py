"""Compare: all models side by side with one seed, the figures that their cards keep, and what the literature claims of them."""

import streamlit as st

from genlib.ui import compare, compare_claims, compare_lesson, compare_rows, compare_scatter, compare_table, frame


def page() -> None:
    frame.header(
        "Compare",
        "One seed, one data set, one yardstick, and figures that anybody can measure again.",
    )
    with st.sidebar:
        data = compare.choose_data()
        names = compare.choose(data)
        seed = compare.seed()
        form = compare_rows.choose_form(names)
    drawn = compare.walls(names, data, seed)
    times = {name: compare.milliseconds(wall) for name, wall in drawn.items()}
    figures = compare_rows.gather(list(drawn), times, form)
    view = compare.choose_view()
    if view == compare.TWO:
        compare.two(drawn, data, seed, figures.rows)
    elif view == compare.FIGURES:
        compare_table.table(figures, compare.WALL)
    elif view == compare.COST:
        compare_scatter.picture(figures)
    else:
        compare_claims.claims(figures)
    frame.lesson(
        notice=compare_lesson.NOTICE,
        attempt=compare_lesson.ATTEMPT,
        maths=compare_lesson.MATHS,
        code=compare_lesson.code(names, data, seed, form),
    )


frame.run(page)
