"""A progress bar in the terminal for `genlib train` and `genlib.fit`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from genlib.training.run import Status


@contextmanager
def progress_bar(enabled: bool = True) -> Iterator[Callable[[Status], None]]:
    """Yields a function that shows a `Status`."""
    if not enabled:
        yield lambda status: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("starting", total=1.0)

        def show(status: Status) -> None:
            left = status.seconds_left
            done = status.seconds / (status.seconds + left) if left is not None and status.seconds + left > 0 else 0.0
            terms = "  ".join(f"{name} {value:.4g}" for name, value in list(status.terms.items())[:3])
            bar.update(
                task,
                completed=done,
                description=f"step {status.step}  {terms}  {status.images_per_second:.0f} images/s",
            )

        yield show
