"""The loop's own part of training: averages, clipping, schedules, limits, divergence, a full disk."""

import errno
import math
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from genlib import fit
from genlib.data import Dataset
from genlib.errors import GenlibError
from genlib.models import create
from genlib.training import files, loop, steps
from genlib.training.loop import Loop
from genlib.training.run import Run, RunConfig, all_runs

Toys = Callable[..., Any]
Options = Callable[..., RunConfig]


def path_of(target: Any, rate: float, n: int) -> list[torch.Tensor]:
    """The toy's weights after 0, 1, ..., n steps of gradient descent, in closed form: goal (1 - (1 - 2 rate)^t)."""
    return [target * (1 - (1 - 2 * rate) ** t) for t in range(n + 1)]


def test_the_average_is_the_closed_form(toy: Toys, toy_options: Options, dataset: Dataset):
    decay, n, rate = 0.6, 12, 0.05
    trained = Loop(toy(ema_decay=decay, learning_rate=rate), dataset, toy_options(steps=n))
    assert trained.fit().state == "finished"
    weights = path_of(trained.model.goal, rate, n)[1:]
    assert torch.allclose(trained.model.weights, weights[-1], atol=1e-5)
    # The first step is taken whole; then the average keeps a share d_t = min(decay, (1 + t) / (10 + t)) of itself, so
    # weight i enters with (1 - d_i) times the product of all later shares.
    shares = [0.0] + [min(decay, (1 + t) / (10 + t)) for t in range(1, n)]
    wanted = sum((1 - shares[i]) * math.prod(shares[i + 1 :]) * weights[i] for i in range(n))
    assert torch.allclose(trained.averaged_model().weights, wanted, atol=1e-5)
    assert sum((1 - shares[i]) * math.prod(shares[i + 1 :]) for i in range(n)) == pytest.approx(1)


def test_without_an_average_the_last_weights_are_kept(toy: Toys, toy_options: Options, dataset: Dataset):
    trained = Loop(toy(), dataset, toy_options(steps=3))
    trained.fit()
    assert trained.averaged_model() is trained.model


@pytest.mark.parametrize("clip", [0.0, 0.5, 100.0])
def test_clipping_limits_the_gradients_norm(clip: float, toy: Toys, toy_options: Options, dataset: Dataset):
    trained = Loop(toy(gradient_clip=clip, learning_rate=1.0), dataset, toy_options(steps=1))
    trained.fit()
    free = 2 * trained.model.goal.norm().item()  # the gradient at (0, 0)
    assert trained.model.weights.norm().item() == pytest.approx(min(free, clip or math.inf), rel=1e-4)


