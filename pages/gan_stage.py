"""GAN stage: train a pair by hand, walk through its noise, and take the discriminator's place."""

from genlib.ui import frame, gan_stage, gan_stage_lesson, gan_stage_live, gan_stage_noise, gan_stage_quiz


def page() -> None:
    frame.header(
        "GAN stage", "A forger and an expert learn from each other. Move either of them yourself, step by step."
    )
    settings = gan_stage.settings()
    chosen = (0, 1, 2)
    if settings.view == gan_stage.STAGE:
        gan_stage_live.show(settings)
    elif settings.view == gan_stage.NOISE:
        gan_stage_live.keep()
        chosen = gan_stage_noise.show(settings)
    else:
        gan_stage_live.keep()
        gan_stage_quiz.show(settings)
    frame.lesson(
        notice=gan_stage_lesson.NOTICE[settings.view],
        attempt=gan_stage_lesson.ATTEMPT[settings.view],
        maths=gan_stage_lesson.MATHS[settings.view],
        code=gan_stage_lesson.code(settings, chosen),
        model=settings.pair.kind if settings.pair else type(settings.model),
    )


frame.run(page, parts=True)
