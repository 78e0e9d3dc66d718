"""The metrics as columns: the same as reading the whole file, whatever happens to the file meanwhile."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from genlib.training.history import History


def row(step: int, loss: float, split: str = "train", **more: float) -> str:
    return (
        json.dumps({"step": step, "epoch": step / 10, "seconds": step * 0.5, "split": split, "loss": loss, **more})
        + "\n"
    )


def test_appended_rows_appear_and_splits_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    history = History(path)
    assert history.refresh() == 0
    path.write_text(row(1, 5.0) + row(1, 6.0, "validation", kl=0.5))
    assert history.refresh() == 2
    with path.open("a") as file:
        file.write(row(2, 4.0))
    assert history.refresh() == 3
    steps, values = history.curve("train", "loss")
    assert (steps.tolist(), values.tolist()) == ([1, 2], [5.0, 4.0])
    assert history.curve("validation", "kl")[1].tolist() == [0.5]
    assert len(history.curve("train", "kl")[0]) == 0
    assert history.last("train", "loss") == 4.0
    assert history.last("train", "kl") is None


def test_a_half_written_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    history = History(path)
    whole = row(1, 5.0) + row(2, 4.0)
    for cut in range(1, len(whole) + 1):
        path.write_text(whole[:cut])
        assert history.refresh() == whole[:cut].count("\n")


def test_a_rewound_file_is_read_anew_even_if_it_has_grown_past_the_old_length(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    history = History(path)
    path.write_text("".join(row(step, 1.0) for step in range(1, 30)))
    history.refresh()
    path.write_text("".join(row(step, 2.0 if step > 20 else 1.0) for step in range(1, 60)))  # resumed from step 20
    assert history.refresh() == 59
    steps, values = history.curve("train", "loss")
    assert steps.tolist() == list(range(1, 60))
    assert values[20:].tolist() == [2.0] * 39
    path.unlink()
    assert history.refresh() == 0


def test_unchanged_files_cost_no_parsing(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(row(step, 1.0) for step in range(1, 500)))
    history = History(path)
    history.refresh()
    parsed = []
    monkeypatch.setattr(History, "_add", lambda self, line: parsed.append(line))
    history.refresh()
    assert parsed == []
    with path.open("a") as file:
        file.write(row(500, 1.0))
    history.refresh()
    assert len(parsed) == 1


def test_values_that_are_no_numbers_are_gaps_and_damaged_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(row(1, math.nan) + "{broken\n[1, 2]\n" + row(2, math.inf) + row(3, 1.5))
    history = History(path)
    assert history.refresh() == 3
    steps, values = history.curve("train", "loss")
    assert steps.tolist() == [1, 2, 3]
    assert np.isnan(values[:2]).all()
    assert values[2] == 1.5
