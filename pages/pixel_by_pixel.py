"""Pixel by pixel: a picture appears in the order in which the model draws it, with every prediction on the way."""

from genlib.ui import frame, pixel_by_pixel, pixel_by_pixel_lesson, pixel_by_pixel_view


def page() -> None:
    frame.header("Pixel by pixel", "Look over the shoulder of a model that draws one value after another.")
    settings = pixel_by_pixel.settings()
    walk = pixel_by_pixel.walk(settings)
    step = pixel_by_pixel_view.show(settings, walk)
    frame.lesson(
        notice=pixel_by_pixel_lesson.notice(settings, walk),
        attempt=pixel_by_pixel_lesson.ATTEMPT,
        maths=pixel_by_pixel_lesson.MATHS,
        code=pixel_by_pixel_lesson.code(settings, walk, step),
        model=type(settings.model),
    )


frame.run(page)
