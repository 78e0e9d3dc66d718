"""``genlib judge``: the classifiers by whose features the samples of all models are measured."""

import time
from dataclasses import asdict
from typing import Annotated

import typer

from genlib.cli.frame import LARGEST_SEED, Json, bar, emit, table
from genlib.errors import GenlibError

judge = typer.Typer(
    help="The judges: small classifiers, one a data set, by which all models are measured.", invoke_without_command=True
)


@judge.callback()
def _list(context: typer.Context, as_json: Json = False) -> None:
    """List the judges; `genlib judge train DATA` makes one."""
    if context.invoked_subcommand is not None:
        return
    from genlib.evaluation import judges
    from genlib.training import files

    cards = [files.read_json(judges.judges_folder() / f"{name}.json") for name in judges.available()]
    if as_json:
        emit({"judges": cards})
        return
    table(
        ("data", "weights", "features", "test accuracy", "command"),
        (
            (
                card["data"],
                f"{card['parameters']:,}",
                card["architecture"]["features"],
                ", ".join(f"{form} {100 * share:.2f} %" for form, share in card["accuracy"].items()),
                card["command"],
            )
            for card in cards
        ),
    )


@judge.command()
def train(
    data: Annotated[str, typer.Argument(help="A name from `genlib data`.")],
    epochs: Annotated[int, typer.Option(min=1, max=1000, help="Passes over the training images.")] = 5,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Of the weights and the order.")] = 0,
    threads: Annotated[int, typer.Option(min=1, max=256, help="CPU threads.")] = 1,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Replace the judge that is there: what it measured is then no longer comparable."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train the judge of a data set, score it on the test images, and write it with its card."""
    import torch

    from genlib.data import load as load_data
    from genlib.evaluation import classifier, judges
    from genlib.machine import machine
    from genlib.models.contract import count_parameters
    from genlib.training import files

    dataset = load_data(data)
    path = judges.judges_folder() / f"{data}.safetensors"
    if path.exists() and not replace:
        raise GenlibError(f"There is a judge of {data} already ({path}): replace it with --replace.")
    torch.set_num_threads(threads)
    started = time.perf_counter()
    with bar(f"training the judge of {data}") as progress:
        network = classifier.train(dataset, epochs=epochs, seed=seed, progress=progress)
    seconds = time.perf_counter() - started
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.unwritable(path.parent, error) from None
    files.write_tensors(path, network.state_dict(), judges.header(network, data))
    card = {
        "data": data,
        "version": judges.version_of(path),
        "architecture": asdict(network.architecture),
        "parameters": count_parameters(network),
        "accuracy": classifier.accuracies(network, dataset),
        "epochs": epochs,
        "seed": seed,
        "seconds": round(seconds, 1),
        "machine": machine(),
        "command": f"genlib judge train {data} --epochs {epochs} --seed {seed} --threads {threads}",
        "versions": {"torch": torch.__version__},
        "bytes": path.stat().st_size,
    }
    files.write_json(path.with_suffix(".json"), card)
    if as_json:
        emit(card)
    else:
        typer.echo(path)
