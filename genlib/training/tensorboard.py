"""A run's metrics for TensorBoard: `tensorboard --logdir FOLDER` then shows every term, training beside validation."""

from pathlib import Path

from genlib.errors import GenlibError
from genlib.training import files
from genlib.training.run import Run


def export(run: Run, folder: Path) -> Path:
    """Write the run's metrics as event files into ``folder``/NAME, in place of an earlier export; returns that folder.

    The scalars are named TERM/train and TERM/validation, so that both curves of a term stand together; their wall time is
    the run's start plus the seconds of training. A run without metrics, and a folder that cannot be written to, are a
    `GenlibError`.
    """
    from torch.utils.tensorboard import SummaryWriter  # takes seconds to load

    rows = run.metrics()
    if not rows:
        raise GenlibError(f"The run {run.name!r} has no metrics yet: let it train for a while first.")
    target = folder / run.name
    try:
        target.mkdir(parents=True, exist_ok=True)
        for old in target.glob("events.out.tfevents.*"):
            old.unlink()
        began = run.config.created
        with SummaryWriter(str(target)) as writer:
            for row in rows:
                time = began + row.get("seconds", 0.0)
                for term, value in row.items():
                    if term not in ("step", "epoch", "seconds", "split") and isinstance(value, int | float):
                        writer.add_scalar(f"{term}/{row['split']}", value, row["step"], walltime=time)
    except OSError as error:
        raise files.unwritable(target, error) from None
    return target
