"""``genlib calibrate`` and ``genlib distortion``: what a lossy codec's symbols cost, and how good its pictures are."""

from pathlib import Path
from typing import Annotated

import typer

from genlib.cli.frame import Checkpoint, Json, Seed, bar, emit, load, table, trained_on
from genlib.errors import GenlibError

ABILITY = "stepwise code"


def calibrate(
    checkpoint: Checkpoint,
    images: Annotated[int, typer.Option(min=16, max=5000, help="Validation images to count on.")] = 128,
    as_json: Json = False,
) -> None:
    """Count what the symbols of a lossy codec cost, for one checkpoint, and keep the tables beside the shipped ones.

    Without tables of its own a checkpoint compresses by guessed ones, to files that show less at the same bits.
    """
    from genlib.codec.calibration import calibrate as count
    from genlib.codec.tables import codes_folder
    from genlib.data import load as load_data
    from genlib.training import files

    model = load(checkpoint, "cpu", ABILITY)
    dataset = load_data(trained_on(checkpoint))
    n = min(images, dataset.size("validation"))
    if not n:
        raise GenlibError(f"{dataset.info.name} has no validation images to count on.")
    with bar(f"counting codes of {checkpoint}") as progress:
        tables = count(model, dataset.batch("validation", slice(0, n)), progress=progress)
    path = codes_folder() / f"{Path(checkpoint).stem}.safetensors"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.unwritable(path.parent, error) from None
    files.write_tensors(path, tables.tensors(), tables.header(model))
    if as_json:
        rates = [{"bits": rate.bits, "steps": rate.steps, "grid": rate.grid} for rate in tables.rates]
        emit({"checkpoint": checkpoint, "images": n, "file": path, "rates": rates})
        return
    table(("bits", "steps kept", "grid (sigmas)"), ((f"{rate.bits:g}", rate.steps, rate.grid) for rate in tables.rates))
    typer.echo(path)


def distortion(
    checkpoint: Checkpoint,
    images: Annotated[int, typer.Option(min=1, max=10_000, help="The first N images of the test split.")] = 200,
    bits: Annotated[
        list[float] | None,
        typer.Option("--bits", min=1, max=1e7, help="Bits for each picture; may be repeated. [a curve with the paper's five]"),
    ] = None,
    seed: Seed = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the result beside the shipped checkpoint's card.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Compare lossy files: a model's against JPEG, JPEG 2000 and WebP at the same bits, headers counted and not counted.

    WPV: steps that are not in the file are drawn from the prior; WoPV: they are its mean. Where a format has no file so
    small, its smallest is taken, and the bits are those.
    """
    from genlib.data import load as load_data
    from genlib.evaluation.rate_distortion import CURVE_BITS, rate_distortion
    from genlib.machine import machine
    from genlib.training import checkpoint as checkpoints
    from genlib.training import files

    if keep and checkpoint not in checkpoints.shipped():
        raise GenlibError(f"{checkpoint!r} has no card to keep a result beside: only a shipped checkpoint has one.")
    model = load(checkpoint, "cpu", ABILITY)
    dataset = load_data(trained_on(checkpoint))
    n = min(images, dataset.size("test"))
    with bar(f"coding {n} images of {dataset.info.name}") as progress:
        found = rate_distortion(
            model, dataset, Path(checkpoint).stem, images=n, bits=bits or CURVE_BITS, seed=seed, progress=progress
        )
    command = f"genlib distortion {checkpoint} --images {n}" + "".join(f" --bits {each:g}" for each in bits or ())
    result = {"checkpoint": checkpoint, "command": command, "machine": machine(), **found.as_json()}
    if keep:
        files.write_json(checkpoints.distortion_path(checkpoint), result)
    if as_json:
        emit(result)
        return
    for headers in (False, True):
        typer.echo("headers counted" if headers else "headers not counted")
        table(
            ("bits allowed", "coder", "bits", "PSNR (dB)", "SSIM", "same class"),
            (
                (f"{p.budget:g}", p.coder, f"{p.bits:.0f}", f"{p.psnr:.2f}", f"{p.ssim:.3f}", f"{100 * p.agreement:.1f} %")
                for p in found.points
                if p.headers == headers
            ),
        )  # fmt: skip
