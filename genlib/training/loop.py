"""The one training loop: every family, in a job's process or in yours.

The loop owns what is not the model's: batches and their order, averaged weights, gradient clipping, schedules, early stop, validation,
sample sheets, saving and resuming. Everything that decides a weight depends on the step number and on saved state alone, so that a run
that was killed and resumed ends bit for bit where an uninterrupted one ends.
"""

import math
import platform
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

import genlib
from genlib import data as datasets
from genlib.errors import GenlibError
from genlib.models import catalogue
from genlib.models.contract import Model
from genlib.training import checkpoint, files, state
from genlib.training.run import Run, RunConfig, Status, fresh_name
from genlib.training.sheets import sheet_png

SAVE_EVERY = 30.0  # seconds between saved states
BEAT_EVERY = 1.0  # seconds between heartbeats
VALIDATION_IMAGES = 1000
SHEET_IMAGES = 36
EARLY_STEPS = (1, 5, 10, 20, 40, 70, 100, 150)  # sheets and validations of the first minutes, when most happens
Progress = Callable[[Status], None]


class Diverged(Exception):
    """The loss is no longer a number."""


class StepOptimizers:
    """`genlib.models.contract.Optimizers` for this loop: backward, all-reduce over processes, clip, schedule, step."""

    def __init__(self, optimizers: dict[str, torch.optim.Optimizer], fabric: Fabric, clip: float, generator: torch.Generator) -> None:
        self.named = optimizers
        self.generator = generator
        self._fabric = fabric
        self._clip = clip
        self._base = {name: [group["lr"] for group in optimizer.param_groups] for name, optimizer in optimizers.items()}

    def scale_learning_rate(self, factor: float) -> None:
        """Set every learning rate to ``factor`` times the model's own."""
        for name, optimizer in self.named.items():
            for group, base in zip(optimizer.param_groups, self._base[name], strict=True):
                group["lr"] = base * factor

    def minimise(self, name: str, loss: Tensor) -> None:
        optimizer = self.named[name]
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(loss.device.type, enabled=False):  # training_step runs under autocast; backward should not
            self._fabric.backward(loss)
        if self._fabric.world_size > 1:
            for p in parameters:
                if p.grad is not None:
                    self._fabric.all_reduce(p.grad, reduce_op="mean")
        if self._clip:
            torch.nn.utils.clip_grad_norm_(parameters, self._clip)
        optimizer.step()


