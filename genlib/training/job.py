"""A training job as its own process, and the queue.

``python -m genlib.training.job NAME`` waits for its turn, trains, and exits. There is no server that must stay alive: every queued job is a
small process that looks at the run folders and goes ahead when fewer than ``$GENLIB_JOBS`` (default 1) jobs are before it. So a page
reload, a crash of the app or a closed laptop never costs a run.
"""

import os
import subprocess
import sys
import time

from filelock import Timeout

from genlib.errors import GenlibError
from genlib.training.run import LIVE, Run, Status, all_runs

POLL = 0.5  # seconds between looks at the queue


def slots() -> int:
    """How many jobs may train at once."""
    return max(1, int(os.environ.get("GENLIB_JOBS", "1")))


def position(run: Run) -> int:
    """How many live jobs are ahead of this one (the first ``slots()`` of all train)."""
    own = run.written_status().queued_at
    ahead = 0
    for other in all_runs():
        if other.name != run.name:
            status = other.status
            ahead += status.state in LIVE and (status.state != "queued" or (status.queued_at, other.name) < (own, run.name))
    return ahead


def launch(run: Run, *, nice: int = 10) -> None:
    """Start, or resume, the run's job in the background, detached from this process.

    Raises `GenlibError` if the run is at work already.
    """
    if run.alive:
        raise GenlibError(f"The run {run.name!r} is at work already: stop it first.")
    run.clear_stop()
    status = run.written_status()
    status.state, status.queued_at, status.error = "queued", time.time(), ""
    run.write_status(status)
    threads = str(run.config.threads)
    # Two OpenMP programs on the same cores collapse when one spins while it waits; passive waits give the core away.
    passive = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0", "GOMP_SPINCOUNT": "0", "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    with run.log_file.open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "genlib.training.job", run.name, str(nice)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env={**os.environ, **passive},
        )  # fmt: skip


def work(run: Run, *, wait: bool = True, progress: object = None) -> Status:
    """The job itself: take the lock, wait for a turn, train. Returns the last status; errors end up in it."""
    try:
        run.lock.acquire()
    except Timeout:
        raise GenlibError(f"The run {run.name!r} is at work already: stop it first.") from None
    try:
        status = run.written_status()
        status.state, status.pid, status.heartbeat = "queued", os.getpid(), time.time()
        status.queued_at = status.queued_at or time.time()
        run.write_status(status)
        try:
            while wait and position(run) >= slots():
                if run.stop_requested:
                    return _end(run, status, "stopped")
                time.sleep(POLL)
            status.state = "starting"
            run.write_status(status)
            from genlib.training.loop import start  # PyTorch is loaded only now

            return start(run, progress)  # type: ignore[arg-type]
        except GenlibError as error:
            return _end(run, status, "failed", str(error))
        except Exception as error:
            _end(run, status, "failed", f"The job broke off ({type(error).__name__}: {error}); its log is {run.log_file}.")
            raise
    finally:
        run.lock.release()


def _end(run: Run, status: Status, state: str, error: str = "") -> Status:
    status.state, status.error, status.heartbeat = state, error, time.time()  # type: ignore[assignment]
    run.write_status(status)
    return status


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(int(sys.argv[2]) if len(sys.argv) > 2 else 10)
    raise SystemExit(0 if work(Run.open(sys.argv[1])).state in ("finished", "stopped") else 1)
