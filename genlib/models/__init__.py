"""The models, one file each, and the catalogue."""

from genlib.models.catalogue import configure, create, get, names
from genlib.models.contract import Bound, Config, Model, Preset, abilities, count_parameters

__all__ = ["Bound", "Config", "Model", "Preset", "abilities", "configure", "count_parameters", "create", "get", "names"]
