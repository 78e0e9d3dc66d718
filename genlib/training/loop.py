"""The one training loop: every family, in a job's process or in yours.

The loop owns what is not the model's: batches and their order, averaged weights, gradient clipping, schedules, early
stop, validation, sample sheets, saving and resuming. Everything that decides a weight depends on the step number and on
saved state alone, so that a run that was killed and resumed ends bit for bit where an uninterrupted one ends.

Several processes (started by torchrun) each take their share of every batch and average their gradients. Process 0
alone looks at the clock and at stop requests, validates and writes; the others follow its verdict before each step.
"""

import copy
import math
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

import genlib
from genlib import data as datasets
from genlib.errors import GenlibError
from genlib.layers.penalty import copy_singular_vectors
from genlib.machine import keep_freed_memory, machine
from genlib.models import catalogue
from genlib.models.contract import Model
from genlib.training import checkpoint, devices, files, state
from genlib.training.run import Run, RunConfig, Status
from genlib.training.sheets import sheet_png
from genlib.training.steps import StepOptimizers, average, epoch_order, learning_rate_factor, step_seed
from genlib.training.validation import distributions, validate

SAVE_EVERY = 30.0  # seconds between saved states
BEAT_EVERY = 1.0  # seconds between heartbeats
SHEET_IMAGES = 36
EARLY_STEPS = (5, 10, 20, 40, 70, 100, 150)  # sheets and validations of the first minutes, when most happens
SHOW_EVERY = 100  # steps between later ones, at least: a quarter of an epoch of a small data set is over in a moment
GO, SAVE, FINISH, STOP = range(4)  # what process 0 decides before a step; the largest verdict counts
Progress = Callable[[Status], None]


class Diverged(Exception):
    """The loss, or a weight, is no longer a number."""


