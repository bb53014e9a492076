"""Variants of a market, played by their scripts on the same seeds: what studies and sweeps are made of.

A variant is an *arm*. Seed k, episode e is the first episode of market seed first_seed + k * episodes + e in every
arm, and draws depend on coordinates alone: two arms meet the same chance until their rules lead apart. An arm's
episodes are played side by side, the metric suite is computed for each as for a run, and a seed's numbers are means
over its episodes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env.catalog import load_scenario
from swarm_env.criteria import CRITERIA
from swarm_env.engine.job import Job
from swarm_env.engine.journal import Kind, Run
from swarm_env.engine.run import HERE, Engine, carry_out
from swarm_env.engine.store import Store
from swarm_env.evaluation import results
from swarm_env.evaluation.measure import Measures, mean
from swarm_env.evaluation.play import Record, batch_size, compiled_for, play
from swarm_env.evaluation.policies import parse
from swarm_env.evaluation.store import EvaluationError
from swarm_env.metrics import METRICS
from swarm_env.scenario import Scenario
from swarm_env.tally import COLUMNS, CUMULATIVE, Row

FIRST_SEED = 2**62  #: of the markets: training stays below 2^56
MAX_SEEDS, MAX_EPISODES = 1024, 2**20
#: Who is charged, over settled interactions: an interaction is charged if a lever took a cost from either side.
INTERVENTIONS: dict[str, str] = {
    "intervention_rate": "share of interactions charged by a lever",
    "intervention_rate_risky": "P(charged | p_offer < t)",
    "intervention_rate_sound": "P(charged | p_offer >= t)",
    "intervention_selectivity": "intervention_rate_risky - intervention_rate_sound",
}
#: By archetype, as in return.honest.
BY_ROLE: dict[str, str] = {
    "return": "mean return of an agent",
    "charged": "governance costs of an agent",
    "sidelined": "share of an agent's epochs that close with it frozen or quarantined",
}
#: Thirds of an episode's epochs in which a metric can be asked for, as in toxicity_rate@early.
WINDOWS: tuple[str, ...] = ("early", "late")
#: Metrics that speak of a stretch of time; the others are states, counts of a run or records of all dealings.
WINDOWED: tuple[str, ...] = tuple(name for name in METRICS if name not in CUMULATIVE)

Progress = Callable[[int, int], None]


def names(scenario: Scenario) -> list[str]:
    """Every number that an arm of this scenario has, windows aside."""
    roles = dict.fromkeys(scenario.archetypes)
    asked = [name for name in CRITERIA if getattr(scenario.success_criteria, name) is not None]
    by_role = [f"{name}.{role}" for name in BY_ROLE for role in roles]
    return [*COLUMNS, *INTERVENTIONS, *by_role, *(f"passed.{name}" for name in asked)]


class Paired:
    """Arms x seeds, checked before anything is played.

    Args:
        arms: scenarios by the name of the arm.
        seeds, episodes: of each arm, of each seed.
        windowed: metrics out of WINDOWED that are also computed over the first and the last third of the epochs.
        first_seed: of the markets.

    Raises:
        EvaluationError: a number out of range.
    """

    def __init__(
        self,
        kind: Kind,
        arms: Mapping[str, Scenario],
        seeds: int,
        episodes: int,
        windowed: Sequence[str] = (),
        first_seed: int = FIRST_SEED,
    ) -> None:
        for name, value, most in (("seeds", seeds, MAX_SEEDS), ("episodes", episodes, MAX_EPISODES)):
            if not 1 <= value <= most:
                raise EvaluationError(f"{name} must be a whole number in 1..{most}, got {value}")
        self.kind, self.arms, self.seeds, self.episodes = kind, dict(arms), seeds, episodes
        self.first_seed = first_seed
        self.windowed = sorted(set(windowed))
        self._names = list(self.arms)
        self._written = lru_cache(maxsize=64)(lambda arm: (self.arms[arm].content_hash, self.arms[arm].to_dict()))

    @property
    def identity(self) -> dict[str, Any]:
        """What the units depend on."""
        return {
            "arms": [[name, scenario.content_hash[:16]] for name, scenario in self.arms.items()],
            "seeds": self.seeds,
            "episodes": self.episodes,
            "windowed": self.windowed,
            "first_seed": self.first_seed,
            "versions": {name: v for name, v in results.versions().items() if name != "scipy"},
        }

    @property
    def num_units(self) -> int:
        """Arms x seeds."""
        return len(self.arms) * self.seeds

    @property
    def job_kind(self) -> str:
        """See `engine.job.KINDS`."""
        return "paired"

    def store(self, folder: Path | None) -> Store:
        """Where its units go; None: nowhere."""
        return Store(folder, self.identity, self.kind, self)

    def fill(self, kept: Store, progress: Progress | None = None, engine: Engine = HERE) -> None:
        """Play what the store does not hold yet."""
        carry_out(self, kept, len(kept), engine, progress, kept.folder)
        kept.finish()

    def play(self, kept: Store, progress: Progress | None = None, engine: Engine = HERE) -> list[Run]:
        """Play what the store does not hold yet; all units, by arm, then seed."""
        self.fill(kept, progress, engine)
        return list(kept.units())

    def _place(self, index: int) -> tuple[str, int]:
        """Arm and seed of a job."""
        return self._names[index // self.seeds], index % self.seeds

    def job(self, index: int) -> Job:
        """A seed of an arm; what the arm is called is none of its business, and stands in the hints."""
        arm, seed = self._place(index)
        content_hash, written = self._written(arm)
        params = {
            "scenario": content_hash,
            "market_seed": self.first_seed + seed * self.episodes,
            "episodes": self.episodes,
            "windowed": self.windowed,
        }
        return Job(self.job_kind, params, {"scenario": written, "by": self.kind.key[0], "arm": arm, "seed": seed})

    def title(self, index: int) -> str:
        """What people call it."""
        arm, seed = self._place(index)
        return f"{self.kind.key[0]} {arm}, seed {seed}"

    def groups(self, indices: Iterable[int], most: int) -> Iterator[list[int]]:
        """Seeds of one arm without a gap, as many as a batch has room for: they are played side by side."""
        group: list[int] = []
        for index in indices:
            room = min(most, max(1, batch_size(self.arms[self._place(index)[0]]) // self.episodes))
            follows = group and index == group[-1] + 1 and index // self.seeds == group[0] // self.seeds
            if group and (not follows or len(group) >= room):
                yield group
                group = []
            group.append(index)
        if group:
            yield group

    def here(self, indices: Sequence[int]) -> Iterator[Run]:
        """Play a group in this process."""
        arm, seed = self._place(indices[0])
        firsts = self.first_seed + seed * self.episodes, len(indices), self.episodes
        for k, values in enumerate(_played(self.arms[arm], self.windowed, *firsts)):
            yield _unit(self.kind.key[0], arm, seed + k, firsts[0] + k * self.episodes, self.episodes, values)


@lru_cache(maxsize=8)
def _loaded(content_hash: str, text: str) -> Scenario:
    scenario = load_scenario(json.loads(text))
    if scenario.content_hash != content_hash:
        raise EvaluationError(
            f"scenario {scenario.scenario_id} reads as {scenario.content_hash[:16]} here, not {content_hash[:16]}"
        )
    return scenario


def scenario_of(job: Job) -> Scenario:
    """The scenario of a job, checked to be the one that it names by hash."""
    return _loaded(job.params["scenario"], json.dumps(job.hints["scenario"]))


def warm() -> None:
    """Load, or compile, the machine code that episodes run on."""
    scenario = load_scenario("baseline", ["simulation.n_epochs=1", "simulation.steps_per_epoch=1"])
    list(_played(scenario, (), FIRST_SEED, 1, 1))


def run_jobs(jobs: Sequence[Job]) -> list[Run]:
    """Play jobs of one arm whose seeds follow each other; a unit for each."""
    params, hints = jobs[0].params, jobs[0].hints
    first, episodes = params["market_seed"], params["episodes"]
    rows = _played(scenario_of(jobs[0]), params["windowed"], first, len(jobs), episodes)
    return [
        _unit(hints["by"], hints["arm"], hints["seed"] + k, first + k * episodes, episodes, values)
        for k, values in enumerate(rows)
    ]


def _unit(by: str, arm: str, seed: int, market_seed: int, episodes: int, values: Row) -> Run:
    return {by: arm, "seed": seed, "market_seed": market_seed, "episodes": episodes, "metrics": values}


def _played(scenario: Scenario, windowed: Sequence[str], first: int, seeds: int, episodes: int) -> Iterator[Row]:
    """The numbers of so many seeds, from market seed `first` on."""
    rows = list(_rows(scenario, windowed, first, seeds * episodes))
    for k in range(seeds):
        mine = rows[k * episodes : (k + 1) * episodes]
        yield {name: mean([row[name] for row in mine]) for name in mine[0]}


def _rows(scenario: Scenario, windowed: Sequence[str], first: int, count: int) -> Iterator[Row]:
    """The numbers of each episode."""
    measures, policy = Measures(scenario), parse(["scripts"])[0]
    compiled = compiled_for(scenario, (), policy)
    size = batch_size(scenario)
    for done in range(0, count, size):
        record = play(compiled, policy, first + done, min(size, count - done), 0)
        for e, (row, verdicts) in enumerate(measures.episodes(record)):
            deals = {name: c[record.start[e] : record.start[e + 1]] for name, c in record.deals.items()}
            yield {
                **{name: row[name] for name in COLUMNS},  # nobody oversees scripts
                **interventions(deals, scenario.market.safety_threshold),
                **_by_role(scenario, record, e, deals),
                **{f"passed.{verdict.name}": float(verdict.passed) for verdict in verdicts},
                **_windows(measures, windowed, deals),
            }


def _windows(measures: Measures, windowed: Sequence[str], deals: Mapping[str, NDArray[Any]]) -> Row:
    """The windowed metrics over the first and the last third of the epochs, rounded down, at least one."""
    if not windowed:
        return {}
    epochs = measures.scenario.simulation.n_epochs
    third = max(1, epochs // 3)
    row: Row = {}
    for window, inside in zip(WINDOWS, (deals["epoch"] < third, deals["epoch"] >= epochs - third), strict=True):
        part = {name: column[inside] for name, column in deals.items()}
        values = measures.compute(part, windowed, None)
        row |= {f"{name}@{window}": values[name] for name in windowed}
    return row


def interventions(deals: Mapping[str, NDArray[Any]], threshold: float) -> Row:
    """INTERVENTIONS of some deals of one market; threshold: `market.safety_threshold`."""
    charged, risky = deals["c_a"] + deals["c_b"] > 0.0, deals["p_offer"] < threshold
    rates = [float(part.mean()) if part.size else float("nan") for part in (charged, charged[risky], charged[~risky])]
    return dict(zip(INTERVENTIONS, (*rates, rates[1] - rates[2]), strict=True))


def _by_role(scenario: Scenario, record: Record, e: int, deals: Mapping[str, NDArray[Any]]) -> Row:
    """BY_ROLE of one episode."""
    n, roles = scenario.num_agents, np.array(scenario.archetypes)
    paid = np.bincount(deals["initiator"], deals["c_a"], n) + np.bincount(deals["counterparty"], deals["c_b"], n)
    columns = (record.gained[e], paid, (record.frozen[e] | record.quarantined[e]).mean(axis=0))
    return {
        f"{name}.{role}": float(column[roles == role].mean())
        for name, column in zip(BY_ROLE, columns, strict=True)
        for role in dict.fromkeys(scenario.archetypes)
    }


def by_seed(
    units: Iterable[Run], arm: str, only: Collection[str] | None = None
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Arm -> metric -> values (S,) in the order of the seeds; arm: the field that names it; only: these metrics."""
    gathered: dict[str, dict[str, list[float]]] = {}
    for run in units:
        columns = gathered.setdefault(run[arm], {})
        for metric, value in run["metrics"].items():
            if only is None or metric in only:
                columns.setdefault(metric, []).append(value)
    return {
        name: {metric: np.array(values) for metric, values in columns.items()} for name, columns in gathered.items()
    }
