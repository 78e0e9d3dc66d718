"""Components for the browser: the pixel canvas, the latent pad and the player, used by several pages, and attention by hand."""

from genlib.ui.components.attention_pad import Attention, attention_pad
from genlib.ui.components.canvas import PRESET_MASKS, CanvasValue, canvas, preset_mask
from genlib.ui.components.latent_pad import LatentPadValue, atlas_codes, atlas_sheet, latent_pad
from genlib.ui.components.player import Box, Film, Panel, PlayerValue, Series, film, player
from genlib.ui.components.player_panels import Bars, Captions, Reveal, Scale

__all__ = [
    "PRESET_MASKS",
    "Attention",
    "Bars",
    "Box",
    "CanvasValue",
    "Captions",
    "Film",
    "LatentPadValue",
    "Panel",
    "PlayerValue",
    "Reveal",
    "Scale",
    "Series",
    "atlas_codes",
    "atlas_sheet",
    "attention_pad",
    "canvas",
    "film",
    "latent_pad",
    "player",
    "preset_mask",
]
