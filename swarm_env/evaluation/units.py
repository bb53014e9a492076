"""One policy in one scenario on one seed: the unit of an evaluation, played where its plan is or by a worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from swarm_env.compile import Compiled
from swarm_env.engine.job import Job
from swarm_env.engine.journal import Run
from swarm_env.evaluation.measure import Measures, Unit
from swarm_env.evaluation.paired import scenario_of
from swarm_env.evaluation.play import batch_size, compiled_for, play
from swarm_env.evaluation.policies import parse
from swarm_env.evaluation.protocol import Policy, PolicyError
from swarm_env.scenario import Scenario

RESIDENT, VISITOR = MODES = ("resident", "visitor")
APART = 2**20  #: market seeds between two seeds, and the most episodes that a seed can have


class Task(NamedTuple):
    """What is asked of a policy in a scenario, whatever the seed."""

    policy: Policy
    scenario: Scenario
    seats: tuple[str, ...]  # focal
    mode: str
    episodes: int
    first_seed: int

    def unit(self, measures: Measures, lineups: Sequence[tuple[Compiled, NDArray[np.bool_]]], seed: int) -> Run:
        """Play a seed."""
        unit, first = Unit(measures), self.first_seed + seed * APART
        size = batch_size(self.scenario)
        for compiled, focal in lineups:
            for done in range(0, self.episodes, size):
                count = min(size, self.episodes - done)
                unit.add(play(compiled, self.policy, first + done, count, seed * APART + done), focal)
        head = {"policy": self.policy.name, "scenario": self.scenario.scenario_id, "mode": self.mode, "seed": seed}
        return {**head, "market_seed": first, **unit.result()}

    def lineups(self) -> Iterator[tuple[Compiled, NDArray[np.bool_]]]:
        """Who sits where: once with all focal seats, or once for each visit; with a mask (N,) of the policy's seats."""
        names = np.array(self.scenario.agent_names)
        for group in [self.seats] if self.mode == RESIDENT else [(seat,) for seat in self.seats]:
            yield compiled_for(self.scenario, group, self.policy), np.isin(names, group)


@lru_cache(maxsize=8)
def _policy(name: str, spec: str, identity: str) -> Policy:
    """A policy as the driver names it, checked to be the same here."""
    policy = parse({name: spec})[0]
    if policy.identity != identity:
        raise PolicyError(f"policy {name}: {spec} is another one on this machine ({policy.identity}, not {identity})")
    return policy


def run_jobs(jobs: Sequence[Job]) -> list[Run]:
    """Play jobs, one after the other."""
    units = []
    for job in jobs:
        params, hints = job.params, job.hints
        task = Task(
            _policy(hints["name"], hints["spec"], params["identity"]), scenario_of(job), tuple(params["seats"]),
            params["mode"], params["episodes"], params["first_seed"],
        )  # fmt: skip
        units.append(task.unit(Measures(task.scenario), list(task.lineups()), params["seed"]))
    return units


def job_of(task: Task, seed: int, content_hash: str, written: dict[str, Any], spec: str) -> Job:
    """The job of a seed; spec: the policy's, with the absolute path of a training run's folder."""
    params = {
        "scenario": content_hash, "spec": task.policy.spec, "identity": task.policy.identity,
        "seats": list(task.seats), "mode": task.mode, "episodes": task.episodes, "first_seed": task.first_seed,
        "seed": seed,
    }  # fmt: skip
    return Job("evaluate", params, {"scenario": written, "name": task.policy.name, "spec": spec})
