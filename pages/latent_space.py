"""Latent space: where a model's pictures come from. Wander, encode a picture, see the grid of decodes, change one number at a time."""

import streamlit as st

from genlib.ui import frame, latent, latent_encode, latent_lesson, latent_many, latent_points, latent_side, latent_view


def page() -> None:
    frame.header("Latent space", "Every picture comes from a few numbers. Drag the point and see which.")
    settings = latent.settings()
    codes = latent.codes_if_here(settings)
    plane = latent.plane(settings, codes)
    begun = latent_points.start(settings, plane)
    picture, reach, planes = None, plane.extent, []
    if settings.view == latent.PLANE:
        latent_view.show_pad(settings, codes, plane, begun, latent_many.corners(plane))
        latent_view.path_controls(settings, codes, plane, begun)
    elif settings.view == latent.ENCODE:
        picture = latent_encode.show(settings, codes, plane, begun)
    elif settings.view == latent.GRID:
        reach = latent_view.show_grid(settings, codes, plane)
    elif settings.view == latent.TRAVERSALS:
        latent_many.show_traversals(settings, codes)
    elif settings.view == latent.INTERPOLATE:
        latent_many.show_ways(settings)
    else:
        planes = latent_side.show(settings)
    progress = st.container()
    latent_encode.tidy_link(settings)
    if settings.view != latent.PLANES:
        latent_view.show_facts(settings, codes, latent_many.share_sentence(settings, plane))
    frame.lesson(
        **latent_lesson.texts(settings, plane),
        code=latent_lesson.code(settings, latent_points.now(begun), picture, reach, planes),
        model=type(settings.model),
    )
    with progress:
        latent.fetch_more(settings, codes)


frame.run(page, parts=latent.fetching())
