"""``genlib calibrate`` and ``genlib distortion``: what a lossy codec's symbols cost, and how good its pictures are."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genlib.cli.frame import Checkpoint, Json, Seed, bar, check_png, emit, load, table, trained_on
from genlib.errors import GenlibError

if TYPE_CHECKING:
    from genlib.evaluation.rate_distortion import RateDistortion

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
        rates = [
            {"bits": rate.bits, "steps": rate.steps, "grid": rate.grid, "gain": rate.gain} for rate in tables.rates
        ]
        emit({"checkpoint": checkpoint, "images": n, "file": path, "rates": rates})
        return
    table(
        ("bits", "steps kept", "grid (sigmas)", "gain"),
        ((f"{rate.bits:g}", rate.steps, rate.grid, rate.gain) for rate in tables.rates),
    )
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
    kept: Annotated[bool, typer.Option("--kept", help="Measure nothing: show the result that was kept.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Also draw PSNR and SSIM against bits, headers not counted: a PNG.")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Compare lossy files: a model's against JPEG, JPEG 2000 and WebP at the same bits, headers counted and not counted.

    WPV: steps that are not in the file are drawn from the prior; WoPV: they are its mean. Where a format has no file so
    small, its smallest is taken, and the bits are those.
    """
    from genlib.evaluation.rate_distortion import Kept, read_kept
    from genlib.machine import machine
    from genlib.training import checkpoint as checkpoints
    from genlib.training import files

    if plot is not None:
        check_png(plot, "--plot")
    if (keep or kept) and checkpoint not in checkpoints.shipped():
        raise GenlibError(f"{checkpoint!r} has no card to keep a result beside: only a shipped checkpoint has one.")
    path = checkpoints.distortion_path(checkpoint)
    if not kept:
        found = _measured(checkpoint, images, bits, seed)
        command = f"genlib distortion {checkpoint} --images {found.images}"
        result = Kept(command + "".join(f" --bits {each:g}" for each in bits or ()), machine(), found)
    elif keep or bits:
        raise GenlibError("--kept measures nothing: leave --keep and --bits out, or leave --kept out.")
    elif not path.is_file():
        raise GenlibError(
            f"Nothing is kept of {checkpoint!r}: measure it with `genlib distortion {checkpoint} --keep`."
        )
    else:
        result = read_kept(path)
    value = {
        "checkpoint": checkpoint,
        "command": result.command,
        "machine": result.machine,
        **result.result.as_json(),
    }
    if keep:
        files.write_json(path, value)
    if plot is not None:
        files.write_bytes(plot, _drawn(result.result))
    if as_json:
        emit(value)
    else:
        _tell(result.result)


def _measured(checkpoint: str, images: int, bits: list[float] | None, seed: int) -> "RateDistortion":
    from genlib.data import load as load_data
    from genlib.evaluation.rate_distortion import CURVE_BITS, rate_distortion

    model = load(checkpoint, "cpu", ABILITY)
    dataset = load_data(trained_on(checkpoint))
    n = min(images, dataset.size("test"))
    with bar(f"coding {n} images of {dataset.info.name}") as progress:
        return rate_distortion(
            model, dataset, Path(checkpoint).stem, images=n, bits=bits or CURVE_BITS, seed=seed, progress=progress
        )


def _drawn(found: "RateDistortion") -> bytes:
    from genlib.figures.compression import Curve
    from genlib.figures.rate_plot import Panel, rate_plot

    panels = []
    for field, title in (("psnr", "PSNR (dB)"), ("ssim", "SSIM")):
        curves = found.curves(field, headers=False)
        panels.append(Panel(title, [Curve(name, list(at), list(at.values())) for name, at in curves.items()]))
    return rate_plot(
        panels,
        f"{found.images} test pictures of {found.data}; bits of the pictures' own data, no codec's header counts.",
    )


def _tell(found: "RateDistortion") -> None:
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
