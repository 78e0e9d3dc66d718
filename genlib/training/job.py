"""A training job as its own process, and the queue.

``python -m genlib.training.job NAME`` waits for its turn, trains, and exits. There is no server that must stay alive:
every queued job is a small process that looks at the run folders and goes ahead when fewer than ``$GENLIB_JOBS``
(default 1) jobs are before it. So a page reload, a crash of the app or a closed laptop never costs a run.

Several GPUs or machines: ``torchrun --standalone --nproc-per-node 2 -m genlib.training.job NAME`` (torchrun's own
options name the machines). Such a job does not queue; its process 0 holds the lock and writes, the others only compute.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from genlib.errors import GenlibError
from genlib.training import files
from genlib.training.run import LIVE, Run, Status, all_runs, process_rank

POLL = 0.5  # seconds between looks at the queue
NICE = 10  # a job gives way to the app


def slots() -> int:
    """How many jobs may train at once."""
    given = os.environ.get("GENLIB_JOBS", "1")
    if not given.isdigit():
        raise GenlibError(f"GENLIB_JOBS={given!r} is not a number of jobs: set it to 1 or more.")
    return max(1, int(given))


def position(run: Run) -> int:
    """How many live jobs are ahead of this one (the first ``slots()`` of all train)."""
    own = run.written_status().queued_at
    ahead = 0
    for other in all_runs():
        if other.name != run.name:
            status = other.status
            ahead += status.state in LIVE and (
                status.state != "queued" or (status.queued_at, other.name) < (own, run.name)
            )
    return ahead


def launch(run: Run, *, nice: int = NICE) -> None:
    """Start, or resume, the run's job in the background, detached from this process.

    Raises `GenlibError` if the run is at work already.
    """
    announce(run)
    command = [sys.executable, "-m", "genlib.training.job", run.name, str(nice)]
    environment = {**os.environ, **thread_environment(run.config.threads)}
    try:
        with run.log_file.open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment
            )
    except OSError as error:
        sentence = files.unwritable(run.log_file, error)
        _end(run, run.written_status(), "failed", str(sentence))
        raise sentence from None
    # Whoever started a process must hear of its end, or it stays in the process table.
    threading.Thread(target=process.wait, name=f"end of {run.name}", daemon=True).start()


def announce(run: Run) -> None:
    """Say in the run's status that it is about to start. Raises `GenlibError` if the run is at work already."""
    if run.alive:
        time.sleep(0.05)  # somebody else who only asks this holds the lock for a moment
        if run.alive:
            raise GenlibError(f"The run {run.name!r} is at work already: stop it first.")
    run.clear_stop()
    status = run.written_status()
    status.state, status.queued_at, status.pid, status.error = "queued", time.time(), 0, ""
    run.write_status(status)


def thread_environment(threads: int) -> dict[str, str]:
    """What a job's process needs to know before it loads PyTorch.

    Two OpenMP programs on the same cores collapse when one spins while it waits; passive waits give the core away.
    """
    count = str(threads)
    passive = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0", "GOMP_SPINCOUNT": "0"}
    return {**passive, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}


def work(run: Run, *, wait: bool = True, progress: object = None) -> Status:
    """The job itself: take the lock, wait for a turn, train. Returns the last status; errors end up in it."""
    rank = process_rank()
    if rank:
        return _train(run, None)  # a helper of process 0, which does all the rest
    with run.hold():
        try:
            return _work(run, wait and rank is None, progress)
        finally:
            run.clear_stop()


def _work(run: Run, wait: bool, progress: object) -> Status:
    status = run.written_status()
    if status.pid:
        run.clear_stop()  # nobody announced this start: the request was for a job that was killed
    status.state, status.pid, status.heartbeat, status.error = "queued", os.getpid(), time.time(), ""
    status.queued_at = status.queued_at or time.time()
    run.write_status(status)
    try:
        while wait and position(run) >= slots():
            if run.stop_requested:
                return _end(run, status, "stopped")
            time.sleep(POLL)
        status.state = "starting"
        run.write_status(status)
        return _train(run, progress)
    except KeyboardInterrupt:  # before training, which ends its step first and saves
        return _end(run, status, "stopped")
    except GenlibError as error:
        return _end(run, status, "failed", str(error))
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        _end(run, status, "failed", f"The job broke off ({what}); its log is {run.log_file}.")
        raise


def _train(run: Run, progress: object) -> Status:
    from genlib.training.loop import start  # PyTorch is loaded only now

    return start(run, progress)  # type: ignore[arg-type]


def _end(run: Run, status: Status, state: str, error: str = "") -> Status:
    status.state, status.error, status.heartbeat = state, error, time.time()  # type: ignore[assignment]
    run.write_status(status)
    return status


def give_way(nice: int) -> None:
    """Lower this process's priority by ``nice``.

    Linux shares the cores first among sessions, of which a job has one to itself, and looks at a process's own niceness
    only within its session; so the session's is set as well, where the kernel groups so.
    """
    if hasattr(os, "nice"):
        os.nice(nice)
    with contextlib.suppress(OSError):  # no such file: the kernel, or the container, has no such groups
        Path("/proc/self/autogroup").write_text(str(max(nice, 0)))


def finish(run: Run, nice: int = NICE) -> int:
    """Be the run's job in this process, at low priority, until it ends; returns the exit code."""
    give_way(nice)
    return 0 if work(run).state in ("finished", "stopped") else 1


def main(arguments: list[str]) -> int:
    """The process: NAME [NICE]. Returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a job that is asked to end does so in order
    try:
        return finish(Run.open(arguments[0]), int(arguments[1]) if len(arguments) > 1 else NICE)
    except GenlibError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
