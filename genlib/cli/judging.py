"""``genlib judge``: the classifiers by whose features the samples of all models are measured; ``genlib gam``: adversarial
models that judge each other; ``genlib one-shot``: what a model does with a character it is shown once."""

import time
from dataclasses import asdict
from itertools import combinations
from typing import Annotated

import typer

from genlib.cli.frame import LARGEST_SEED, Checkpoint, Device, Json, Seed, bar, emit, load, table, trained_on
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


KNOWN = 1000  # validation images that show a critic's scores of real pictures


def gam(
    checkpoints: Annotated[
        list[str], typer.Argument(metavar="CHECKPOINT CHECKPOINT...", help="Two or more adversarial models of one data set.")
    ],
    samples: Annotated[int, typer.Option(min=20, max=100_000, help="Pictures that each model draws in each battle.")] = 10_000,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:  # fmt: skip
    """The generative adversarial metric (Im et al. 2016): each pair of models plays, one's discriminator on the other's pictures.

    The one that fools the other's discriminator oftener wins, if both know the test images about equally well; otherwise the
    battle is a tie.
    """
    from genlib.data import load as load_data
    from genlib.evaluation.gam import gam as play

    names = list(dict.fromkeys(checkpoints))
    if len(names) < 2:
        raise GenlibError("A battle needs two different models: name at least two checkpoints.")
    sets = {name: trained_on(name) for name in names}
    for name, data in sets.items():
        if data != sets[names[0]]:
            raise GenlibError(
                f"{names[0]} is trained on {sets[names[0]]}, but {name} on {data}: let models of one data set play."
            )
    dataset = load_data(sets[names[0]])
    models = {name: load(name, device, "adversaries") for name in names}
    images, known = dataset.batch("test", slice(None)), dataset.batch("validation", slice(KNOWN))
    pairs = list(combinations(names, 2))
    battles = []
    with bar("battles") as progress:
        for done, (first, second) in enumerate(pairs, 1):
            battle = play(models[first], models[second], images, samples=samples, seed=seed, known=known)
            winner = {"first": first, "second": second}.get(battle.winner)
            battles.append({"first": first, "second": second, **battle.as_json(), "winner": winner})
            progress(done, len(pairs))
    if as_json:
        emit({"data": dataset.info.name, "seed": seed, "battles": battles})
        return
    table(
        ("first", "second", "test errors", "sample errors", "r_test", "r_sample", "winner"),
        (
            (
                one["first"],
                one["second"],
                *(", ".join(f"{100 * share:.1f} %" for share in one[key]) for key in ("test_errors", "sample_errors")),
                *("inf" if one[key] is None else f"{one[key]:.2f}" for key in ("r_test", "r_sample")),
                one["winner"] or "tie",
            )
            for one in battles
        ),
    )


def one_shot(
    checkpoint: Checkpoint,
    k: Annotated[int, typer.Option("-k", "--k", min=1, max=1000, help="Draws of the bound by which a drawing is classified.")] = 20,
    seed: Seed = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the figures on the shipped checkpoint's card.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:  # fmt: skip
    """Show a model characters that it has never seen, once each: does it know them again, and can it write them?

    It classifies the 20 runs of Lake et al. (2015), 20 characters each, by likelihood; and a classifier that knows the characters of
    the held-out alphabets judges what it writes after one example. 5 % and 1 in the number of characters are chance.
    """
    from genlib.data import load as load_data
    from genlib.evaluation.one_shot import scores
    from genlib.training.publish import digest
    from genlib.training.publish import keep as keep_on_card

    weights = digest(checkpoint) if keep else ""
    model = load(checkpoint, device, "conditioning by example")
    with bar(f"one-shot runs of {checkpoint}") as progress:
        found = scores(model, load_data(trained_on(checkpoint)), k=k, seed=seed, progress=progress).as_json()
    if keep:
        typer.echo(f"Kept on {keep_on_card(checkpoint, weights, {'one_shot': found})}.", err=True)
    if as_json:
        emit({"checkpoint": checkpoint, **found})
        return
    table(
        ("figure", "value"),
        (
            (f"{part}: {name}", ", ".join(map(str, value)) if isinstance(value, list) else value)
            for part in ("classification", "samples")
            for name, value in found[part].items()
        ),
    )
