"""``genlib compress``, ``decompress``, ``sizes``: pictures to files and back, and how large the files are."""

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genlib.cli.frame import Json, bar, check_writable, emit, load, table, trained_on
from genlib.errors import GenlibError

if TYPE_CHECKING:
    from torch import Tensor

    from genlib.codec.container import Container
    from genlib.models.contract import Model

LOSSY = "stepwise code"  # the ability behind a lossy file
MAX_PICTURES = 10_000
Label = Annotated[
    int | None, typer.Option(min=0, help="Lossless: the class of all pictures; else the likeliest of each.")
]


def compress(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="A picture file, a folder of pictures, or DATA:SPLIT:NUMBER or DATA:SPLIT:FIRST-LAST as in mnist:test:0-99.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    model: Annotated[str, typer.Option(help="A shipped checkpoint, a run, or the path of a .safetensors file.")],
    bits: Annotated[
        float | None,
        typer.Option(min=1, max=1e7, help="Bits for each picture, header not counted; for models that keep a part of their code."),
    ] = None,
    label: Label = None,
    fit: Annotated[
        bool,
        typer.Option("--fit", help="First bring pictures to the model's size, colours and values, as other commands do."),
    ] = False,
    names: Annotated[bool, typer.Option("--names/--no-names", help="Keep the names of a folder's files.")] = True,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Compress pictures into one file: without loss by a model with exact likelihood, else into about --bits bits each."""
    from genlib.codec import lossless
    from genlib.codec.container import Container
    from genlib.training import files

    check_writable(out, "OUT")
    network = load(model, "cpu")
    without_loss = lossless.can_code(network)
    _check_options(model, network, without_loss, bits, label)
    pictures, found_names = _pictures(image, network, fit)
    with bar("compressing") as progress:
        if without_loss:
            data = lossless.compress(network, pictures, label=label, reduce=fit, progress=progress)
        else:
            from genlib.codec import lossy

            assert bits is not None  # checked above
            data = lossy.compress(network, pictures, bits=bits, progress=progress)
    kept = found_names if names else ()
    container = Container.from_bytes(data).renamed(_checkpoint_name(model), kept)
    files.write_bytes(out, container.to_bytes())
    _tell(out, container, as_json)


def decompress(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `genlib compress` wrote.")],
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="The PNG file to write; for a file of many pictures, a folder.")
    ],
    model: Annotated[
        str | None, typer.Option(help="The checkpoint that wrote the file. [the one that the file names]")
    ] = None,
    mean: Annotated[
        bool, typer.Option("--mean", help="Lossy: steps that are not in the file take the mean of the prior, not a draw.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Lossy: of these draws.")] = 0,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Bring back the pictures of a compressed file."""
    from genlib.codec import lossless
    from genlib.codec.container import Container
    from genlib.training import checkpoint

    data = _read(file)
    container = Container.from_bytes(data)
    single = container.count == 1 and image.suffix.lower() == ".png"
    targets = [_png_target(image)] if single else _folder_targets(image, container)
    if model is not None:
        network = load(model, "cpu")
    else:  # a name out of a file is never taken for a path
        network = checkpoint.load_file(checkpoint.find_named(container.name), "cpu")
    with bar("decompressing") as progress:
        if container.kind == "lossless":
            pictures = lossless.decompress(network, data, progress=progress)
        else:
            from genlib.codec import lossy

            pictures = lossy.decompress(network, data, mean=mean, seed=seed, progress=progress)
    _write_pictures(targets, pictures)
    if as_json:
        emit({**_facts(file, container), "pictures": targets})
    else:
        typer.echo(image)


def sizes(
    checkpoints: Annotated[
        list[str], typer.Argument(metavar="CHECKPOINT...", help="Models with an exact likelihood, pixel by pixel.")
    ],
    images: Annotated[int, typer.Option(min=1, max=10_000, help="The first N images of the test split.")] = 100,
    as_json: Json = False,
) -> None:
    """Compare lossless files: a model's against PNG, WebP and JPEG XL, one image a file and all images in one file.

    All formats get the same images, those that the model knows (black and white ones, for most); the others get them as a
    mosaic where all go into one file.
    """
    from dataclasses import asdict

    from genlib.data import load as load_data
    from genlib.evaluation.file_sizes import NOT_INSTALLED, file_sizes
    from genlib.machine import machine

    results = []
    for name in checkpoints:
        network = load(name, "cpu")
        batch = load_data(trained_on(name)).batch("test", slice(0, images))
        with bar(name) as progress:
            found = file_sizes(network, batch, name=_checkpoint_name(name), progress=progress)
        saved = {
            f"smaller than {row.name}": {
                "one image a file": found.saving(row.name, batch=False), "all in one file": found.saving(row.name),
            }
            for row in found.rows[1:]
        }  # fmt: skip
        results.append({"checkpoint": name, "data": trained_on(name), **asdict(found), **saved})
    if as_json:
        emit({"machine": machine(), "results": results})
        return
    for one in results:
        typer.echo(
            f"{one['checkpoint']}: {one['images']} test images of {one['data']} with {one['levels']} values; the model says "
            f"{one['nats'] / (8 * math.log(2)):.2f} bytes for each, and its file has {one['payload']:.2f} and the header."
        )
        table(
            ("bytes for each image", "one image a file", "all in one file"),
            (
                (row["name"], *(NOT_INSTALLED if row[key] is None else f"{row[key]:.1f}" for key in ("single", "batch")))
                for row in one["rows"]
            ),
        )  # fmt: skip


# --- what goes in ----------------------------------------------------------------------------------------------------


def _check_options(name: str, model: "Model", without_loss: bool, bits: float | None, label: int | None) -> None:
    from genlib.models import abilities

    if without_loss:
        if bits is not None:
            raise GenlibError(
                f"{name!r} compresses without loss, and needs the bits that it needs: leave --bits out, or give a model "
                "whose code can be cut off, e.g. conv-draw-cifar10."
            )
    elif LOSSY not in abilities(model):
        raise GenlibError(
            f"{name!r} is a {model.name}, which cannot compress: give a checkpoint with an exact likelihood pixel by pixel "
            "(pixelcnn-mnist) or with a code in steps (conv-draw-cifar10)."
        )
    elif bits is None:
        raise GenlibError(
            f"{name!r} keeps as much of its code as it may: say how many bits a picture, e.g. --bits 307."
        )
    elif label is not None:
        raise GenlibError(f"{name!r} was not trained with class labels: leave --label out.")


def _checkpoint_name(text: str) -> str:
    """How a file names its model: a checkpoint's or run's name; of a path, its last part."""
    path = Path(text)
    return path.stem if path.suffix == ".safetensors" else path.name


def _pictures(text: str, model: "Model", fit: bool) -> "tuple[Tensor, list[str]]":
    """The pictures that IMAGE stands for, [N, C, H, W], and the names of a folder's files."""
    import torch

    place = re.fullmatch(r"([a-z0-9_]+):([a-z]+):(\d{1,9})(?:-(\d{1,9}))?", text)
    if place is not None:
        return _of_data(text, place, model), []
    path = Path(text)
    if not path.is_dir():
        return _exactly(path, model, fit), []
    paths = sorted(one for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
    if not paths:
        raise GenlibError(f"The folder {path} holds no files: give one with pictures in it.")
    if len(paths) > MAX_PICTURES:
        raise GenlibError(
            f"The folder {path} holds {len(paths):,} files: give at most {MAX_PICTURES:,} pictures at once."
        )
    return torch.cat([_exactly(one, model, fit) for one in paths]), [one.name for one in paths]


def _of_data(text: str, place: re.Match[str], model: "Model") -> "Tensor":
    from genlib.data import load as load_data
    from genlib.data.datasets import SPLITS

    data, split, first, last = place[1], place[2], int(place[3]), int(place[4] or place[3])
    dataset = load_data(data)
    if split not in SPLITS:
        raise GenlibError(f"{text}: {data} has no split {split!r}; choose one of {', '.join(SPLITS)}.")
    if not first <= last < dataset.size(split):
        raise GenlibError(f"{text}: the {split} split of {data} has the images 0 to {dataset.size(split) - 1}.")
    if last - first >= MAX_PICTURES:
        raise GenlibError(f"{text}: those are {last - first + 1:,} images: give at most {MAX_PICTURES:,} at once.")
    if dataset.info.shape != model.config.shape:
        raise GenlibError(
            f"{text}: {data} has images of shape {dataset.info.shape}, but this {model.name} works on {model.config.shape}."
        )
    images = dataset.batch(split, slice(first, last + 1))
    coded = getattr(model, "code", None)  # a data set's grey digits have no form yet: they get that of the model
    return images if coded is None else coded(images)


def _exactly(path: Path, model: "Model", fit: bool) -> "Tensor":
    """A picture file as it is, [1, C, H, W]; with ``fit`` it is cut, resized and recoloured for the model."""
    import numpy as np
    import torch

    from genlib.data.pictures import open_picture, read_picture

    channels, height, width = shape = model.config.shape
    if fit:
        return read_picture(path, shape, dark_background=channels == 1)
    picture = open_picture(path, str(path))
    if picture.size != (width, height):
        raise GenlibError(
            f"{path} has {picture.width} x {picture.height} pixels, but this {model.name} works on {width} x {height}: "
            "resize it, or add --fit, which cuts out the middle and resizes that."
        )
    pixels = np.asarray(picture)  # RGBA
    if (pixels[..., 3] != 255).any():
        raise GenlibError(f"{path} is partly transparent, which no model here knows: flatten it, or add --fit.")
    if channels == 1 and (pixels[..., :1] != pixels[..., :3]).any():
        raise GenlibError(
            f"{path} has colours, but this {model.name} works on grey pictures: make it grey, or add --fit."
        )
    return torch.from_numpy(np.ascontiguousarray(pixels[..., :channels].transpose(2, 0, 1)))[None].float() / 255


def _read(file: Path) -> bytes:
    if not file.is_file():  # a folder, a device, a pipe: reading may never end
        what = "is not a file" if file.exists() else "does not exist"
        raise GenlibError(f"{file} {what}: give a file that `genlib compress` wrote.")
    return file.read_bytes()


# --- what comes out --------------------------------------------------------------------------------------------------


def _png_target(image: Path) -> Path:
    return check_writable(image, "IMAGE")


def _folder_targets(folder: Path, container: "Container") -> list[Path]:
    """A PNG for each picture, in a folder that is not there yet, or empty; by the names that the file keeps."""
    if container.count == 0:
        raise GenlibError("The file holds no pictures.")
    if folder.suffix and not folder.is_dir():
        wanted = (
            f"holds {container.count} pictures: give a folder"
            if container.count > 1
            else "gives a PNG: give a .png name"
        )
        raise GenlibError(f"IMAGE {folder} cannot be written: the file {wanted}.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise GenlibError(f"IMAGE {folder} is there already, and no empty folder: give the name of a new one.")
    parent = folder if folder.exists() else folder.parent
    if not parent.is_dir():
        raise GenlibError(f"IMAGE {folder} cannot be written: the folder {parent} does not exist.")
    if not os.access(parent, os.W_OK):
        raise GenlibError(f"IMAGE {folder} cannot be written: you may not write to the folder {parent}.")
    names = list(container.names) or [f"{i:0{len(str(container.count - 1))}d}" for i in range(container.count)]
    if any("/" in name or "\\" in name or name.startswith(".") for name in names):
        raise GenlibError("The file names pictures as if they lay in other folders: somebody made it by hand.")
    stems = [Path(name).stem for name in names]
    if len(set(stems)) < len(stems):
        stems = names  # a.png beside a.gif
    if len(set(stems)) < len(stems):
        raise GenlibError("The file names two pictures alike: somebody made it by hand.")
    return [folder / f"{stem}.png" for stem in stems]


def _write_pictures(targets: list[Path], pictures: "Tensor") -> None:
    from genlib.training import files
    from genlib.training.sheets import sheet_png

    try:
        targets[0].parent.mkdir(exist_ok=True)
    except OSError as error:
        raise files.unwritable(targets[0].parent, error) from None
    for target, picture in zip(targets, pictures, strict=True):
        files.write_bytes(target, sheet_png(picture[None]))


def _facts(file: Path, container: "Container") -> dict[str, Any]:
    size, payload = len(container.to_bytes()), len(container.payload)
    return {
        "file": file,
        "kind": container.kind,
        "checkpoint": container.name,
        "digest": container.digest.hex(),
        "images": container.count,
        "shape": list(container.shape),
        "bytes": size,
        "payload_bytes": payload,
        "header_bytes": size - payload,
        "bits_per_image": 8 * payload / max(1, container.count),
        "bits_per_dim": 8 * payload / max(1, container.count * container.shape[0] * container.shape[1] * container.shape[2]),
        "names": list(container.names),
    }  # fmt: skip


def _tell(out: Path, container: "Container", as_json: bool) -> None:
    facts = _facts(out, container)
    if as_json:
        emit(facts)
        return
    images = "1 picture" if container.count == 1 else f"{container.count:,} pictures"
    typer.echo(
        f"{out}: {images} in {facts['bytes']:,} bytes ({facts['payload_bytes']:,} and a header of {facts['header_bytes']}), "
        f"{facts['bits_per_image']:.1f} bits for each"
    )
