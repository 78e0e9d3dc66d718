"""The metrics of a run as columns, kept up to date cheaply: only bytes that were appended since the last look are read.

A page asks every second, for every visitor. Parsing a long run's whole file each time would cost more than all the rest of the page.
"""

import json
import math
import threading
from collections import defaultdict
from pathlib import Path

import numpy as np

Curve = tuple[np.ndarray, np.ndarray]
"""Steps int [n] and values float [n]; a value that is no finite number is NaN."""

TAIL = 256  # bytes before the last place read that are compared, to see whether the file is still the same one


class History:
    """The columns of one ``metrics.jsonl``. Any number of threads may share one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._steps: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._values: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._read, self._tail = 0, b""
        self.rows = 0

    def refresh(self) -> int:
        """Read what was appended; returns the number of rows so far.

        A half-written last line waits for the next look. A file that was replaced (a resumed run drops what lies past its saved state)
        no longer has what was read last at its place, and is read anew.
        """
        with self._lock:
            try:
                with self.path.open("rb") as file:
                    file.seek(self._read - len(self._tail))
                    text = file.read()
                    if not text.startswith(self._tail):
                        self._forget()
                        file.seek(0)
                        text = file.read()
            except FileNotFoundError:
                self._forget()
                return 0
            text = text[len(self._tail) :]
            text = text[: text.rfind(b"\n") + 1]
            for line in text.splitlines():
                self._add(line)
            self._read += len(text)
            self._tail = (self._tail + text)[-TAIL:]
            return self.rows

    def _add(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            step, split = int(row.pop("step")), str(row.pop("split"))
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # a full disk cut this line short; whole ones follow once there is space again
        self.rows += 1
        for name, value in row.items():
            number = isinstance(value, int | float) and math.isfinite(value)
            self._steps[split, name].append(step)
            self._values[split, name].append(value if number else math.nan)

    def curve(self, split: str, term: str) -> Curve:
        """All points of a term of a split ("train" or "validation"); empty if there are none."""
        with self._lock:
            steps, values = self._steps.get((split, term), []), self._values.get((split, term), [])
            return np.array(steps, dtype=np.int64), np.array(values, dtype=float)

    def last(self, split: str, term: str) -> float | None:
        """The newest value of a term, None if there is none yet."""
        with self._lock:
            values = self._values.get((split, term))
            return values[-1] if values else None
