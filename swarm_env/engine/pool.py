"""What the scheduler asks of an engine's workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from swarm_env.engine.job import Job

READY, DONE, DIED = "ready", "done", "died"


class Event(NamedTuple):
    """What a worker has to say."""

    what: str  # READY, DONE or DIED
    worker: int
    said: Any  # READY: `fingerprint.introduce`'s answer; DONE: an `Outcome`; DIED: how, in words


class Pool(Protocol):
    """Workers by number. One that has died or was killed is replaced by another of a new number."""

    @property
    def width(self) -> int:
        """Workers, those that are starting included."""
        ...

    def submit(self, worker: int, jobs: Sequence[Job]) -> None:
        """Give a ready worker that has nothing to do a group of jobs."""
        ...

    def wait(self, timeout: float) -> list[Event]:
        """What has happened; waits so many seconds at most for it."""
        ...

    def kill(self, worker: int) -> None:
        """End a worker at once; it says nothing more."""
        ...

    def close(self) -> None:
        """End all of them."""
        ...
