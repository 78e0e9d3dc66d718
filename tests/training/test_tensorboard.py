"""TensorBoard reads back what the run wrote."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from genlib.errors import GenlibError
from genlib.training import job
from genlib.training.run import Run
from genlib.training.tensorboard import export


def test_tensorboard_reads_every_row(make_run: Callable[..., Run], tmp_path: Path):
    run = make_run("gan", steps=8)
    job.work(run, wait=False)
    export(run, tmp_path / "logs")
    folder = export(run, tmp_path / "logs")  # a second export replaces the first
    assert folder == tmp_path / "logs" / run.name
    events = EventAccumulator(str(folder))
    events.Reload()
    terms = [term for term in run.metrics()[0] if term not in ("step", "epoch", "seconds", "split")]
    assert set(events.Tags()["scalars"]) == {f"{term}/{split}" for term in terms for split in ("train", "validation")}
    for split in ("train", "validation"):
        rows = [row for row in run.metrics() if row["split"] == split]
        for term in terms:
            scalars = events.Scalars(f"{term}/{split}")
            assert [scalar.step for scalar in scalars] == [row["step"] for row in rows]
            assert [scalar.value for scalar in scalars] == pytest.approx([row[term] for row in rows], rel=1e-6)
            began = run.config.created
            assert [scalar.wall_time - began for scalar in scalars] == pytest.approx([row["seconds"] for row in rows])


def test_what_cannot_be_exported_is_one_sentence(make_run: Callable[..., Run], tmp_path: Path):
    run = make_run("gan")
    with pytest.raises(GenlibError, match="has no metrics yet"):
        export(run, tmp_path / "logs")
    run.append_metrics({"step": 1, "epoch": 0.1, "seconds": 0.5, "split": "train", "loss": 1.0})
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(GenlibError, match="choose a folder you may write to"):
        export(run, tmp_path / "file")
