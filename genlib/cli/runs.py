"""``genlib train``, ``stop``, ``runs``, ``publish``: training runs from their start to a shipped checkpoint."""

import os
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from genlib.cli.frame import LARGEST_SEED, Json, bar, emit, table
from genlib.errors import GenlibError

if TYPE_CHECKING:
    from genlib.models.contract import Config, Model
    from genlib.training.run import Run, RunConfig, Status

STOP_WAIT = 30.0  # seconds that `stop` waits for the run to save and end


def train(
    model: Annotated[str | None, typer.Argument(help="A name from `genlib models`.")] = None,
    data: Annotated[str | None, typer.Option(help="A name from `genlib data`. [mnist]")] = None,
    preset: Annotated[str | None, typer.Option(help="A named config from `genlib models MODEL`.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="A config field; may be repeated.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after that much training.")] = None,
    steps: Annotated[int | None, typer.Option(min=0, help="Stop after that many steps.")] = None,
    patience: Annotated[
        int | None, typer.Option(min=0, help="Stop after that many validations without improvement.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=LARGEST_SEED, help="Of the first weights and of every draw. [0]")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="CPU threads. [all cores; in the background half]")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto (CUDA, then MPS, then CPU), cpu, cuda, mps. [auto]")] = None,
    run: Annotated[str | None, typer.Option("--run", help="The run's name. [MODEL-1, MODEL-2, ...]")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="CHECKPOINT", help="Begin with the weights of a shipped checkpoint, a run or a path."
        ),
    ] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run that stopped.")
    ] = None,
    background: Annotated[
        bool, typer.Option("--background", help="Return at once; the run trains on as its own process.")
    ] = False,
) -> None:
    """Train a model, or go on training: `genlib train vae --preset quick --set beta=1 --minutes 10 --run my-vae`.

    Ctrl-C saves and stops; `genlib train --resume my-vae` goes on where it was. With --resume, --minutes, --steps and
    --patience set new limits; everything else stays as it was.
    """
    if resume is not None:
        fixed = {"MODEL": model, "--data": data, "--preset": preset, "--set": settings, "--seed": seed, "--run": run}
        fixed |= {"--threads": threads, "--device": device, "--from": start}
        given = [name for name, value in fixed.items() if value is not None]
        if given:
            raise GenlibError(f"--resume goes on with what the run {resume!r} was started with: leave {given[0]} out.")
        folder = _resumed(resume, minutes, steps, patience)
    elif model is None:
        raise GenlibError(
            "Say what to train: `genlib train MODEL`, or `genlib train --resume RUN`; `genlib models` lists the models."
        )
    else:
        options = _options(
            model, data or "mnist", preset, settings or [], minutes=minutes or 0.0, steps=steps or 0,
            patience=patience or 0, seed=seed or 0, threads=threads or default_threads(background),
            device=device or "auto", start=start,
        )  # fmt: skip
        folder = _created(run, options)
    if background:
        from genlib.training import job

        job.launch(folder)
        typer.echo(folder.name)
    else:
        _work(folder)


def _options(
    model: str, data: str, preset: str | None, settings: list[str], *, minutes: float, steps: int, patience: int,
    seed: int, threads: int, device: str, start: str | None,
) -> "RunConfig":  # fmt: skip
    """Everything checked that can be, so that a bad request leaves no run behind."""
    from genlib import data as datasets
    from genlib.models import catalogue
    from genlib.training import checkpoint
    from genlib.training.run import RunConfig

    kind = catalogue.get(model)
    shape = datasets.describe(data).shape
    config = configured(kind, preset, shape, settings)
    if config.shape != shape:
        raise GenlibError(
            f"--set: {data} has images of shape {shape} (channels, height, width), so it cannot be {config.shape}."
        )
    if datasets.find(data) is None:
        datasets.load(data)  # says how to get it
    checkpoint.pick_device(device)
    before = _start(kind, config, start) if start else {}
    words = ["genlib", "train", model, "--data", data, *(["--preset", preset] if preset else [])]
    words += [word for setting in settings for word in ("--set", setting)]
    limits = {"--minutes": f"{minutes:g}", "--steps": str(steps), "--patience": str(patience), "--seed": str(seed)}
    words += [word for name, value in limits.items() if value != "0" for word in (name, value)]
    words += ["--from", start] if start else []
    words += ["--threads", str(threads), *(["--device", device] if device != "auto" else [])]
    return RunConfig(
        model=model, config=config.model_dump(mode="json"), data=data, preset=preset, seed=seed, minutes=minutes,
        steps=steps, patience=patience, threads=threads, device=device, command=shlex.join(words), **before,
    )  # fmt: skip


