"""Three components for the browser, each used by several pages: the pixel canvas, the latent pad and the player."""

from genlib.ui.components.canvas import PRESET_MASKS, CanvasValue, canvas, preset_mask
from genlib.ui.components.latent_pad import LatentPadValue, atlas_codes, atlas_sheet, latent_pad
from genlib.ui.components.player import Box, Panel, PlayerValue, Series, player

__all__ = [
    "PRESET_MASKS",
    "Box",
    "CanvasValue",
    "LatentPadValue",
    "Panel",
    "PlayerValue",
    "Series",
    "atlas_codes",
    "atlas_sheet",
    "canvas",
    "latent_pad",
    "player",
    "preset_mask",
]