def bfloat16_in_hardware(device: torch.device) -> bool:
    """Whether bfloat16 pays: CUDA from Ampere on, CPUs with matrix tiles (AMX)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()


def average(decay: float) -> Callable[[Any, Any, Any], None]:
    """Exponential moving average that forgets the first steps quickly: decay is at most (1 + t) / (10 + t) at step t."""

    @torch.no_grad()
    def update(kept: list[Tensor], current: list[Tensor], steps: Tensor | int) -> None:
        t = float(steps)
        weight = 1 - min(decay, (1 + t) / (10 + t))
        for old, new in zip(kept, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, weight)
            else:
                old.copy_(new)

    return update


class Loop:
    """Trains ``model`` on ``dataset``; with a ``run`` it also writes the run folder.

    ``minutes``, ``steps`` and the config's epochs bound the training (0: no limit); time counts over resumes.
    """

    def __init__(
        self, model: Model, dataset: datasets.Dataset, options: RunConfig, run: Run | None = None, progress: Progress | None = None
    ) -> None:
        if model.config.shape != dataset.info.shape:
            raise GenlibError(
                f"{model.name} is set up for images of shape {model.config.shape}, but {dataset.info.name} has {dataset.info.shape}: "
                f"create the model with data={dataset.info.name!r}."
            )
        self.options, self.run, self.progress = options, run, progress
        self.device = checkpoint.pick_device(options.device)
        self.config = model.config
        half = self.config.precision == "bf16" or (self.config.precision == "auto" and bfloat16_in_hardware(self.device))
        self.fabric = Fabric(accelerator=self.device.type, precision="bf16-mixed" if half else "32-true", devices="auto" if self.device.type == "cuda" else 1)
        self.fabric.launch()
        torch.manual_seed(options.seed)
        self.model = self.fabric.to_device(model)
        self.average = AveragedModel(model, multi_avg_fn=average(self.config.ema_decay), use_buffers=True) if self.config.ema_decay else None
        generator = torch.Generator(self.device).manual_seed(options.seed * 1009 + self.fabric.global_rank)
        self.optimizers = StepOptimizers(model.optimizers(), self.fabric, self.config.gradient_clip, generator)
        self.dataset = dataset
        static = getattr(self.config, "binarisation", None) == "static"
        self.images = (dataset.binary("train", "static") * 255).byte() if static else dataset.images("train")
        self.per_epoch = max(1, len(self.images) // self.config.batch_size)
        self.total_steps = min(self.config.epochs * self.per_epoch, options.steps or self.config.epochs * self.per_epoch)
        self.status = Status(total_steps=self.total_steps)
        self.step = 0
        self.seconds = 0.0
        self._sums: dict[str, Tensor] = {}
        self._counted = 0
        self._order: tuple[int, Tensor] = (-1, torch.empty(0))
        self._best, self._waited = math.inf, 0
        self._speed: list[tuple[float, int]] = []

    # --- what is trained on -----------------------------------------------------------------------------------------

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The images and labels of a step: a fixed shuffle for each epoch, each process its own share."""
        epoch, position = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            shuffle = torch.Generator().manual_seed(self.options.seed * 1_000_003 + epoch)
            self._order = epoch, torch.randperm(len(self.images), generator=shuffle)
        index = self._order[1][position * self.config.batch_size : (position + 1) * self.config.batch_size]
        index = index[self.fabric.global_rank :: self.fabric.world_size]
        images = self.images[index].to(self.device).float() / 255
        return images, self.dataset.labels("train")[index].to(self.device)

    # --- the loop ---------------------------------------------------------------------------------------------------

    def fit(self) -> Status:
        """Train until a limit, a stop request, a plateau or divergence; returns the last status."""
        self.status.state, self.status.pid = "running", _pid()
        try:
            with _interrupts() as interrupted:
                reason = self._fit(interrupted)
        except Diverged as error:
            return self._end("diverged", str(error))
        except GenlibError as error:  # a full disk, say: what was saved last stays
            return self._end("failed", str(error))
        return self._end(reason)

    def _fit(self, interrupted: threading.Event) -> Any:
        if self.step == 0:
            self._show(0)
        clock = saved = beat = time.monotonic()
        while self.step < self.total_steps:
            if interrupted.is_set() or (self.run is not None and self.run.stop_requested):
                self._save()
                return "stopped"
            self.model.train()
            progress = self.step / self.total_steps
            self.optimizers.scale_learning_rate(0.5 * (1 + math.cos(math.pi * progress)) if self.config.schedule == "cosine" else 1.0)
            with self.fabric.autocast():
                terms = self.model.training_step(*self.batch(self.step), self.optimizers)
            self.step += 1
            if self.average is not None:
                self.average.update_parameters(self.model)
            for name, value in terms.items():
                self._sums[name] = self._sums.get(name, torch.zeros((), device=self.device)) + value.detach()
            self._counted += 1
            now = time.monotonic()
            self.seconds, clock = self.seconds + now - clock, now
            logged = _logs(self.step) or self.step == self.total_steps
            if logged:
                self._log()
            self._show(self.step)
            clock = time.monotonic()  # validation and sheets are not training time
            if now - beat >= BEAT_EVERY or self.step <= 3:
                beat = now
                self._beat()
            if logged and clock - saved >= SAVE_EVERY:
                self._save()
                saved = clock = time.monotonic()
            if self.options.minutes and self.seconds >= 60 * self.options.minutes:
                self._log()
                break
            if self.options.patience and self._waited >= self.options.patience:
                break
        self._save()
        return "finished"

    def _log(self) -> None:
        """Write the mean of every term since the last logged step."""
        if not self._counted:
            return
        terms = {name: float(value) / self._counted for name, value in self._sums.items()}
        if not all(map(math.isfinite, terms.values())):
            bad = next(name for name, value in terms.items() if not math.isfinite(value))
            raise Diverged(f"Training diverged: {bad} is no longer a number at step {self.step}; lower the learning rate or clip the gradients.")
        self._sums, self._counted = {}, 0
        self.status.terms = terms
        self._write("train", terms)

    def _show(self, step: int) -> None:
        """Validate and draw the sample sheet, often at first and then four times an epoch."""
        if self.fabric.global_rank or not (step == 0 or step in EARLY_STEPS or step % max(1, self.per_epoch // 4) == 0 or step == self.total_steps):
            return
        model = self.averaged_model()
        model.eval()
        with torch.inference_mode():
            if step:
                terms = validate(model, self.dataset, self.config.batch_size, autocast=self.fabric.autocast)
                self._write("validation", terms)
                watched = terms[next(iter(terms))]
                self._best, self._waited = (watched, 0) if watched < self._best else (self._best, self._waited + 1)
            if self.run is not None:
                sheet = sheet_png(model.sample(SHEET_IMAGES, seed=0))
                files.write_bytes(self.run.path / "samples" / f"{step:07d}.png", sheet)

    def averaged_model(self) -> Model:
        """The model whose weights are kept: averaged, where the config says so."""
        return self.average.module if self.average is not None else self.model  # type: ignore[return-value]

    # --- telling the world ------------------------------------------------------------------------------------------

    def _write(self, split: str, terms: dict[str, float]) -> None:
        row = {"step": self.step, "epoch": round(self.step / self.per_epoch, 4), "seconds": round(self.seconds, 2), "split": split, **terms}
        if self.run is not None and self.fabric.global_rank == 0:
            self.run.append_metrics(row)

    def _beat(self) -> None:
        status = self.status
        status.heartbeat, status.step, status.seconds = time.time(), self.step, self.seconds
        status.epoch = self.step / self.per_epoch
        self._speed = [*self._speed[-30:], (self.seconds, self.step)]
        (t0, s0), (t1, s1) = self._speed[0], self._speed[-1]
        rate = (s1 - s0) / (t1 - t0) if t1 > t0 else self.step / max(self.seconds, 1e-9)
        status.images_per_second = rate * self.config.batch_size
        left = (self.total_steps - self.step) / rate if rate else None
        if self.options.minutes and left is not None:
            left = min(left, 60 * self.options.minutes - self.seconds)
        status.seconds_left = left
        if self.run is not None and self.fabric.global_rank == 0:
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

    # --- saving and resuming ----------------------------------------------------------------------------------------

    def origin(self) -> checkpoint.Origin:
        """Where the weights come from, for the checkpoint's metadata."""
        return checkpoint.Origin(
            data=self.dataset.info.name, seed=self.options.seed, preset=self.options.preset, step=self.step,
            images_seen=self.step * self.config.batch_size, seconds=round(self.seconds, 1), machine=machine(), command=self.options.command,
            versions={"genlib": genlib.__version__, "torch": torch.__version__, "python": platform.python_version()},
        )  # fmt: skip

    def _save(self) -> None:
        if self.run is None or self.fabric.global_rank:
            return
        counters = {"step": self.step, "seconds": self.seconds, "best": self._best, "waited": self._waited, "counted": self._counted}
        state.save(self.run.state_file, self.model, self.average, self.optimizers, self._sums, counters)
        checkpoint.save(self.run.checkpoint, self.model, self.averaged_model().state_dict(), self.origin())

    def resume(self) -> None:
        """Go back to the run's saved state; a run that was killed before its first save starts anew."""
        assert self.run is not None
        if not self.run.state_file.exists():
            self.run.rewind(-1)
            return
        counters, self._sums = state.load(self.run.state_file, self.model, self.average, self.optimizers, self.device)
        self.step, self._counted, self._waited = int(counters["step"]), int(counters["counted"]), int(counters["waited"])
        self.seconds, self._best = counters["seconds"], counters["best"]
        self.run.rewind(self.step)


def validate(
    model: Model, dataset: datasets.Dataset, batch_size: int, *, limit: int = VALIDATION_IMAGES, autocast: Callable[[], Any] | None = None
) -> dict[str, float]:
    """Mean of the model's validation terms over the first images of the validation split, with fixed randomness."""
    generator = model.generator(0)
    sums: dict[str, float] = defaultdict(float)
    n = min(limit, dataset.size("validation"))
    for start in range(0, n, batch_size):
        rows = slice(start, min(start + batch_size, n))
        images = dataset.batch("validation", rows).to(model.device)
        labels = dataset.labels("validation")[rows].to(model.device)
        if autocast is None:
            terms = model.validation_step(images, labels, generator)
        else:
            with autocast():
                terms = model.validation_step(images, labels, generator)
        for name, value in terms.items():
            sums[name] += float(value) * len(images)
    return {name: value / n for name, value in sums.items()}


def start(run: Run, progress: Progress | None = None) -> Status:
    """Train, or go on training, the run in this process. The caller holds the run's lock."""
    options = run.config
    kind = catalogue.get(options.model)
    torch.set_num_threads(options.threads)
    model = kind.from_config(kind.validate_config(options.config), options.seed)
    loop = Loop(model, datasets.load(options.data), options, run, progress)
    loop.status.queued_at = run.written_status().queued_at
    loop.resume()
    run.clear_stop()
    return loop.fit()


def fit(
    model: Model, data: str = "mnist", minutes: float = 0.0, *, steps: int = 0, seed: int = 0, run: str | None = None,
    progress: bool = True,
) -> Status:  # fmt: skip
    """Train ``model`` in this process, on the device it would be given by "auto", with a progress bar; the averaged weights are put into
    ``model`` at the end.

    ``minutes`` and ``steps`` bound the training besides the config's epochs (0: no limit). With ``run`` a run folder of that name is
    written. Returns the last `Status`. Ctrl-C stops cleanly. Raises `GenlibError` for data of another shape or a taken run name.
    """
    from genlib.training.progress import progress_bar

    options = RunConfig(
        model=model.name, config=model.config.model_dump(mode="json"), data=data, seed=seed, minutes=minutes, steps=steps,
        threads=torch.get_num_threads(), command=f"genlib.fit({model.name!r}, data={data!r}, minutes={minutes}, steps={steps})",
    )  # fmt: skip
    folder = Run.create(run, options) if run else None
    with progress_bar(enabled=progress) as report:
        loop = Loop(model, datasets.load(data), options, folder, report)
        if folder is None:
            status = loop.fit()
        else:
            with folder.lock:
                status = loop.fit()
    if status.state in ("failed", "diverged"):
        raise GenlibError(status.error)
    model.load_state_dict(loop.averaged_model().state_dict())
    model.eval()
    return status


def machine() -> str:
    """This machine in a few words, for cards: processor, cores, accelerator."""
    import os

    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            name = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), name)
    except OSError:
        pass  # not Linux: the platform's own name will do
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores{gpu}"


def _logs(step: int) -> bool:
    return step <= 100 or (step <= 2000 and step % 5 == 0) or step % 25 == 0


def _pid() -> int:
    import os

    return os.getpid()


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into a flag for the time of training, so that the step under way ends and is saved."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # signals belong to the main thread
        return
    old = {number: signal.signal(number, lambda *_: event.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
