"""A job's process kept warm: PyTorch is loaded before anybody asks for a run.

Loading PyTorch and the training loop takes three to five seconds on two cores, and a class that pressed Start looks at an empty plot for
as long. So a server may keep one process that has loaded everything and waits for a run's name on its standard input. Nothing depends on
it: where it is missing or does not fit, `job.launch` starts a fresh process. Once it has a name it is a job like any other: its own
session, its own log, and no tie to the server.
"""

import os
import subprocess
import sys
import threading

from genlib.training import files, job
from genlib.training.run import Run

IDLE = 900.0  # seconds without a run after which a waiting process ends, so that a class that went home costs no memory


class Standby:
    """At most one waiting process, with ``threads`` CPU threads. Safe to share between threads."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """See that a process is waiting, or about to. Returns at once."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "genlib.training.standby"],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    start_new_session=True, env={**os.environ, **job.thread_environment(self.threads)},
                )  # fmt: skip

    def launch(self, run: Run) -> None:
        """Start, or resume, the run like `job.launch`, in the waiting process if there is one.

        A run that must queue gets a fresh process, which loads PyTorch only when its turn comes.
        """
        if run.config.threads != self.threads or job.position(run) >= job.slots() or not self._hand_over(run):
            job.launch(run)

    def _hand_over(self, run: Run) -> bool:
        with self._lock:
            process, self._process = self._process, None
        if process is None or process.poll() is not None or process.stdin is None:
            return False
        job.announce(run)
        try:
            run.log_file.touch()
        except OSError as error:
            raise files.unwritable(run.log_file, error) from None
        # Whoever started a process must hear of its end, or it stays in the process table.
        threading.Thread(target=process.wait, name=f"end of {run.name}", daemon=True).start()
        try:
            process.stdin.write(f"{run.name}\n".encode())
            process.stdin.close()
        except OSError:  # it ended in this very moment
            return False
        return True

    def dismiss(self) -> None:
        """End the waiting process, if there is one: it reads the end of its input and leaves."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.wait()


def main() -> int:
    """The waiting process: load, wait for a name, be that run's job."""
    names: list[str] = []
    reader = threading.Thread(target=lambda: names.append(sys.stdin.readline().strip()), daemon=True)
    reader.start()

    from genlib import data
    from genlib.training import loop  # noqa: F401 (loading it is the purpose)

    data.load("mnist")
    reader.join(IDLE)
    if not names or not names[0]:
        return 0
    run = Run.open(names[0])
    with run.log_file.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    return job.finish(run)


if __name__ == "__main__":
    raise SystemExit(main())
