"""Latent space: the plane of a model whose code is two numbers. Wander, encode a picture, see the grid of decodes."""

import streamlit as st

from genlib.ui import frame, latent, latent_encode, latent_lesson, latent_points, latent_view

frame.header("Latent space", "Every picture comes from two numbers, a point of this plane. Drag it.")
settings = latent.settings()
codes = latent.codes_if_here(settings)
plane = latent.plane(settings, codes)
begun = latent_points.start(settings, plane)
picture, reach = None, plane.extent
if settings.view == latent.PLANE:
    latent_view.show_pad(settings, codes, plane, begun)
    latent_view.path_controls(settings, plane, begun)
elif settings.view == latent.ENCODE:
    picture = latent_encode.show(settings, codes, plane, begun)
else:
    reach = latent_view.show_grid(settings, codes, plane)
progress = st.container()
latent_encode.tidy_link(settings)
latent_view.show_facts(settings, codes)
frame.lesson(
    notice=latent_lesson.NOTICE,
    attempt=latent_lesson.ATTEMPT,
    maths=latent_lesson.maths(plane),
    code=latent_lesson.code(settings, latent_points.now(begun), picture, reach),
    model=type(settings.model),
)
with progress:
    latent.fetch_more(settings, codes)
