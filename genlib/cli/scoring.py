"""``genlib evaluate`` and ``genlib compare``: how good models are, one by one and side by side."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genlib.cli.frame import Checkpoint, Device, Json, Seed, bar, emit, load, table, trained_on
from genlib.errors import GenlibError

if TYPE_CHECKING:
    from genlib.data import Dataset
    from genlib.evaluation import Quality
    from genlib.evaluation.comparison import Row
    from genlib.models.contract import Model

Samples = Annotated[
    int | None, typer.Option(min=20, max=100_000, help="Pictures to draw with each seed; 10000 unless told.")
]
Seeds = Annotated[
    int, typer.Option(min=1, max=100, help="Draw them with so many seeds: then intervals are over seeds.")
]
Form = Annotated[
    str | None,
    typer.Option(help="The form in which pictures are compared, e.g. dynamic: one scale for grey values and bits. Else each model's own."),
]  # fmt: skip


def evaluate(
    checkpoint: Checkpoint,
    images: Annotated[int | None, typer.Option(min=1, help="Likelihood of the first N images of the split only.")] = None,
    k: Annotated[
        list[int] | None,
        typer.Option("-k", "--k", min=1, max=5000, help="Draws of the importance-weighted bound; may be repeated: -k 1 -k 50."),
    ] = None,
    iwae_images: Annotated[
        int, typer.Option(min=0, help="Images on which that bound's gap to the ELBO is measured; 0 leaves it out.")
    ] = 1000,
    samples: Samples = None,
    no_samples: Annotated[bool, typer.Option("--no-samples", help="Leave the measures of its samples out.")] = False,
    seeds: Seeds = 1,
    form: Form = None,
    seed: Seed = 0,
    split: Annotated[str, typer.Option(help="test, validation or train.")] = "test",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the figures on the shipped checkpoint's card.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:  # fmt: skip
    """Measure a model: its likelihood on images it has not seen, and the quality of what it draws.

    Likelihoods are in nats per image (positive; lower is better): exact (nll_nats) where the model has it; else elbo_nats, the
    negative evidence lower bound, and iwae_nats, the tighter bound. Adversarial models have no likelihood.

    The pictures it draws are held against the test images: Frechet classifier distance, precision, recall, density, coverage,
    classes covered, sharpness, copies of training images.
    """
    from genlib.data import load as load_data
    from genlib.data.datasets import SPLITS
    from genlib.evaluation import report
    from genlib.evaluation.likelihood import K
    from genlib.training.publish import digest
    from genlib.training.publish import keep as keep_on_card

    if split not in SPLITS:
        raise GenlibError(f"There is no split {split!r}; choose one of {', '.join(SPLITS)}.")
    if no_samples and samples is not None:
        raise GenlibError("--samples and --no-samples exclude each other: give one of them.")
    if keep and (images is not None or split != "test"):
        raise GenlibError("--keep is for figures of the whole test split: leave --images and --split out.")
    weights = digest(checkpoint) if keep else ""
    model = load(checkpoint, device)
    dataset = load_data(trained_on(checkpoint))
    with bar(f"likelihood of {checkpoint}") as progress:
        found = report(
            model, dataset, split=split, images=images, k=k or K, iwae_images=iwae_images, seed=seed, progress=progress
        )
    scores = {name: found[name] for name in _score_names() if name in found}
    measured = None if no_samples else _measured(
        checkpoint, model, dataset, samples=samples, seeds=range(seed, seed + seeds), form=form, split=split
    )  # fmt: skip
    if isinstance(measured, str):
        found["quality"] = {"reason": measured}
    elif measured is not None:
        found["quality"] = measured.as_json()
    found = {"checkpoint": checkpoint, **found}
    if keep:
        kept: dict[str, Any] = {"scores": scores}
        if measured is not None and not isinstance(measured, str):
            kept |= _kept(checkpoint, model, measured)
        typer.echo(f"Kept on {keep_on_card(checkpoint, weights, kept)}.", err=True)
    if as_json:
        emit(found)
        return
    flat = {name: value for name, value in found.items() if name != "quality"}
    flat |= {f"samples: {name}": value for name, value in found.get("quality", {}).items()}
    table(("figure", "value"), ((name, _short(value)) for name, value in flat.items()))


def _score_names() -> list[str]:
    from dataclasses import fields

    from genlib.evaluation import Scores

    return [field.name for field in fields(Scores)]


def _measured(
    checkpoint: str, model: "Model", dataset: "Dataset", *, samples: int | None, seeds: range, form: str | None,
    split: str = "test",
) -> "Quality | str":  # fmt: skip
    """The quality of a model's samples; where nobody asked for it by number and it cannot be had, the reason."""
    from genlib.evaluation import find_judge, quality
    from genlib.evaluation.yardstick import SAMPLES

    try:
        judge = find_judge(dataset)
    except GenlibError as error:
        if samples is not None or form is not None:
            raise
        return str(error)
    with bar(f"samples of {checkpoint}") as progress:
        return quality(
            model, dataset, samples=samples or SAMPLES, seeds=seeds, form=form, split=split, judge=judge, progress=progress
        )  # fmt: skip


