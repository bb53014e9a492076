"""The scheduler: groups of jobs to workers, results to where they are kept; both engines fail and recover here.

A group whose worker dies, raises or runs past its limit is tried again; a group of several jobs is then split, so that
one bad job does not take the others with it. Results come back in any order: a job's result depends on the job alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from swarm_env.engine.fingerprint import differences
from swarm_env.engine.job import EngineError, Kept, Plan
from swarm_env.engine.pool import DIED, READY, Event, Pool
from swarm_env.engine.worker import Outcome

SHARES = 4  #: groups that a worker gets at least, where there are that many jobs
POLL = 1.0  #: seconds at most between two looks at the clock
Progress = Callable[[int, int], None]


class Limits(NamedTuple):
    """How much a job may cost."""

    job_timeout: float | None = None  # seconds; a group of n jobs has n times as long; None: no limit
    retries: int = 2  # further tries of a job that failed
    max_failures: int = 100  # jobs that could not be done, from which on nothing new is started


class Failure(NamedTuple):
    """A job that could not be done."""

    place: int  # in the plan
    tries: int
    why: str  # one line
    trace: str = ""


class _Group(NamedTuple):
    indices: list[int]
    tries: int  # that failed


class Schedule:
    """One run of a plan's missing jobs over a pool.

    Args:
        ours: what workers must have in common with the driver, as `fingerprint.about` says it.
        progress: told (jobs kept, jobs in all).
    """

    def __init__(
        self, plan: Plan, kept: Kept, pool: Pool, ours: dict[str, str], limits: Limits, progress: Progress
    ) -> None:
        self.plan, self.kept, self.pool, self.ours, self.limits = plan, kept, pool, ours, limits
        self.progress = progress
        self.failures: list[Failure] = []
        self._again: deque[_Group] = deque()
        self._idle: list[int] = []
        self._running: dict[int, tuple[_Group, float]] = {}  # worker -> what it does, and since when

    def run(self, missing: list[int] | Iterator[int], done: int) -> list[Failure]:
        """Do the missing jobs; `done`: how many are there already. Returns those that could not be done.

        Raises:
            EngineError: a worker of other code, no worker to be had. Whatever `Kept.add` raises.
        """
        fresh = (_Group(indices, 0) for indices in self.plan.groups(missing, self._most(done)))
        while True:
            self._hand_out(fresh)
            if not self._running and self._exhausted:
                return sorted(self.failures, key=lambda failure: failure.place)
            for event in self.pool.wait(self._until_a_limit()):
                done += self._heed(event)
                self.progress(done, self.plan.num_units)
            self._stop_overdue()

    def _most(self, done: int) -> int:
        """Jobs of a group at most: every worker has several groups to do, so that none waits long for the last one."""
        return max(1, (self.plan.num_units - done) // (SHARES * max(1, self.pool.width)))

    @property
    def _exhausted(self) -> bool:
        return self._all_given and not self._again

    _all_given = False

    def _hand_out(self, fresh: Iterator[_Group]) -> None:
        if len(self.failures) >= self.limits.max_failures:
            self._give_up()
        while self._idle and not self._exhausted:
            group = self._again.popleft() if self._again else None
            if group is None and not self._all_given:
                group = next(fresh, None)
                self._all_given = group is None
            if group is not None:
                worker = self._idle.pop()
                self._running[worker] = group, time.monotonic()
                self.pool.submit(worker, [self.plan.job(index) for index in group.indices])

    def _give_up(self) -> None:
        """So many have failed that more would only cost time: nothing new is started."""
        for group in self._again:
            self.failures += [
                Failure(i, group.tries, "failed, and not tried again: too many had failed") for i in group.indices
            ]
        self._again.clear()
        self._all_given = True

    def _heed(self, event: Event) -> int:
        """Take note of an event; returns how many jobs are done by it."""
        if event.what == READY:
            machine, theirs = event.said
            said = differences(self.ours, theirs)
            if said:
                raise EngineError(f"a worker on {machine} does not match the driver: {said}")
            self._idle.append(event.worker)
            return 0
        if event.what == DIED:
            self._idle = [worker for worker in self._idle if worker != event.worker]
            if event.worker in self._running:
                self._failed(self._running.pop(event.worker)[0], event.said)
            return 0
        group, _ = self._running.pop(event.worker)
        self._idle.append(event.worker)
        outcome: Outcome = event.said
        if outcome.error:
            self._failed(group, outcome.error, outcome.trace)
            return 0
        for index, result in zip(group.indices, outcome.results, strict=True):
            self.kept.add(index, self.plan.job(index), result)
        self.kept.sync()
        return len(group.indices)

    def _failed(self, group: _Group, why: str, trace: str = "") -> None:
        tries = group.tries + 1
        if len(group.indices) == 1 and tries > self.limits.retries:
            self.failures.append(Failure(group.indices[0], tries, why, trace))
            self.kept.failed(group.indices[0])
        else:
            self._again.extend(_Group([index], min(tries, self.limits.retries)) for index in group.indices)

    def _limit(self, group: _Group) -> float:
        return float("inf") if self.limits.job_timeout is None else self.limits.job_timeout * len(group.indices)

    def _until_a_limit(self) -> float:
        now = time.monotonic()
        left = [since + self._limit(group) - now for group, since in self._running.values()]
        return max(0.0, min([POLL, *left]))

    def _stop_overdue(self) -> None:
        now = time.monotonic()
        for worker, (group, since) in list(self._running.items()):
            if now - since >= self._limit(group):
                del self._running[worker]
                self.pool.kill(worker)
                self._failed(group, f"ran past its limit of {self._limit(group):g} s (--job-timeout)")
