"""Compression: a model as a codec, with loss and without, beside the codecs that everybody has."""

import streamlit as st

from genlib.ui import compression, compression_drop, compression_lesson, compression_lossless, compression_lossy, frame


def page() -> None:
    frame.header(
        "Compression", "A model that knows what pictures look like needs few bits to tell you which one it is."
    )
    settings = compression.settings()
    if settings is None:
        st.info(compression.NO_CODER, icon="🕳️")
        compression_drop.show()
    elif settings.view == compression.LOSSLESS:
        compression_drop.show(compression_lossless.show(settings).coded)
    else:
        compression_lossy.show(settings)
        compression_drop.show()
    notice, attempt, maths = compression_lesson.lesson(compression.LOSSY if settings is None else settings.view)
    frame.lesson(
        notice=notice,
        attempt=attempt,
        maths=maths,
        code=compression_lesson.code(settings),
        model=None if settings is None else type(settings.model),
    )


frame.run(page)