def _kept(checkpoint: str, model: "Model", found: "Quality") -> dict[str, Any]:
    """Where a card keeps it: ``quality`` in the model's own form, ``quality_in`` by the names of other forms."""
    from genlib.evaluation.forms import sample_form
    from genlib.training.checkpoint import read_card

    if found.form == sample_form(model.config):
        return {"quality": found.as_json()}
    return {"quality_in": read_card(checkpoint).get("quality_in", {}) | {found.form: found.as_json()}}


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {item:,}" for name, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else "-" if value is None else str(value)


# --- side by side ----------------------------------------------------------------------------------------------------


def compare(
    checkpoints: Annotated[
        list[str] | None, typer.Argument(metavar="[CHECKPOINT...]", help="Shipped names, runs or paths; none: all shipped ones but variants.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Without names: those trained on this data set; mnist unless told.")] = None,
    samples: Samples = None,
    seeds: Annotated[int | None, typer.Option(min=1, max=100, help="Draw with so many seeds.")] = None,
    form: Form = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure samples anew, whatever the cards keep.")] = False,
    kept: Annotated[bool, typer.Option("--kept", help="Show what the cards keep, and measure nothing.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep what is measured on the cards of shipped checkpoints.")] = False,
    device: Device = "auto",
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a table in Markdown.")] = False,
) -> None:  # fmt: skip
    """One table for all families: samples and likelihoods, sorted, with real images as the floor and marks of what may be compared.

    Figures are those that the cards keep, where they are of the asked numbers, form and judge; what is missing is measured.
    """
    from genlib.evaluation import comparison

    if as_json and as_markdown:
        raise GenlibError("--json and --markdown exclude each other: give one of them.")
    if fresh and kept:
        raise GenlibError("--fresh and --kept exclude each other: give one of them.")
    if checkpoints and data is not None:
        raise GenlibError("--data chooses among the shipped checkpoints: leave it out where you name them.")
    names = list(dict.fromkeys(checkpoints or _shipped_on(data or "mnist")))
    asked = _Asked(samples, seeds, form, fresh, kept, keep)
    rows = [_row(name, asked, device) for name in names]
    marked = comparison.compare([*_floors(rows, asked), *rows])
    if as_json:
        from genlib.machine import machine

        emit({"machine": machine(), "rows": [one.as_json() for one in marked]})
    elif as_markdown:
        typer.echo(comparison.markdown(marked))
    else:
        table(*comparison.cells(marked))


@dataclass(frozen=True)
class _Asked:
    """What the comparison is to be made of; None: whatever a card keeps, else the usual."""

    samples: int | None
    seeds: int | None
    form: str | None
    fresh: bool
    kept: bool
    keep: bool

    def fits(self, found: "Quality", form: str, judge: str) -> bool:
        """Whether a kept quality is what was asked for."""
        return (
            found.form == form and found.judge == judge and found.split == "test"
            and self.samples in (None, found.samples) and self.seeds in (None, len(found.seeds))
        )  # fmt: skip


