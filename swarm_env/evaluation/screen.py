"""What evaluations, studies, sweeps and trainings share on screen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from swarm_env.core.compiled import is_warm

EVERY = 60.0  #: seconds between two lines where there is no terminal, as in a batch job's log


class Pace:
    """How fast units come, those that were there before aside."""

    def __init__(self) -> None:
        self._since, self._had = time.monotonic(), 0
        self._started = False

    def text(self, done: int, total: int) -> str:
        """Units per second and the time left, as in "12.5/s, 0:03:10 left"; empty before the first."""
        if not self._started:
            self._since, self._had, self._started = time.monotonic(), done, True
        seconds = time.monotonic() - self._since
        if done <= self._had or seconds <= 0.0:
            return ""
        rate = (done - self._had) / seconds
        return f"{rate:.3g}/s, {timedelta(seconds=round((total - done) / rate))} left"


@contextmanager
def progress(word: str, total: int, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Units done, rate and time left on standard error: a bar on a terminal, elsewhere a line a minute.

    Gives the function (done, total) that moves it. Where all units are there already it says so.
    """
    errors = Console(stderr=True, quiet=quiet)
    if not is_warm():
        errors.print("compiling the market's rules for this machine: once, less than a minute", highlight=False)
    columns = (
        TextColumn(word),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    pace, said = Pace(), time.monotonic()
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("units", total=total, pace="")
        first = True

        def update(done: int, of: int) -> None:
            nonlocal first, said
            text = pace.text(done, of)
            if first and done:
                errors.print(f"{done} of {of} are there already{': nothing to do' * (done == of)}", highlight=False)
            if not errors.is_terminal and time.monotonic() - said >= EVERY:
                errors.print(f"{word}: {done} of {of}, {text}", highlight=False)
                said = time.monotonic()
            first = False
            bar.update(task, completed=done, total=of, pace=text)

        yield update


def output(quiet: bool, width: int = 160) -> Console:
    """Standard output; as wide as that when it is no terminal, so that a file gets no lines folded at 80 characters."""
    console = Console(quiet=quiet)
    return console if console.is_terminal else Console(quiet=quiet, width=width)
