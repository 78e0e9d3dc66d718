"""Fast exact sampling of causal models: every feature is computed once, so drawing costs about one forward pass.

`raster` walks over the pixels and draws; what it asks of a network is the small protocol `CausalState`. `masked` keeps
that state for stacks of masked convolutions.
"""

from genlib.sampling.masked import MaskedStackState
from genlib.sampling.raster import CausalState, Draws, PixelDraws, check_temperature, draw_rows, uniforms

__all__ = ["CausalState", "Draws", "MaskedStackState", "PixelDraws", "check_temperature", "draw_rows", "uniforms"]
