"""What a worker of either engine does: say what it is, then compute groups of jobs, one at a time."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

from swarm_env.engine.job import Job, runner

#: One compute thread a worker: with a busy neighbour two are many times slower than one.
THREADS: dict[str, str] = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
TRACE = 4_000  #: characters of a traceback that are kept, the last ones


class Outcome(NamedTuple):
    """What came of a group: results, one for each job, or what was raised."""

    results: list[Any]
    error: str = ""  # one line; empty: none
    trace: str = ""


def compute(jobs: Sequence[Job]) -> Outcome:
    """Compute a group; whatever a job raises becomes an `Outcome`."""
    try:
        results = runner(jobs[0].kind)(jobs)
        if len(results) != len(jobs):
            raise RuntimeError(f"{len(results)} results of {len(jobs)} jobs")
    except Exception as error:  # of one group; the others still have their chance
        return Outcome([], one_line(error), trace())
    return Outcome(results)


def echo(jobs: Sequence[Job]) -> list[Any]:
    """Give back what the jobs say."""
    return [job.params for job in jobs]


def one_line(error: BaseException) -> str:
    """What an exception says, whatever it is."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"


def trace() -> str:
    """The last lines of the traceback of the exception that is being handled."""
    return traceback.format_exc()[-TRACE:]


def died(code: int | None) -> str:
    """How a process ended, in words."""
    if code is not None and code < 0:
        return f"its worker was killed by signal {-code}"
    return f"its worker ended with exit code {code}"


def settle() -> None:
    """Before the first job of a worker."""
    os.environ.update(THREADS)