class Loop:
    """Trains ``model`` on ``dataset``; with a ``run`` it also writes the run folder.

    ``minutes``, ``steps`` and the config's epochs bound the training (0: no limit); time counts over resumes.
    """

    def __init__(
        self,
        model: Model,
        dataset: datasets.Dataset,
        options: RunConfig,
        run: Run | None = None,
        progress: Progress | None = None,
    ) -> None:
        if model.config.shape != dataset.info.shape:
            raise GenlibError(
                f"{model.name} is set up for images of shape {model.config.shape}, but {dataset.info.name} has "
                f"{dataset.info.shape}: create the model with data={dataset.info.name!r}."
            )
        if options.patience and model.family == "adversarial":
            raise GenlibError(f"{model.name} has no loss that falls while it gets better: leave patience out.")
        keep_freed_memory()
        self.options, self.run, self.progress = options, run, progress
        self.config = model.config
        picked = checkpoint.pick_device(options.device)
        self.fabric = devices.launch(picked, self.config.precision, self.config.batch_size)
        self.device = self.fabric.device
        self.chief = self.fabric.global_rank == 0
        self.fabric.to_device(model)
        self.model = model
        self.average = (
            AveragedModel(model, multi_avg_fn=average(self.config.ema_decay), use_buffers=True)
            if self.config.ema_decay
            else None
        )
        stream = torch.Generator(self.device)
        self.optimizers = StepOptimizers(model.optimizers(), self.fabric, self.config.gradient_clip, stream)
        self.dataset = dataset
        static = getattr(self.config, "binarisation", None) == "static" and getattr(self.config, "levels", 2) == 2
        self.images = (dataset.binary("train", "static") * 255).byte() if static else dataset.images("train")
        self.per_epoch = max(1, len(self.images) // self.config.batch_size)
        self.total_steps = self.config.epochs * self.per_epoch
        if options.steps:
            self.total_steps = min(self.total_steps, options.steps)
        self.status = Status(total_steps=self.total_steps)
        self.step = 0
        self.seconds = 0.0
        self._sums: dict[str, Tensor] = {}
        self._counted = 0
        self._order: tuple[int, Tensor] = (-1, torch.empty(0))
        self._best, self._waited = math.inf, 0
        self._shown = -1
        self._saved = 0.0
        self._speed: list[tuple[float, int]] = []

    # --- what is trained on -------------------------------------------------------------------------------------

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The images and labels of a step: a fixed shuffle for each epoch, each process its own share."""
        epoch, position = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            shuffle = torch.Generator().manual_seed(self.options.seed * 1_000_003 + epoch)
            self._order = epoch, epoch_order(self.dataset.labels("train"), self.model.together, shuffle)
        index = self._order[1][position * self.config.batch_size : (position + 1) * self.config.batch_size]
        rank, processes = self.fabric.global_rank, self.fabric.world_size
        # images that belong together stay together: then a process's share lies in one piece
        index = index[rank::processes] if self.model.together == 1 else index.chunk(processes)[rank]
        images = self.images[index].to(self.device).float() / 255
        return images, self.dataset.labels("train")[index].to(self.device)

    # --- the loop -----------------------------------------------------------------------------------------------

    def fit(self) -> Status:
        """Train until a limit, a stop request, a plateau or divergence; returns the last status."""
        self.status.state, self.status.pid = "running", os.getpid()
        try:
            with _interrupts() as interrupted:
                reason = self._fit(interrupted)
        except Diverged as error:
            return self._end("diverged", str(error))
        except GenlibError as error:  # a full disk, say: what was saved last stays
            return self._end("failed", str(error))
        return self._end(reason)

    def _fit(self, interrupted: threading.Event) -> Any:
        self._beat()
        # The first loss should be on the screen before the first sheet: a copy keeps the untrained weights till then.
        untrained = copy.deepcopy(self.model) if self.step == 0 and self.run is not None and self.chief else None
        self._saved = beat = time.monotonic()
        while True:
            verdict = self._agree(self._verdict(interrupted))
            if verdict == FINISH:
                self._log()
                self._show()
            if verdict != GO:
                self._save()
            if verdict in (FINISH, STOP):
                return "finished" if verdict == FINISH else "stopped"
            started = time.monotonic()
            self._step()
            self.seconds += time.monotonic() - started  # validation, sheets and saving are not training time
            if _logs(self.step) or self.step == self.total_steps:
                self._log()
            if untrained is not None:
                self._sheet(untrained, 0)
                untrained = None
            if self.step in EARLY_STEPS or self.step % max(SHOW_EVERY, self.per_epoch // 4) == 0:
                self._show()
            if self.step <= 3 or time.monotonic() - beat >= BEAT_EVERY:
                beat = time.monotonic()
                self._beat()

    def _verdict(self, interrupted: threading.Event) -> int:
        """What this process wants before the next step."""
        if interrupted.is_set():
            return STOP
        if not self.chief:
            return GO
        options = self.options
        if self.run is not None and self.run.stop_requested:
            return STOP
        if self.step >= self.total_steps or (options.patience and self._waited >= options.patience):
            return FINISH
        if options.minutes and self.seconds >= 60 * options.minutes:
            return FINISH
        return SAVE if time.monotonic() - self._saved >= SAVE_EVERY else GO

    def _agree(self, verdict: int) -> int:
        """The largest verdict of all processes."""
        if self.fabric.world_size == 1:
            return verdict
        wanted = torch.tensor(float(verdict), device=self.device)
        return int(self.fabric.all_reduce(wanted, reduce_op=torch.distributed.ReduceOp.MAX))  # type: ignore[arg-type]

    def _step(self) -> None:
        """One training step, with everything that belongs to it."""
        seed = step_seed(self.options.seed, self.step, self.fabric.global_rank)
        self.optimizers.generator.manual_seed(seed)
        torch.default_generator.manual_seed(seed)  # for layers that draw from the process's own stream, as dropout does
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        self.optimizers.scale_learning_rate(learning_rate_factor(self.config.schedule, self.step / self.total_steps))
        self.model.train()
        try:
            with self.fabric.autocast():
                terms = self.model.training_step(*self.batch(self.step), self.optimizers)
        except (RuntimeError, ValueError):
            self._check_weights()  # what broke in the middle of a step may be weights that are no numbers any more
            raise
        self.step += 1
        if self.average is not None:
            self.average.update_parameters(self.model)
            copy_singular_vectors(self.model, self.average.module)
        zero = torch.zeros((), device=self.device)
        self._sums = {name: self._sums.get(name, zero) + value.detach() for name, value in terms.items()}
        self._counted += 1

    def _log(self) -> None:
        """Write the mean of every term since the last logged step."""
        if not self._counted:
            return
        means = torch.stack(list(self._sums.values())) / self._counted
        if self.fabric.world_size > 1:
            means = self.fabric.all_reduce(means, reduce_op="mean")  # type: ignore[assignment]
        terms = dict(zip(self._sums, means.tolist(), strict=True))
        self._check_terms(terms)
        self._sums, self._counted = {}, 0
        self.status.terms = terms
        self._write("train", terms)

    def _show(self) -> None:
        """Validate and draw the sample sheet, once for a step."""
        if not self.chief or self._shown == self.step:
            return
        self._shown = self.step
        self._check_weights()
        model = self.averaged_model()
        model.eval()
        with torch.inference_mode():
            terms = validate(model, self.dataset, self.config.batch_size, autocast=self.fabric.autocast)
            if self.run is not None:
                seen = distributions(model, self.dataset, autocast=self.fabric.autocast)
        self._check_terms(terms)
        self._write("validation", terms)
        watched = terms[next(iter(terms))]
        self._best, self._waited = (watched, 0) if watched < self._best else (self._best, self._waited + 1)
        if self.run is not None:
            if seen:
                self.run.write_distributions(self.step, seen)
            self._sheet(model, self.step)

    def _sheet(self, model: Model, step: int) -> None:
        assert self.run is not None
        model.eval()
        with torch.inference_mode():
            sheet = sheet_png(model.sample(SHEET_IMAGES, seed=0))
        files.write_bytes(self.run.path / "samples" / f"{step:07d}.png", sheet)

    def averaged_model(self) -> Model:
        """The model whose weights are kept: averaged, where the config says so."""
        return self.average.module if self.average is not None else self.model  # type: ignore[return-value]

    def _check_terms(self, terms: dict[str, float]) -> None:
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        if bad:
            raise self._diverged(f"{bad[0]} is no longer a number")

    def _check_weights(self) -> None:
        if not all(bool(p.isfinite().all()) for p in self.model.parameters()):
            raise self._diverged("the weights are no longer numbers")

    def _diverged(self, what: str) -> Diverged:
        return Diverged(
            f"Training diverged: {what} at step {self.step}; lower the learning rate or clip the gradients."
        )

    # --- telling the world --------------------------------------------------------------------------------------

    def _write(self, split: str, terms: dict[str, float]) -> None:
        epoch = round(self.step / self.per_epoch, 4)
        row = {"step": self.step, "epoch": epoch, "seconds": round(self.seconds, 2), "split": split, **terms}
        if self.run is not None and self.chief:
            self.run.append_metrics(row)

    def _beat(self) -> None:
        status = self.status
        status.heartbeat, status.step, status.seconds = time.time(), self.step, self.seconds
        status.epoch = self.step / self.per_epoch
        self._speed = [*self._speed[-30:], (self.seconds, self.step)]
        (t0, s0), (t1, s1) = self._speed[0], self._speed[-1]
        rate = (s1 - s0) / (t1 - t0) if t1 > t0 else 0.0
        status.images_per_second = rate * self.config.batch_size
        left = (self.total_steps - self.step) / rate if rate else None
        if self.options.minutes and left is not None:
            left = min(left, max(0.0, 60 * self.options.minutes - self.seconds))
        status.seconds_left = left
        if not self.chief:
            return
        if self.run is not None:
            self.run.write_status(status)
        if self.progress is not None:
            self.progress(status)

    def _end(self, reason: Any, error: str = "") -> Status:
        self.status.state, self.status.error = reason, error
        try:
            self._beat()
        except GenlibError as full:  # the status cannot be written; the caller still hears of it
            self.status.error = error or str(full)
        return self.status

    # --- saving and resuming ------------------------------------------------------------------------------------

    def origin(self) -> checkpoint.Origin:
        """Where the weights come from, for the checkpoint's metadata."""
        return checkpoint.Origin(
            data=self.dataset.info.name,
            seed=self.options.seed,
            preset=self.options.preset,
            step=self.step,
            images_seen=self.options.seen_before + self.step * self.config.batch_size,
            seconds=round(self.options.seconds_before + self.seconds, 1),
            machine=machine(),
            command=self.options.command,
            earlier=self.options.earlier,
            versions={
                "genlib": genlib.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        )

    def _save(self) -> None:
        if self.run is None or not self.chief:
            return
        self._check_weights()  # the last good state is worth more than the newest
        counters = {
            "step": self.step,
            "seconds": self.seconds,
            "best": self._best,
            "waited": self._waited,
            "counted": self._counted,
        }
        state.save(self.run.state_file, self.model, self.average, self.optimizers, self._sums, counters)
        checkpoint.save(self.run.checkpoint, self.model, self.averaged_model().state_dict(), self.origin())
        self._saved = time.monotonic()

    def resume(self) -> None:
        """Go back to the run's saved state; a run that was killed before its first save starts anew."""
        assert self.run is not None
        if not self.run.state_file.exists():
            if self.chief:
                self.run.rewind(-1)
            return
        counters, self._sums = state.load(self.run.state_file, self.model, self.average, self.optimizers, self.device)
        self.step, self._counted, self._waited = (int(counters[key]) for key in ("step", "counted", "waited"))
        self.seconds, self._best = counters["seconds"], counters["best"]
        if self.chief:
            self.run.rewind(self.step)
            self._shown = max((row["step"] for row in self.run.metrics() if row["split"] == "validation"), default=-1)


def start(run: Run, progress: Progress | None = None) -> Status:
    """Train, or go on training, the run in this process. The caller holds the run's lock."""
    options = run.config
    kind = catalogue.get(options.model)
    torch.set_num_threads(options.threads)
    model = kind.from_config(kind.validate_config(options.config), options.seed)
    if options.start and not run.state_file.exists():
        checkpoint.read_weights(checkpoint.find(options.start), model)
    loop = Loop(model, datasets.load(options.data), options, run, progress)
    loop.status.queued_at = run.written_status().queued_at
    loop.resume()
    return loop.fit()


def fit(
    model: Model,
    data: str = "mnist",
    minutes: float = 0.0,
    *,
    steps: int = 0,
    seed: int = 0,
    run: str | None = None,
    progress: bool = True,
) -> Status:
    """Train ``model`` in this process, on the device it would be given by "auto", with a progress bar; the averaged
    weights are put into ``model`` at the end.

    ``minutes`` and ``steps`` bound the training besides the config's epochs (0: no limit). With ``run`` a run folder of
    that name is written. Returns the last `Status`. Ctrl-C stops cleanly. Raises `GenlibError` for data of another
    shape or a taken run name.
    """
    from genlib.training.progress import progress_bar

    options = RunConfig(
        model=model.name,
        config=model.config.model_dump(mode="json"),
        data=data,
        seed=seed,
        minutes=minutes,
        steps=steps,
        threads=torch.get_num_threads(),
        command=f"genlib.fit({model.name!r}, data={data!r}, minutes={minutes}, steps={steps})",
    )
    with progress_bar(enabled=progress) as report, torch.random.fork_rng(devices=[]):
        loop = Loop(model, datasets.load(data), options, None, report)
        if run is None or not loop.chief:
            status = loop.fit()
        else:
            loop.run = Run.create(run, options)
            with loop.run.hold():
                status = loop.fit()
    if status.state in ("failed", "diverged"):
        raise GenlibError(status.error)
    model.load_state_dict(loop.averaged_model().state_dict())
    model.eval()
    return status


def _logs(step: int) -> bool:
    return step <= 100 or (step <= 2000 and step % 5 == 0) or step % 25 == 0


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into a flag for the time of training, so that the step under way ends and is saved."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # signals belong to the main thread
        return
    old: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in old.items():
            signal.signal(number, handler)

    def note(*_: Any) -> None:
        event.set()
        restore()  # whoever asks twice is in a hurry

    for number in (signal.SIGINT, signal.SIGTERM):
        old[number] = signal.signal(number, note)
    try:
        yield event
    finally:
        restore()
