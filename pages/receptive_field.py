"""Receptive field: what a pixel's prediction can see in each architecture and does use in trained weights, measured by gradients."""

from genlib.ui import frame, receptive_field, receptive_field_lesson, receptive_field_view


def page() -> None:
    frame.header(
        "Receptive field", "Click a pixel: what can its prediction see of all that came before? Measured by gradients."
    )
    settings = receptive_field.settings()
    if settings.view == receptive_field.REACH:
        receptive_field_view.show_reach(settings)
    elif settings.view == receptive_field.USE:
        receptive_field_view.show_trained(settings)
    elif settings.view == receptive_field.MASKS:
        receptive_field_view.show_masks(settings)
    else:
        receptive_field_view.show_skewing()
    frame.lesson(
        notice=receptive_field_lesson.NOTICE[settings.view],
        attempt=receptive_field_lesson.ATTEMPT[settings.view],
        maths=receptive_field_lesson.MATHS[settings.view],
        code=receptive_field_lesson.code(settings),
    )


frame.run(page)