def test_the_cosine_schedule(toy: Toys, toy_options: Options, dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    n, rates = 8, []
    trained = Loop(toy(schedule="cosine", learning_rate=0.1), dataset, toy_options(steps=n))
    minimise = trained.optimizers.minimise

    def watched(name: str, loss: torch.Tensor) -> None:
        rates.append(trained.optimizers.named[name].param_groups[0]["lr"])
        minimise(name, loss)

    monkeypatch.setattr(trained.optimizers, "minimise", watched)
    trained.fit()
    assert rates == pytest.approx([0.1 * math.cos(math.pi * t / n / 2) ** 2 for t in range(n)])
    assert steps.learning_rate_factor("constant", 0.7) == 1.0


def test_every_image_is_seen_once_an_epoch_in_a_new_order(toy: Toys, toy_options: Options, dataset: Dataset):
    trained = Loop(toy(), dataset, toy_options())
    assert trained.per_epoch == 10
    assert trained.total_steps == 40

    def epoch(number: int) -> torch.Tensor:
        return torch.cat([trained.batch(step)[0] for step in range(number * 10, number * 10 + 10)])

    first, second = epoch(0), epoch(1)
    assert not torch.equal(first, second)
    for images in (first, second):
        rows = (images * 255).round().byte().flatten(1)
        assert torch.equal(rows.unique(dim=0), dataset.images("train").flatten(1).unique(dim=0))
    again = Loop(toy(), dataset, toy_options())
    assert torch.equal(again.batch(13)[0], second[24:32])
    other = Loop(toy(), dataset, toy_options(seed=1))
    assert not torch.equal(other.batch(13)[0], second[24:32])


def test_images_keep_their_labels(toy: Toys, toy_options: Options, dataset: Dataset):
    trained = Loop(toy(), dataset, toy_options())
    images, labels = trained.batch(3)
    known = {
        bytes(row.numpy()): label for row, label in zip(dataset.images("train"), dataset.labels("train"), strict=True)
    }
    assert [known[bytes((image * 255).round().byte().numpy())] for image in images] == labels.tolist()


def test_static_images_are_drawn_once(dataset: Dataset, toy_options: Options):
    trained = Loop(create("vae", data="mnist", binarisation="static", batch_size=8), dataset, toy_options())
    drawn = dataset.binary("train", "static")
    order = trained.batch(0)[0]
    assert set(order.unique().tolist()) == {0.0, 1.0}
    assert all(any(torch.equal(image, one) for one in drawn) for image in order)


# --- limits -----------------------------------------------------------------------------------------------------


class Clock:
    """``time.monotonic`` for the loop: it moves when the toy trains."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(loop.time, "monotonic", clock)
    return clock


def timed(toy: Any, clock: Clock, seconds: float) -> Any:
    """A toy whose every step takes ``seconds``, and whose validation takes ten times as long."""
    train, validate = toy.training_step, toy.validation_step

    def training_step(*args: Any) -> Any:
        clock.now += seconds
        return train(*args)

    def validation_step(*args: Any) -> Any:
        clock.now += 10 * seconds
        return validate(*args)

    toy.training_step, toy.validation_step = training_step, validation_step
    return toy


def test_the_time_limit_counts_training_only_and_over_resumes(
    toy: Toys, toy_options: Options, dataset: Dataset, clock: Clock
):
    options = toy_options(minutes=0.5)
    run = Run.create("timed", options)
    first = Loop(timed(toy(epochs=100), clock, 2.0), dataset, options, run)

    def stop(status: Any) -> None:
        if status.step >= 7:
            run.request_stop()

    first.progress = stop
    clock.now = 1000.0
    assert first.fit().state == "stopped"
    assert first.seconds == 2.0 * first.step < 30
    run.clear_stop()
    second = Loop(timed(toy(epochs=100), clock, 2.0), dataset, options, run)
    second.resume()
    assert second.seconds == first.seconds
    assert second.fit().state == "finished"
    assert second.step == 15  # 30 seconds of 2
    third = Loop(timed(toy(epochs=100), clock, 2.0), dataset, options, run)
    third.resume()
    third.fit()
    assert third.step == 15


def test_patience_ends_a_plateau_and_is_remembered(toy: Toys, toy_options: Options, dataset: Dataset):
    model = toy(learning_rate=0.5, epochs=1000)  # at the goal after one step: no validation after the first improves
    options = toy_options(patience=4)
    run = Run.create("patient", options)
    trained = Loop(model, dataset, options, run)
    assert trained.fit().state == "finished"
    losses = [row["loss"] for row in run.metrics() if row["split"] == "validation"]
    assert len(losses) == 5
    again = Loop(toy(learning_rate=0.5, epochs=1000), dataset, options, run)
    again.resume()
    assert again.fit().step == trained.step


def test_patience_is_refused_where_no_loss_falls(dataset: Dataset, toy_options: Options):
    with pytest.raises(GenlibError, match="gan has no loss that falls"):
        Loop(create("gan", data="mnist"), dataset, toy_options(patience=3))


def test_metrics_validation_and_sheets(
    toy: Toys, toy_options: Options, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("genlib.training.loop.SHOW_EVERY", 2)
    options = toy_options(steps=12)
    run = Run.create("told", options)
    Loop(toy(learning_rate=0.05), dataset, options, run).fit()
    rows = run.metrics()
    assert [row["step"] for row in rows if row["split"] == "train"] == list(range(1, 13))
    shown = [row["step"] for row in rows if row["split"] == "validation"]
    assert shown == [2, 4, 5, 6, 8, 10, 12]  # early steps, four times an epoch, the end
    assert [step for step, _ in run.samples()] == [0, *shown]
    goal = torch.tensor([3.0, -1.0])
    at = {step: (w - goal).square().sum().item() for step, w in enumerate(path_of(goal, 0.05, 12))}
    for row in rows:  # a training row tells the loss before its step, a validation row the loss after it
        assert row["loss"] == pytest.approx(at[row["step"] - (row["split"] == "train")], rel=1e-4)
        assert row["epoch"] == row["step"] / 10
    status = run.written_status()
    assert (status.state, status.step, status.total_steps, status.epoch) == ("finished", 12, 12, 1.2)


def test_distributions_are_kept_with_each_validation_small_and_finite(
    toy: Toys, toy_options: Options, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
):
    seen: list[int] = []

    def look(self: Any, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator) -> dict[str, Any]:
        assert not self.training
        seen.append(len(images))
        return {
            "mean": images.mean((1, 2, 3)),
            "odd": torch.tensor([math.nan, 1 / 3, math.inf]),
            "long": torch.ones(9999),
        }

    model = toy()
    monkeypatch.setattr(type(model), "distributions", {"mean": "", "odd": "", "long": ""})
    monkeypatch.setattr(type(model), "distribution_step", look)
    run = Run.create("seen", toy_options(steps=12))
    assert Loop(model, dataset, toy_options(steps=12), run).fit().state == "finished"
    validated = [row["step"] for row in run.metrics() if row["split"] == "validation"]
    found = run.distributions()
    assert [step for step, _ in found] == validated
    values = files.read_json(found[-1][1])
    count = min(256, dataset.size("validation"))
    assert seen == [count] * len(found)
    wanted = dataset.batch("validation", slice(0, count)).mean((1, 2, 3))
    assert values["mean"] == pytest.approx(wanted.tolist(), rel=1e-4)
    assert values["odd"] == [0.33333]
    assert len(values["long"]) == 512
    (run.path / "distributions" / "0000999.json").write_text("half")
    run.rewind(12)
    assert run.distributions() == found


def test_a_model_without_distributions_writes_none(toy: Toys, toy_options: Options, dataset: Dataset):
    run = Run.create("unseen", toy_options(steps=5))
    Loop(toy(), dataset, toy_options(steps=5), run).fit()
    assert run.distributions() == []
    assert not (run.path / "distributions").exists()


def test_logged_terms_are_means_over_the_steps_since_the_last_line(
    toy: Toys, toy_options: Options, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loop, "_logs", lambda step: step % 4 == 0)
    options = toy_options(steps=10)
    run = Run.create("means", options)
    Loop(toy(learning_rate=0.05), dataset, options, run).fit()
    goal = torch.tensor([3.0, -1.0])
    losses = [(w - goal).square().sum().item() for w in path_of(goal, 0.05, 12)]
    found = {row["step"]: row["loss"] for row in run.metrics() if row["split"] == "train"}
    wanted = {4: sum(losses[:4]) / 4, 8: sum(losses[4:8]) / 4, 10: sum(losses[8:10]) / 2}
    assert found == pytest.approx(wanted, rel=1e-4)


# --- what goes wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["the loss", "only the weights", "an error of torch's"])
def test_divergence_is_said_and_the_last_good_state_kept(
    what: str, toy: Toys, toy_options: Options, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    options = toy_options(steps=30)
    run = Run.create("diverging", options)
    model = toy()
    train = model.training_step
    seen = 0

    def training_step(images: Any, labels: Any, optimizers: Any) -> Any:
        nonlocal seen
        seen += 1
        terms = train(images, labels, optimizers)
        if seen == 9:
            if what == "the loss":
                return {"loss": torch.tensor(math.nan)}
            with torch.no_grad():
                model.weights[1] = math.inf
            if what == "an error of torch's":
                raise RuntimeError("probability tensor contains nan")
        return terms

    model.training_step = training_step
    status = Loop(model, dataset, options, run).fit()
    assert status.state == "diverged"
    assert status.error.startswith("Training diverged: ")
    assert "lower the learning rate" in status.error
    assert run.status.state == "diverged"
    weights = load_file(run.checkpoint)["weights"]
    assert weights.isfinite().all()
    assert torch.allclose(weights, path_of(model.goal, 0.1, 8)[8], atol=1e-5)
    again = Loop(toy(), dataset, options, run)
    again.resume()
    assert again.step == 8
    assert again.fit().state == "finished"


def test_other_errors_are_not_taken_for_divergence(toy: Toys, toy_options: Options, dataset: Dataset):
    model = toy()
    model.training_step = lambda *args: torch.zeros(2) @ torch.zeros(3)
    with pytest.raises(RuntimeError, match="size"):
        Loop(model, dataset, toy_options(steps=3)).fit()


@pytest.mark.parametrize("what", ["state.safetensors", "checkpoint.safetensors", "metrics.jsonl", "png"])
def test_a_full_disk_fails_the_run_and_loses_nothing(
    what: str, toy: Toys, toy_options: Options, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    options = toy_options(steps=20)
    run = Run.create("full", options)
    trained = Loop(toy(), dataset, options, run)
    opened = Path.open

    def full(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if trained.step >= 11 and what in path.name and ("w" in mode or "a" in mode):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return opened(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    monkeypatch.setattr("genlib.training.loop.SHOW_EVERY", 2)
    status = trained.fit()
    assert status.state == "failed"
    assert status.error.startswith("The disk is full, so ")
    assert "free some space" in status.error
    assert run.status.state == "failed"
    monkeypatch.undo()
    assert not list(run.path.rglob(".*.tmp"))
    kept = load_file(run.checkpoint)["weights"]
    again = Loop(toy(), dataset, options, run)
    again.resume()
    assert 10 <= again.step <= 12
    assert torch.allclose(kept, path_of(again.model.goal, 0.1, 20)[again.step], atol=0.2)
    assert again.fit().state == "finished"
    assert [row["step"] for row in run.metrics() if row["split"] == "train"] == list(range(1, 21))


def test_a_disk_that_fills_during_fsync_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "weights"
    files.write_bytes(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GenlibError, match=r"The disk is full, so .*weights could not be written"):
        files.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights"]


def test_data_of_another_shape_is_refused(dataset: Dataset, toy_options: Options):
    with pytest.raises(
        GenlibError, match=r"vae is set up for images of shape \(3, 32, 32\), but mnist has \(1, 28, 28\)"
    ):
        Loop(create("vae", data="cifar10"), dataset, toy_options())


def interrupt_and_wait() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(5)


def test_a_second_signal_is_not_swallowed():
    inherited = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell starts background programs with SIGINT ignored
    try:
        _interrupt_twice()
    finally:
        signal.signal(signal.SIGINT, inherited)


def _interrupt_twice():
    before = signal.getsignal(signal.SIGINT)
    with loop._interrupts() as flag:
        os.kill(os.getpid(), signal.SIGINT)
        assert flag.wait(5)
        with pytest.raises(KeyboardInterrupt):
            interrupt_and_wait()
    assert signal.getsignal(signal.SIGINT) is before


# --- genlib.fit -------------------------------------------------------------------------------------------------


def test_fit_trains_the_model_that_it_is_given():
    torch.manual_seed(11)
    before_random = torch.get_rng_state()
    model = create("gan", data="mnist", batch_size=8, generator_width=8, discriminator_width=8, ema_decay=0.5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    status = fit(model, steps=6, progress=False)
    assert (status.state, status.step) == ("finished", 6)
    assert not model.training
    assert any(not torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), before_random)  # the caller's own random state is left alone
    assert not all_runs()


def test_averaged_weights_come_with_whole_singular_vectors(monkeypatch: pytest.MonkeyPatch):
    """Not with averages of them, which are shorter than one: spectral norm would then make the weights too large."""
    model = create(
        "dcgan", data="mnist", batch_size=8, generator_width=8, discriminator_width=8, ema_decay=0.9, spectral_norm=True
    )
    originals = [value for name, value in model.named_parameters() if name.endswith("original") and len(value) > 1]
    step = model.training_step

    def jolted(*arguments):
        for value in originals:  # so far that the vectors turn, as they do over many steps of a large critic
            torch.nn.init.normal_(value)
        return step(*arguments)

    monkeypatch.setattr(model, "training_step", jolted)
    fit(model, steps=12, progress=False)
    vectors = [value for name, value in model.state_dict().items() if name.endswith(("._u", "._v"))]
    assert len(vectors) >= 2 * len(originals) > 0
    assert [float(vector.norm()) for vector in vectors] == pytest.approx([1] * len(vectors), abs=1e-4)


def test_fit_can_write_a_run_that_the_job_would_have_made(make_run: Callable[..., Run]):
    from genlib.training import job

    run = make_run("gan", "by-job", steps=6)
    job.work(run, wait=False)
    from genlib.models import catalogue

    kind = catalogue.get("gan")
    model = kind.from_config(kind.validate_config(run.config.config), 0)
    fit(model, steps=6, run="by-fit", progress=False)
    one, two = load_file(run.checkpoint), load_file(Run.open("by-fit").checkpoint)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert all(torch.equal(one[name], value) for name, value in model.state_dict().items())


def test_fits_mistakes_are_one_sentence_and_leave_no_run():
    with pytest.raises(GenlibError, match="no data set named"):
        fit(create("gan", data="mnist"), data="cats", run="wrong", progress=False)
    with pytest.raises(GenlibError, match="create the model with data='mnist'"):
        fit(create("gan", data="cifar10"), data="mnist", run="wrong", progress=False)
    assert not all_runs()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("model", ["vae", "gan", "pixelcnn", "draw"])
def test_two_steps_on_cuda(model: str, make_run: Callable[..., Run]):
    from genlib.training import job

    runs = [make_run(model, f"cuda-{i}", steps=2, device="cuda") for i in range(2)]
    assert [job.work(run, wait=False).state for run in runs] == ["finished", "finished"]
    one, two = (load_file(run.checkpoint) for run in runs)
    assert all(torch.equal(one[name], two[name]) for name in one)
