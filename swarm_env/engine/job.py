"""A job is data: what is to be computed, as plain values, and a hash of all that its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from swarm_env import __version__
from swarm_env.engine.fingerprint import code


class EngineError(ValueError):
    """Work that cannot be started or gone on with; one line."""


class Job(NamedTuple):
    """One piece of work, the smallest that can be kept or done again."""

    kind: str  # of KINDS
    params: dict[str, Any]  # plain data; what the result depends on, and nothing else
    hints: dict[str, Any]  # where a worker finds what the parameters name by hash: scenarios, folders

    @property
    def hash(self) -> str:
        """SHA-256 (32 hex digits) over kind, parameters, version of the package, and code of the kind's packages."""
        depends = [__version__, *(_code(package) for package in KINDS[self.kind].packages)]
        return hashlib.sha256(canonical([self.kind, self.params, depends]).encode()).hexdigest()[:32]


class Kind(NamedTuple):
    """A kind of jobs."""

    run: str  # "module:function": takes a list of jobs that a plan groups together, returns their results in order
    packages: tuple[str, ...]  # whose code the results depend on
    warm: str = ""  # "module:function": called once by each worker before its first job, so that no job pays for it


_OURS, _BOTH = ("swarm_env",), ("swarm_env", "trainers")
_PLAYS = "swarm_env.evaluation.paired:warm"
#: Every kind of job.
KINDS: dict[str, Kind] = {
    "paired": Kind("swarm_env.evaluation.paired:run_jobs", _OURS, _PLAYS),  # a cell of a sweep, or an arm, on a seed
    "evaluate": Kind("swarm_env.evaluation.units:run_jobs", _BOTH, _PLAYS),  # a policy in a scenario on a seed
    "train": Kind("trainers.reproduce.jobs:run_jobs", _BOTH),  # a training run, into its folder
    "judge": Kind("trainers.reproduce.waltz:run_jobs", _BOTH),  # a trained run's scores, into a file
    "judge_language": Kind("trainers.reproduce.waltz_language:run_jobs", _BOTH),  # likewise, in dialogues
    "compare": Kind("trainers.reproduce.compare:run_jobs", _BOTH),  # a seed's trainings, into a file
    "echo": Kind("swarm_env.engine.worker:echo", ()),  # nothing: what an engine itself costs (benchmarks/engine.py)
}


class Plan(Protocol):
    """Jobs in their order, made when they are asked for: a plan of a million takes no more memory than one of ten."""

    @property
    def job_kind(self) -> str:
        """Of all its jobs, in KINDS."""
        ...

    @property
    def num_units(self) -> int:
        """Jobs."""
        ...

    def job(self, index: int) -> Job:
        """The job of that number, from 0."""
        ...

    def title(self, index: int) -> str:
        """What people call it."""
        ...

    def groups(self, indices: Iterable[int], most: int) -> Iterator[list[int]]:
        """Ascending indices in groups worth computing together, of so many jobs at most; results are the same."""
        ...

    def here(self, indices: Sequence[int]) -> Iterator[Any]:
        """Compute a group in this process."""
        ...


class Kept(Protocol):
    """Where results of a plan go."""

    def missing(self, plan: Plan) -> Iterator[int]:
        """Jobs of the plan, ascending, whose results are not there."""
        ...

    def add(self, index: int, job: Job, result: Any) -> None:
        """Keep a result."""
        ...

    def sync(self) -> None:
        """Make what was added safe from a power cut."""
        ...

    def failed(self, index: int) -> None:
        """A job could not be done."""
        ...


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal data, equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@cache
def _code(package: str) -> str:
    return code(package)


def fingerprint(kind: str) -> str:
    """Hash of the code that a kind's results depend on; it is the same for the whole life of a process."""
    return hashlib.sha256(canonical([_code(package) for package in KINDS[kind].packages]).encode()).hexdigest()[:16]


def runner(kind: str) -> Callable[[Sequence[Job]], list[Any]]:
    """The function that computes jobs of a kind."""
    found: Callable[[Sequence[Job]], list[Any]] = _named(KINDS[kind].run)
    return found


def warm_up(kind: str) -> None:
    """Import, compile and load what jobs of a kind need."""
    runner(kind)
    if KINDS[kind].warm:
        _named(KINDS[kind].warm)()


def _named(text: str) -> Any:
    module, _, name = text.partition(":")
    return getattr(import_module(module), name)