def _start(kind: "type[Model]", config: "Config", name: str) -> dict[str, Any]:
    """What a `RunConfig` says of the checkpoint a run begins with, once its weights are known to fit."""
    from genlib.training import checkpoint

    path = checkpoint.find(name)
    header = checkpoint.read_header(path)
    if header.model != kind.name:
        raise GenlibError(f"--from {name}: it holds a {header.model}, not a {kind.name}.")
    theirs = checkpoint.load_file(path, "cpu")
    shapes, wanted = (
        {key: value.shape for key, value in m.state_dict().items()} for m in (theirs, kind.from_config(config))
    )
    if shapes != wanted:
        differ = [key for key, value in theirs.config.model_dump().items() if value != getattr(config, key)]
        raise GenlibError(
            f"--from {name}: its weights do not fit the network asked for; it was trained with other values of "
            f"{', '.join(differ)}: --set those that make the network as its own."
        )
    origin = header.origin
    return {
        "start": name, "seen_before": origin.images_seen, "seconds_before": origin.seconds,
        "earlier": [*origin.earlier, origin.command],
    }  # fmt: skip


def configured(kind: "type[Model]", preset: str | None, shape: tuple[int, int, int], settings: list[str]) -> "Config":
    """A checked config from ``FIELD=VALUE`` texts; numbers and switches are parsed by the config itself."""
    values: dict[str, Any] = {}
    for setting in settings:
        name, separator, text = setting.partition("=")
        if not separator or not name:
            raise GenlibError(f"--set {setting!r} is not FIELD=VALUE, as in --set learning_rate=0.001.")
        values[name] = _choice(kind, name, text)
    return kind.configure(preset, shape, **values)


def _choice(kind: "type[Model]", name: str, text: str) -> Any:
    """For a field with a few fixed values, the one that reads like ``text`` (it may be a number); else the text
    itself.
    """
    field = kind.Config.model_fields.get(name)
    options = get_args(field.annotation) if field is not None and get_origin(field.annotation) is Literal else ()
    return next((option for option in options if str(option) == text), text)


def default_threads(background: bool) -> int:
    """All cores for a run that is waited for; half of them where the machine has other things to do."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // 2) if background else cores


def _created(name: str | None, options: "RunConfig") -> "Run":
    from genlib.training.run import Run, fresh_name

    name = name or fresh_name(options.model)
    return Run.create(name, replace(options, command=f"{options.command} --run {name}"))


def _resumed(name: str, minutes: float | None, steps: int | None, patience: int | None) -> "Run":
    """The run, with its new limits."""
    from dataclasses import asdict

    from genlib.training import files
    from genlib.training.run import Run

    run = Run.open(name)
    if run.alive:
        raise GenlibError(f"The run {name!r} is at work already: stop it first.")
    limits = {"minutes": minutes, "steps": steps, "patience": patience}
    new: dict[str, Any] = {key: value for key, value in limits.items() if value is not None}
    if run.status.state == "finished" and not new:
        raise GenlibError(
            f"The run {name!r} has finished: give it a new limit, as in --minutes 20, or start a new run."
        )
    if new:
        files.write_json(run.path / "config.json", asdict(replace(run.config, **new)))
    return run


def _work(run: "Run") -> None:
    """Train in this process, with a progress bar."""
    from genlib.training import job
    from genlib.training.progress import progress_bar

    typer.echo(f"run {run.name} in {run.path}", err=True)
    with progress_bar() as show:
        status = job.work(run, wait=False, progress=show)
    if status.state in ("failed", "diverged"):
        raise GenlibError(status.error or f"The run {run.name!r} {status.state}.")
    more = f"; go on with `genlib train --resume {run.name}`" if status.state == "stopped" else ""
    typer.echo(
        f"{run.name}: {status.state} at step {status.step}, {status.seconds:.0f} s of training  {_terms(status)}{more}"
    )


def _terms(status: "Status") -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in status.terms.items())


def stop(run: Annotated[str, typer.Argument(help="The run's name.")]) -> None:
    """Ask a run to save and stop, and wait until it has."""
    from genlib.training.run import LIVE, Run

    folder = Run.open(run)
    if folder.status.state not in LIVE:
        raise GenlibError(f"The run {run!r} is not at work: it is {folder.status.state}.")
    folder.request_stop()
    until = time.monotonic() + STOP_WAIT
    while folder.alive and time.monotonic() < until:
        time.sleep(0.1)
    status = folder.status
    typer.echo(f"{run}: {status.state if not folder.alive else 'will stop soon'} at step {status.step}")


def runs(
    run: Annotated[str | None, typer.Argument(help="One run only.")] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the metrics into this folder for TensorBoard.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the training runs, newest first: what they train on, how far they are, their last figures."""
    from genlib.training.run import Run, all_runs

    chosen = [Run.open(run)] if run else all_runs()
    if tensorboard is not None:
        _export([one for one in chosen if run or one.metrics()], tensorboard)
    found = [_described(one) for one in chosen]
    if as_json:
        emit({"runs": found})
        return
    table(
        ("name", "model", "data", "preset", "state", "step", "of", "seconds", "last figures"),
        (
            (
                one["name"], one["model"], one["data"], one["preset"] or "-", one["state"], one["step"],
                one["total_steps"], f"{one['seconds']:.0f}",
                one["error"] or "  ".join(f"{name} {value:.4g}" for name, value in one["terms"].items()),
            )
            for one in found
        ),
    )  # fmt: skip


