"""``genlib models`` and ``genlib data``: what there is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genlib.cli.frame import Json, bar, emit, table
from genlib.errors import GenlibError

if TYPE_CHECKING:
    from genlib.models.contract import Model

data = typer.Typer(help="Data sets: list them, fetch them, make one of your own pictures.", invoke_without_command=True)


def models(
    name: Annotated[str | None, typer.Argument(help="One model only, with its presets and all config fields.")] = None,
    as_json: Json = False,
) -> None:
    """List the models: family, abilities, presets, parameters per part, shipped checkpoints."""
    from genlib.models import catalogue

    kinds = [catalogue.get(one) for one in ([name] if name else catalogue.names())]
    shipped = _shipped()
    found = [_model(kind, shipped.get(kind.name, [])) for kind in kinds]
    if as_json:
        emit({"models": found})
    elif name:
        _show_model(found[0])
    else:
        table(
            ("name", "family", "parameters", "presets", "checkpoints", "abilities"),
            (
                (
                    one["name"],
                    one["family"],
                    f"{one['parameters']['total']:,}",
                    ", ".join(one["presets"]),
                    ", ".join(one["checkpoints"]) or "-",
                    ", ".join(one["abilities"]),
                )
                for one in found
            ),
        )


def _shipped() -> dict[str, list[str]]:
    """Model -> its shipped checkpoints. A broken file is left out: using it by name says what is wrong with it."""
    from genlib.training import checkpoint

    found: dict[str, list[str]] = {}
    for name in checkpoint.shipped():
        try:
            header = checkpoint.read_header(checkpoint.find_named(name))
        except GenlibError:
            continue
        found.setdefault(header.model, []).append(name)
    return found


def _model(kind: "type[Model]", checkpoints: list[str]) -> dict[str, Any]:
    """All facts of a model. ``parameters`` are those of the default config; a preset has its own."""
    from genlib.evaluation import planned_parameters
    from genlib.models import abilities

    presets = {
        name: {
            "notice": preset.notice,
            "failure": preset.failure,
            "values": dict(preset.values),
            "parameters": planned_parameters(kind, kind.configure(name)),
        }
        for name, preset in kind.presets.items()
    }
    return {
        "name": kind.name,
        "title": kind.title,
        "family": kind.family,
        "paper": kind.paper,
        "abilities": abilities(kind),
        "presets": presets,
        "parameters": planned_parameters(kind, kind.configure()),
        "fields": kind.Config.model_json_schema()["properties"],
        "terms": kind.terms,
        "checkpoints": checkpoints,
    }


def _show_model(model: dict[str, Any]) -> None:
    typer.echo(f"{model['name']}: {model['title']} ({model['family']})\n{model['paper']}\n")
    typer.echo(f"abilities    {', '.join(model['abilities'])}")
    typer.echo(f"parameters   {', '.join(f'{part} {count:,}' for part, count in model['parameters'].items())}")
    typer.echo(f"checkpoints  {', '.join(model['checkpoints']) or '-'}\n")
    table(
        ("preset", "what to notice"),
        ((name + (" (fails)" if one["failure"] else ""), one["notice"]) for name, one in model["presets"].items()),
    )
    typer.echo("")
    table(
        ("field", "default", "possible", "meaning"),
        (
            (name, field.get("default"), _possible(field), field.get("description", ""))
            for name, field in model["fields"].items()
        ),
    )


def _possible(field: dict[str, Any]) -> str:
    """The values a field may have, from its JSON schema."""
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    low = f"> {field['exclusiveMinimum']}" if "exclusiveMinimum" in field else f"{field.get('minimum', '')}"
    high = f"< {field['exclusiveMaximum']}" if "exclusiveMaximum" in field else f"{field.get('maximum', '')}"
    return f"{low} .. {high}" if low or high else field.get("type", "")


@data.callback()
def _list_data(context: typer.Context, as_json: Json = False) -> None:
    """List the data sets; `fetch` brings one onto this machine, `import` makes one of your own pictures."""
    if context.invoked_subcommand is not None:
        return
    from genlib.data import names

    found = [_dataset(name) for name in names()]
    if as_json:
        emit({"data": found})
        return
    table(
        ("name", "title", "shape", "classes", "train", "validation", "test", "where"),
        (
            (
                one["name"],
                one["title"],
                " x ".join(map(str, one["shape"])),
                len(one["classes"]) or "-",
                *(one["sizes"] or {"train": "-", "validation": "-", "test": "-"}).values(),
                one["problem"] or one["path"] or f"not here: genlib data fetch {one['name']}",
            )
            for one in found
        ),
    )


def _dataset(name: str) -> dict[str, Any]:
    from genlib.data import describe, find
    from genlib.data import load as load_data
    from genlib.data.datasets import SPLITS

    info, path = describe(name), find(name)
    sizes, problem = None, None
    if path is not None:
        try:
            dataset = load_data(name)
            sizes = {split: dataset.size(split) for split in SPLITS}
        except GenlibError as error:
            problem = str(error)
    return {
        "name": name,
        "title": info.title,
        "shape": info.shape,
        "classes": info.classes,
        "source": info.source,
        "licence": info.licence,
        "fetched": path is not None,
        "path": path,
        "sizes": sizes,
        "problem": problem,
    }


@data.command()
def fetch(name: Annotated[str, typer.Argument(help="A name from `genlib data`.")]) -> None:
    """Bring a data set onto this machine: downloaded once, verified, kept as NAME.npz in the data folder."""
    from genlib.data import describe
    from genlib.data.fetch import fetch as fetch_data

    describe(name)
    path = fetch_data(name, lambda text: typer.echo(text, err=True))
    typer.echo(path)


@data.command("import")
def import_pictures(
    source: Annotated[Path, typer.Argument(metavar="ZIP", help="A zip of pictures; its folders become the classes.")],
    name: Annotated[str, typer.Option(help="What the data set will be called.")],
    size: Annotated[int, typer.Option(help="Height and width of its images in pixels.")] = 28,
    grey: Annotated[bool, typer.Option("--grey", help="Grey values instead of colours.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace own pictures of that name.")] = False,
    as_json: Json = False,
) -> None:
    """Make a data set for every model of a zip of your own pictures: `genlib data import my.zip --name mine --size 28`."""
    from genlib.data.own import import_zip

    with bar("Reading pictures") as progress:
        made = import_zip(source, name, side=size, grey=grey, replace=replace, progress=progress)
    if as_json:
        emit({**_dataset(name), "left_out": dict(made.skipped)})
        return
    typer.echo(made.sentence(), err=True)
    typer.echo(made.path)


@data.command()
def remove(name: Annotated[str, typer.Argument(help="Own pictures, as `genlib data` lists them.")]) -> None:
    """Delete a data set of own pictures; the models trained on it stay."""
    from genlib.data.own import remove as remove_own

    remove_own(name)