def _shipped_on(data: str) -> list[str]:
    """The shipped checkpoints trained on a data set, without variants of others."""
    from genlib.data import describe
    from genlib.training import checkpoint
    from genlib.training.variants import without_variants

    describe(data)
    headers = {name: checkpoint.read_header(checkpoint.find(name)) for name in checkpoint.shipped()}
    kinds = {name: (header.model, data) for name, header in headers.items() if header.origin.data == data}
    if not kinds:
        raise GenlibError(f"No shipped checkpoint is trained on {data}: name the checkpoints or runs to compare.")
    return without_variants(kinds)


def _row(name: str, asked: _Asked, device: str) -> "Row":
    """A checkpoint's line, its figures from its card or measured now."""
    from genlib.data import load as load_data
    from genlib.evaluation import Quality, evaluate, find_judge, parameters
    from genlib.evaluation.comparison import Row
    from genlib.evaluation.forms import sample_form
    from genlib.training import checkpoint as checkpoints
    from genlib.training.publish import digest
    from genlib.training.publish import keep as keep_on_card

    card = _card(name)
    weights = digest(name) if card else ""
    origin = checkpoints.read_header(checkpoints.find(name)).origin
    model, dataset = load(name, device), load_data(origin.data)
    form = asked.form or sample_form(model.config)
    scores = card.get("scores")
    if scores is None and not asked.kept:
        with bar(f"likelihood of {name}") as progress:
            scores = evaluate(model, dataset, progress=progress).as_json()
    measured: Quality | str = "not measured"
    try:
        judge = find_judge(dataset).version
    except GenlibError as error:
        measured = str(error)
    else:
        found = [card.get("quality"), card.get("quality_in", {}).get(form)]
        fitting = [
            one for one in (Quality.from_json(value) for value in found if value) if asked.fits(one, form, judge)
        ]
        if fitting and not asked.fresh:
            measured = fitting[0]
        elif not asked.kept:
            measured = _measured(
                name, model, dataset, samples=asked.samples, seeds=range(asked.seeds or 1), form=asked.form
            )
            if asked.keep and card and not isinstance(measured, str):
                keep_on_card(name, weights, _kept(name, model, measured))
    return Row(
        name, model.family, origin.data, None if isinstance(measured, str) else measured, scores or {},
        parameters(model)["total"], origin.images_seen, origin.seconds, origin.machine,
        measured if isinstance(measured, str) else "",
    )  # fmt: skip


def _card(name: str) -> dict[str, Any]:
    """A shipped checkpoint's card; empty for a run or a path."""
    from genlib.training import checkpoint

    return checkpoint.read_card(name) if name in checkpoint.shipped() and checkpoint.card_path(name).is_file() else {}


def _floors(rows: list["Row"], asked: _Asked) -> list["Row"]:
    """A line of real images for each scale on which some model is measured. The judge's card keeps them."""
    from genlib.data import load as load_data
    from genlib.evaluation import Quality, find_judge, real_quality
    from genlib.evaluation.comparison import REAL, Row
    from genlib.evaluation.judges import judges_folder
    from genlib.training import files

    floors = []
    for scale in dict.fromkeys(row.quality.scale for row in rows if row.quality):
        data, _, form, _, samples, _ = scale
        dataset = load_data(data)
        judge = find_judge(dataset)
        key = f"{form}, {samples} samples"
        value = judge.card.get("floors", {}).get(key)
        floor = Quality.from_json(value) if value else None
        if floor is None or floor.scale != scale:
            if asked.kept:
                continue
            with bar(f"real images of {data}, {form}") as progress:
                floor = real_quality(dataset, form=form, samples=samples, judge=judge, progress=progress)
            if asked.keep:
                path = judges_folder() / f"{data}.json"
                card = files.read_json(path)
                card["floors"] = card.get("floors", {}) | {key: floor.as_json()}
                files.write_json(path, card)
        floors.append(Row(f"{REAL} ({data}, {form})", "data", data, floor))
    return floors