def _described(run: "Run") -> dict[str, Any]:
    """Everything about a run. A damaged folder is listed with what is wrong with it."""
    status = run.status
    wanted = ("state", "step", "total_steps", "epoch", "seconds", "seconds_left", "images_per_second", "terms", "error")
    found: dict[str, Any] = {"name": run.name, "model": "?", "data": "?", "preset": None}
    found |= {name: getattr(status, name) for name in wanted}
    try:
        config = run.config
    except GenlibError as error:
        return found | {"error": str(error), "config": {}, "path": run.path, "checkpoint": None, "command": ""}
    return found | {
        "model": config.model,
        "data": config.data,
        "preset": config.preset,
        "seed": config.seed,
        "config": config.config,
        "command": config.command,
        "path": run.path,
        "checkpoint": run.checkpoint if run.checkpoint.is_file() else None,
    }


def _export(chosen: "list[Run]", folder: Path) -> None:
    from genlib.training.tensorboard import export

    for run in chosen:
        typer.echo(f"{run.name}: {export(run, folder)}", err=True)


def publish(
    run: Annotated[str, typer.Argument(help="The run whose checkpoint to publish.")],
    name: Annotated[str, typer.Argument(help="MODEL-DATA, or MODEL-DATA-VARIANT.")],
    notes: Annotated[str, typer.Option(help="A sentence for the card.")] = "",
    replace_: Annotated[bool, typer.Option("--replace", help="Replace a shipped checkpoint of that name.")] = False,
    samples: Annotated[
        int, typer.Option(min=20, max=100_000, help="Pictures to draw for the measures of its samples.")
    ] = 10_000,
    no_samples: Annotated[bool, typer.Option("--no-samples", help="Leave those measures out.")] = False,
    as_json: Json = False,
) -> None:
    """Ship a run's checkpoint: score it and its samples on the test set, write NAME.safetensors and its card NAME.json."""
    from genlib.data import load as load_data
    from genlib.evaluation import evaluate, find_judge, quality
    from genlib.training.checkpoint import read_card
    from genlib.training.publish import publish as ship
    from genlib.training.run import Run

    folder = Run.open(run)
    judged = not no_samples
    if judged:
        try:
            find_judge(load_data(folder.config.data))
        except GenlibError as error:
            judged = False
            typer.echo(f"The card gets no measures of samples. {error}", err=True)
    with bar(f"scoring {run}") as progress:
        path = ship(
            folder,
            name,
            lambda model, data: evaluate(model, load_data(data), progress=progress).as_json(),
            quality=(lambda model, data: quality(model, load_data(data), samples=samples, progress=progress).as_json())
            if judged
            else None,
            notes=notes,
            replace=replace_,
        )
    if as_json:
        emit(read_card(name))
    else:
        typer.echo(path)
