"""What cures a preset that fails on purpose: the changes to its config that its own notice names, or a calm preset's settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genlib.models.contract import Config, Model
from genlib.ui import controls


@dataclass(frozen=True)
class Cure:
    """``values``: the fields that differ from the failing config."""

    name: str
    values: Mapping[str, Any]


EVEN_STEPS = Cure("one step each", {"generator_steps": 1})
DOUBT = Cure(
    "a loss that is never flat, and a D in doubt",
    {"loss": "non-saturating", "instance_noise": 0.3, "discriminator_rate": 1.0, "discriminator_steps": 1},
)
SPECTRAL = Cure("spectral norm", {"spectral_norm": True})
PENALTY = Cure("gradient penalty", {"gradient_penalty": 10.0})
EVEN_RATES = Cure("the same learning rate", {"discriminator_rate": 1.0})
NO_BATCH_NORM = Cure("no batch norm in the critic", {"critic_batch_norm": False})

NAMED: dict[str, tuple[Cure, ...]] = {
    "mode-collapse": (EVEN_STEPS,),
    "strong-discriminator": (DOUBT,),
    "diverges": (SPECTRAL, PENALTY, EVEN_RATES),
    "no-penalty": (PENALTY, SPECTRAL),
    "batch-norm-critic": (NO_BATCH_NORM,),
}
"""By the failing preset, the likeliest first."""


def cures(kind: type[Model], config: Config, preset: str, *, kept: bool = False) -> list[Cure]:
    """What can stand beside a failing preset, the best first; nothing for a preset that does not fail.

    ``kept``: weights are kept, so only training may change, and spectral norm, which gives weights another form, may not.
    """
    if preset not in kind.presets or not kind.presets[preset].failure:
        return []
    allowed = set(kind.Config.model_fields)
    if kept:
        allowed = set(controls.fields(kind, "training", without=["spectral_norm"]))
    now = config.model_dump()
    found = [cure for cure in NAMED.get(preset, ()) if set(cure.values) <= allowed]
    calm = next(name for name in ("quick", "tutorial", *kind.presets) if not _fails(kind, name))
    settings = kind.configure(calm, config.shape).model_dump()
    training = [field for field in controls.fields(kind, "training") if field in allowed]
    found.append(Cure(f"the settings of “{calm}”", {field: settings[field] for field in training}))
    differing = [Cure(c.name, {f: v for f, v in c.values.items() if now[f] != v}) for c in found]
    return [cure for cure in differing if cure.values]


def _fails(kind: type[Model], preset: str) -> bool:
    return preset not in kind.presets or kind.presets[preset].failure
