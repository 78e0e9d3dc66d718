"""The form of a model's pictures: what its ``sample`` gives, and the form that real pictures take to be compared with them.

A PixelCNN of two levels draws zeros and ones; a VAE, DRAW or a GAN gives grey values. Held against grey test images, the
first would be punished for its coding and not for its digits. So real pictures are always brought into the model's own
form first:

* ``grey``, ``colour``: values in [0, 1] as they are;
* ``threshold``, ``dynamic``: zeros and ones (`genlib.data.codings`); the drawn ones of ``static`` are those of ``dynamic``
  in law, and go by that name;
* ``N levels``: rounded to so many values a sub-pixel.

Measures in two forms are on two scales. ``dynamic`` is the one scale that all models of grey-scale data but ``threshold`` ones can
share: their grey values are drawn as bits first, which for a Bernoulli decoder is what its likelihood is about.
"""

import re

from torch import Generator, Tensor

from genlib.data.codings import BINARISATIONS, binarise, from_levels, to_levels
from genlib.errors import GenlibError
from genlib.models.contract import Config

BINARY = ("dynamic", "threshold")
PLAIN = ("grey", "colour")
ALL_VALUES = 256  # levels of the data themselves
_LEVELS = re.compile(r"([1-9]\d{0,2}) levels")


def plain_form(channels: int) -> str:
    """The form of pictures whose values are left as they are."""
    return "grey" if channels == 1 else "colour"


def sample_form(config: Config) -> str:
    """The form of what a model with this config draws."""
    levels = getattr(config, "levels", None)
    if levels is None or levels >= ALL_VALUES:
        return plain_form(config.channels)
    if levels > 2:
        return f"{levels} levels"
    form = getattr(config, "binarisation", None)
    return "threshold" if form == "threshold" else "dynamic" if form in BINARISATIONS else plain_form(config.channels)


def check_form(form: str, channels: int) -> str:
    """The form, if pictures with so many channels can take it; else a `GenlibError`."""
    possible = [plain_form(channels), *(BINARY if channels == 1 else ())]
    levels = _LEVELS.fullmatch(form)
    if form not in possible and not (levels and 2 < int(levels[1]) < ALL_VALUES):
        raise GenlibError(
            f"Images with {channels} channel(s) have no form {form!r}; choose one of {', '.join(possible)}."
        )
    return form


def code(images: Tensor, form: str, generator: Generator) -> Tensor:
    """Images in [0, 1] brought into a form, same shape. ``generator`` drives the draw of ``dynamic``.

    Images that are in the form already stay as they are.
    """
    if form in PLAIN:
        return images
    if form in BINARY:
        return binarise(images, form, generator)
    found = _LEVELS.fullmatch(form)
    assert found, form
    return from_levels(to_levels(images, int(found[1])), int(found[1]))
