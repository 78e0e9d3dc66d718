"""What the literature says of the autoregressive family, held against what is measured here.

The claims are those of van den Oord et al. 2016 (arXiv:1601.06759, sections 3 and 5) as the field repeats them: PixelCNN is
the fastest and has the worst likelihood, Row LSTM is slow and sees a part of the past, Diagonal BiLSTM is slowest, sees
everything and has the best likelihood. A verdict needs its figures: without them, or where likelihoods are on different forms of the
data, it is open.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rival:
    """One autoregressive checkpoint. Times are seconds an image, here and now; ``nats`` on the ``form`` of the data."""

    checkpoint: str
    model: str
    step_seconds: float | None
    """Of a training step: forward and backward."""
    draw_seconds: float
    nats: float | None
    form: str | None
    sees: str
    """The form of its receptive field, as measured, in a network so deep that more layers add nothing."""


@dataclass(frozen=True)
class Verdict:
    """A claim, the figures that bear on it, and whether it holds; None: it cannot be told from them."""

    claim: str
    measured: str
    holds: bool | None


def judge(rivals: Sequence[Rival]) -> list[Verdict]:
    """The verdicts that these checkpoints allow."""
    return [
        _order("PixelCNN trains fastest, Diagonal BiLSTM slowest", rivals, _step, "ms a step and image", 1000),
        _order(
            "PixelCNN draws fastest, Diagonal BiLSTM slowest", rivals, lambda r: r.draw_seconds, "ms an image", 1000
        ),
        _likelihood(rivals),
        _sight("PixelCNN has a blind spot, however deep it is", rivals, "pixelcnn", everything=False),
        _sight(
            "Row LSTM, a triangle in each layer, never sees all that is earlier", rivals, "row-lstm", everything=False
        ),
        _sight("Gated PixelCNN has no blind spot", rivals, "gated-pixelcnn", everything=True),
        _sight("Diagonal BiLSTM sees all that is earlier", rivals, "diagonal-bilstm", everything=True),
    ]


FULL = "full past"
FASTEST_FIRST = ("pixelcnn", "row-lstm", "diagonal-bilstm")


def _step(rival: Rival) -> float | None:
    return rival.step_seconds


def _one_each(rivals: Sequence[Rival], key: Callable[[Rival], float | None]) -> dict[str, tuple[Rival, float]]:
    """For each of the three models, its best checkpoint by ``key``, lowest first."""
    found: dict[str, tuple[Rival, float]] = {}
    for rival in rivals:
        value = key(rival)
        if rival.model in FASTEST_FIRST and value is not None:
            best = found.get(rival.model)
            if best is None or value < best[1]:
                found[rival.model] = rival, value
    return found


def _order(
    claim: str, rivals: Sequence[Rival], key: Callable[[Rival], float | None], unit: str, scale: float
) -> Verdict:
    found = _one_each(rivals, key)
    values = [found[model][1] for model in FASTEST_FIRST if model in found]
    measured = ", ".join(f"{found[model][0].checkpoint} {scale * found[model][1]:.3g}" for model in found)
    holds = None
    if "pixelcnn" in found and "diagonal-bilstm" in found:
        holds = values[0] == min(values) and values[-1] == max(values)
    return Verdict(claim, f"{measured} {unit}" if measured else "not measured", holds)


def _likelihood(rivals: Sequence[Rival]) -> Verdict:
    """PixelCNN worst, Diagonal BiLSTM best, among figures on the form that most of them share."""
    claim = "PixelCNN has the worst likelihood, Diagonal BiLSTM the best"
    rated = [rival for rival in rivals if rival.nats is not None and rival.model in FASTEST_FIRST]
    forms = [rival.form for rival in rated]
    form = max(dict.fromkeys(forms), key=forms.count, default=None)
    found = _one_each([rival for rival in rated if rival.form == form], lambda rival: rival.nats)
    measured = ", ".join(f"{found[model][0].checkpoint} {found[model][1]:.2f}" for model in found)
    values = [found[model][1] for model in FASTEST_FIRST if model in found]
    holds = None
    if "pixelcnn" in found and "diagonal-bilstm" in found:
        holds = values[0] == max(values) and values[-1] == min(values)
    others = [rival.checkpoint for rival in rated if rival.form != form]
    more = f"; {', '.join(others)} is on another form of the data" if others else ""
    return Verdict(claim, f"{measured} nats ({form}){more}" if measured else "not measured", holds)


def _sight(claim: str, rivals: Sequence[Rival], model: str, *, everything: bool) -> Verdict:
    seen = {rival.checkpoint: rival.sees for rival in rivals if rival.model == model}
    measured = ", ".join(f"{name}: {sees}" for name, sees in seen.items())
    return Verdict(
        claim, measured or "not measured", all((sees == FULL) == everything for sees in seen.values()) if seen else None
    )
