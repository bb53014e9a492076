"""What evaluations, studies and sweeps share on screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from swarm_env.core.compiled import is_warm


@contextmanager
def progress(word: str, total: int, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar over units on standard error while it is a terminal; gives the function (done, total) that moves it."""
    errors = Console(stderr=True, quiet=quiet)
    if not is_warm():
        errors.print("compiling the market's rules for this machine: once, less than a minute", highlight=False)
    columns = (TextColumn(word), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("units", total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def output(quiet: bool, width: int = 160) -> Console:
    """Standard output; as wide as that when it is no terminal, so that a file gets no lines folded at 80 characters."""
    console = Console(quiet=quiet)
    return console if console.is_terminal else Console(quiet=quiet, width=width)
