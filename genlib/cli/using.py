"""``genlib sample``, ``complete``, ``bench``: what a trained model does, and how fast."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genlib.cli.frame import (
    Checkpoint,
    Device,
    Json,
    Label,
    Seed,
    Temperature,
    bar,
    check_png,
    emit,
    load,
    table,
    trained_on,
)
from genlib.errors import GenlibError

if TYPE_CHECKING:
    from torch import Tensor

    from genlib.models.contract import Model

Out = Annotated[Path, typer.Option(help="The PNG file to write.")]
Scale = Annotated[int, typer.Option(min=1, max=16, help="Enlarge every pixel this many times.")]


def sample(
    checkpoint: Checkpoint,
    n: Annotated[int, typer.Option("-n", "--number", min=1, max=10_000, help="How many images.")] = 64,
    seed: Seed = 0,
    label: Label = None,
    temperature: Temperature = 1.0,
    out: Out = Path("grid.png"),
    scale: Scale = 1,
    device: Device = "auto",
) -> None:
    """Draw images with a trained model, as one sheet."""
    check_png(out)
    model = load(checkpoint, device)
    _check_label(checkpoint, label)
    images = model.sample(n, seed=seed, label=label, temperature=temperature)
    _write_sheet(out, images, scale)


def complete(
    checkpoint: Checkpoint,
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="A picture file, or DATA:SPLIT:NUMBER as in mnist:test:17.")
    ],
    mask: Annotated[
        str,
        typer.Option(
            help="What is hidden: lower-half, upper-half, left-half, right-half, centre-square, nothing, everything; "
            "or an image file of the model's size whose dark pixels are hidden."
        ),
    ] = "lower-half",
    n: Annotated[int, typer.Option("-n", "--number", min=1, max=1000, help="How many completions.")] = 8,
    seed: Seed = 0,
    label: Label = None,
    temperature: Temperature = 1.0,
    out: Out = Path("out.png"),
    scale: Scale = 1,
    device: Device = "auto",
) -> None:
    """Hide a part of a picture and let a model draw it anew, n times.

    The sheet has one row: the picture with its hidden part grey, then the completions.
    """
    from genlib.data.occlusions import find_occlusion

    check_png(out)
    model: Any = load(checkpoint, device, ability="completion")
    _check_label(checkpoint, label)
    picture = _picture(image, model)  # [1, C, H, W]
    known = find_occlusion(mask, *picture.shape[2:]).to(picture.device)
    completions = model.complete(picture, known, n, seed=seed, label=label, temperature=temperature)[0]  # [n, C, H, W]
    _write_sheet(out, _row(picture, known, completions), scale, columns=n + 1)


def _check_label(checkpoint: str, label: int | None) -> None:
    """Refuse a class that the data set does not have."""
    if label is None:
        return
    from genlib.data import describe

    info = describe(trained_on(checkpoint))
    if info.classes and label >= len(info.classes):
        raise GenlibError(
            f"There is no class {label} in {info.name}: its labels are 0 ({info.classes[0]}) to "
            f"{len(info.classes) - 1} ({info.classes[-1]})."
        )


def _picture(text: str, model: "Model") -> "Tensor":
    """A picture file, or one image of a data set, [1, C, H, W] on the model's device."""
    from genlib.data import load as load_data
    from genlib.data.datasets import SPLITS
    from genlib.data.pictures import read_picture

    place = re.fullmatch(r"([a-z0-9_]+):([a-z]+):(\d{1,9})", text)
    if place is None:
        return read_picture(Path(text), model.config.shape, dark_background=model.config.channels == 1).to(model.device)
    data, split, number = place[1], place[2], int(place[3])
    dataset = load_data(data)
    if split not in SPLITS:
        raise GenlibError(f"{text}: {data} has no split {split!r}; choose one of {', '.join(SPLITS)}.")
    if number >= dataset.size(split):
        raise GenlibError(f"{text}: the {split} split of {data} has the images 0 to {dataset.size(split) - 1}.")
    if dataset.info.shape != model.config.shape:
        raise GenlibError(
            f"{text}: {data} has images of shape {dataset.info.shape}, but this {model.name} works on "
            f"{model.config.shape}."
        )
    return dataset.batch(split, slice(number, number + 1)).to(model.device)


def _row(picture: "Tensor", known: "Tensor", completions: "Tensor") -> "Tensor":
    """[1, C, H, W], bool [H, W] and [n, C, H, W] -> [1 + n, C, H, W]: first what the model is given."""
    import torch

    given = torch.where(known, picture, torch.full_like(picture, 0.5))
    return torch.cat([given, completions.to(picture)])


def _write_sheet(out: Path, images: "Tensor", scale: int, columns: int | None = None) -> None:
    from genlib.training import files
    from genlib.training.sheets import sheet_png

    enlarged = images.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    files.write_bytes(out, sheet_png(enlarged, columns))
    typer.echo(out)


def bench(
    checkpoints: Annotated[list[str], typer.Argument(metavar="CHECKPOINT...", help="Shipped names, runs or paths.")],
    n: Annotated[int, typer.Option("-n", "--number", min=1, max=10_000, help="Images drawn at once.")] = 16,
    seconds: Annotated[float, typer.Option(min=0, max=3600, help="About how long to repeat, for each.")] = 5.0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure how fast models draw here and now: seconds per image, images per second, one forward pass, parameters."""
    from genlib.evaluation import measure, parameters
    from genlib.machine import machine

    results: list[dict[str, Any]] = []
    with bar("measuring") as progress:
        for done, checkpoint in enumerate(checkpoints):
            progress(done, len(checkpoints))
            model = load(checkpoint, device)
            speed = measure(model, n, seconds=seconds)
            results.append(
                {"checkpoint": checkpoint, "model": model.name, **speed.as_json(), "parameters": parameters(model)}
            )
    if as_json:
        emit({"machine": machine(), "results": results})
        return
    typer.echo(machine())
    table(
        ("checkpoint", "parameters", "images", "ms/image", "images/s", "forward images/s"),
        (
            (
                one["checkpoint"],
                f"{one['parameters']['total']:,}",
                one["images"],
                f"{1000 * one['sample_seconds_per_image']:.3g}",
                f"{one['samples_per_second']:.4g}",
                f"{one['forward_images_per_second']:.4g}",
            )
            for one in results
        ),
    )
