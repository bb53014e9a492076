"""Variants of a market, played by their scripts on the same seeds: what studies and sweeps are made of.

A variant is an *arm*. Seed k, episode e is the first episode of market seed first_seed + k * episodes + e in every
arm, and draws depend on coordinates alone: two arms meet the same chance until their rules lead apart. An arm's
episodes are played side by side, the metric suite is computed for each as for a run, and a seed's numbers are means
over its episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env.criteria import CRITERIA
from swarm_env.evaluation import results
from swarm_env.evaluation.measure import Measures, mean
from swarm_env.evaluation.play import Record, batch_size, compiled_for, play
from swarm_env.evaluation.policies import parse
from swarm_env.evaluation.store import EvaluationError, Kind, Run, Store
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

    def play(self, kept: Store, progress: Progress | None = None) -> list[Run]:
        """Play what the store does not hold yet; all units, by arm, then seed."""
        for arm, scenario in self.arms.items():
            missing = [seed for seed in range(self.seeds) if (arm, seed) not in kept.runs]
            for seeds in _stretches(missing, max(1, batch_size(scenario) // self.episodes)) if missing else ():
                for run in self._units(arm, scenario, seeds):
                    kept.add(run)
                if progress is not None:
                    progress(len(kept.runs), self.num_units)
        return [kept.runs[arm, seed] for arm in self.arms for seed in range(self.seeds)]

    def _units(self, arm: str, scenario: Scenario, seeds: range) -> Iterator[Run]:
        rows = list(self._rows(scenario, self.first_seed + seeds[0] * self.episodes, len(seeds) * self.episodes))
        for k, seed in enumerate(seeds):
            mine = rows[k * self.episodes : (k + 1) * self.episodes]
            values = {name: mean([row[name] for row in mine]) for name in mine[0]}
            head = {self.kind.key[0]: arm, "seed": seed, "market_seed": self.first_seed + seed * self.episodes}
            yield {**head, "episodes": self.episodes, "metrics": values}

    def _rows(self, scenario: Scenario, first: int, count: int) -> Iterator[Row]:
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
                    **self._windows(measures, deals),
                }

    def _windows(self, measures: Measures, deals: Mapping[str, NDArray[Any]]) -> Row:
        """The windowed metrics over the first and the last third of the epochs, rounded down, at least one."""
        if not self.windowed:
            return {}
        epochs = measures.scenario.simulation.n_epochs
        third = max(1, epochs // 3)
        row: Row = {}
        for window, inside in zip(WINDOWS, (deals["epoch"] < third, deals["epoch"] >= epochs - third), strict=True):
            part = {name: column[inside] for name, column in deals.items()}
            values = measures.compute(part, self.windowed, None)
            row |= {f"{name}@{window}": values[name] for name in self.windowed}
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


def _stretches(seeds: Sequence[int], length: int) -> Iterator[range]:
    """The seeds, ascending, as ranges without a gap, none longer than that."""
    first = previous = seeds[0]
    for seed in seeds[1:]:
        if seed != previous + 1 or seed - first == length:
            yield range(first, previous + 1)
            first = seed
        previous = seed
    yield range(first, previous + 1)


def by_seed(units: Sequence[Run], arm: str) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Arm -> metric -> values (S,) in the order of the seeds; arm: the field that names it."""
    gathered: dict[str, dict[str, list[float]]] = {}
    for run in units:
        columns = gathered.setdefault(run[arm], {})
        for metric, value in run["metrics"].items():
            columns.setdefault(metric, []).append(value)
    return {
        name: {metric: np.array(values) for metric, values in columns.items()} for name, columns in gathered.items()
    }
