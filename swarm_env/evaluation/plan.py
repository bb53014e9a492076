"""`evaluate`: policies x scenarios x seeds, one table of numbers that can be trusted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from swarm_env import statistics
from swarm_env.catalog import Source, load_scenario
from swarm_env.compile import compile_scenario, select
from swarm_env.engine.job import Job
from swarm_env.engine.journal import Run, digest
from swarm_env.engine.run import HERE, Engine, carry_out
from swarm_env.engine.store import Store
from swarm_env.evaluation import results
from swarm_env.evaluation.found import Evaluation
from swarm_env.evaluation.measure import FOCAL, NAMES, Measures
from swarm_env.evaluation.play import setting_of
from swarm_env.evaluation.policies import SCRIPTS, parse
from swarm_env.evaluation.protocol import Policy
from swarm_env.evaluation.store import EVALUATION, SCHEMA, EvaluationError
from swarm_env.evaluation.trained import absolute
from swarm_env.evaluation.units import APART, MODES, RESIDENT, Task, job_of
from swarm_env.metrics.tabulate import nearest
from swarm_env.scenario import Scenario

FIRST_SEED = 2**62  #: of the markets: training stays below 2^56
MAX_SEEDS = 1024
#: Metrics that are shown, and whose p values are corrected together, unless others are asked for.
PRIMARY: tuple[str, ...] = (
    FOCAL, "net_social_welfare", "total_welfare", "toxicity_rate", "quality_gap", "acceptance_rate", "safety_f1",
)  # fmt: skip

Progress = Callable[[int, int], None]


def evaluate(
    policies: Sequence[str] | Mapping[str, Any],
    scenarios: Source | Sequence[Source],
    episodes: int = 64,
    seeds: int = 10,
    *,
    seats: str | Sequence[str] = "honest_*",
    mode: str = RESIDENT,
    baseline: str | None = None,
    metrics: Sequence[str] | None = None,
    overrides: Sequence[str] = (),
    first_seed: int = FIRST_SEED,
    transfer: bool = False,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    engine: Engine = HERE,
) -> Evaluation:
    """Judge policies in chosen seats of scenarios, all on the same markets.

    Every policy plays the first episode of market seeds first_seed + k * 2**20 + e, for seeds k = 0..seeds-1 and
    episodes e = 0..episodes-1, and meets the same draws there until its actions differ. The chosen seats are focal; all
    others, the background, play the scenario's scripts.

    Args:
        policies: "NAME=SPEC" texts, or a mapping from names to SPECs, to callables (observation float32 (n, F), mask
            int8 (n, M)) -> whole numbers (n, heads), to callables that govern (see `protocol.Govern`; marked by
            `evaluation.governs`), or to factories that make one of a `Setting`. A SPEC is `scripts`, `random`, an
            archetype, `module:function`, the folder of a training run, or FOLDER#PART.
        scenarios: one or several, as for `load_scenario`.
        episodes: of each seed, 1..2**20; with mode visitor, of each seed and focal seat.
        seeds: 1..1024; intervals need 2, tests at the 5 % level at least 6.
        seats: names or patterns of the focal seats.
        mode: "resident": the policy is in all focal seats at once. "visitor": it is in one focal seat at a time, all
            other seats, focal ones included, play their scripts; a seed's numbers are means over the visits.
        baseline: name of the policy that the others are compared with; None: the first that is `scripts`, else the
            first of all.
        metrics: the primary ones (PRIMARY unless given): shown, and corrected together for multiple comparisons. All
            others are computed and compared as well.
        overrides: "key.path=value" for every scenario.
        first_seed: of the markets, at least 0.
        transfer: let trained policies play scenarios other than their own, if the layout agrees.
        out: a folder for units.jsonl, results.json and runs.csv; the same call goes on where a killed one stopped. None
            writes nothing.
        progress: called with (units done, units in all) after each.
        engine: where units are played, see `swarm_env.engine.run.Engine`; in this process unless another is given.
            Others play SPECs only, no Python objects, and give the same bytes.

    Raises:
        PolicyError, EvaluationError, EngineError, ScenarioError, RecordingError: all of them ValueErrors of one clear
            line (of a scenario: one for each problem). What had been played is kept in `out`. ImportError: an extra is
            missing.
    """
    plan = Plan(policies, scenarios, episodes, seeds, seats, mode, baseline, metrics, overrides, first_seed, transfer)
    return plan.run(None if out is None else Path(out), progress, engine)


class Plan:
    """An evaluation whose arguments (see `evaluate`) have been checked, before anything is played."""

    def __init__(
        self,
        policies: Sequence[str] | Mapping[str, Any],
        scenarios: Source | Sequence[Source],
        episodes: int,
        seeds: int,
        seats: str | Sequence[str],
        mode: str,
        baseline: str | None,
        metrics: Sequence[str] | None,
        overrides: Sequence[str],
        first_seed: int,
        transfer: bool,
    ) -> None:
        statistics.require_scipy()
        self.episodes, self.seeds = _whole("episodes", episodes, 1, APART), _whole("seeds", seeds, 1, MAX_SEEDS)
        self.first_seed = _whole("first_seed", first_seed, 0, 2**63 - 1 - MAX_SEEDS * APART)
        if mode not in MODES:
            raise EvaluationError(f"mode: {mode!r} is not known; allowed: resident, visitor")
        self.mode, self.transfer = mode, transfer
        self._written = lru_cache(maxsize=64)(self._describe)
        self._ready = lru_cache(maxsize=64)(self._prepare)
        self.primary = list(PRIMARY if metrics is None else metrics)
        for name in self.primary:
            if name not in NAMES:
                raise EvaluationError(f"metrics: unknown metric {name!r}; {nearest(str(name), NAMES)}")
        self.scenarios = _load(scenarios, overrides)
        self.seats = {scenario.scenario_id: _seats(scenario, seats) for scenario in self.scenarios}
        self.policies = parse(policies)
        named = policies.items() if isinstance(policies, Mapping) else ()
        self.objects = {name for name, what in named if not isinstance(what, str | Path)}  # known to this process alone
        self.baseline = self._baseline(baseline)
        self._check_layouts()

    def _baseline(self, name: str | None) -> str | None:
        names = [policy.name for policy in self.policies]
        if name is None:
            scripts = [policy.name for policy in self.policies if policy.spec == SCRIPTS]
            return None if len(names) < 2 else (scripts or names)[0]
        if name not in names:
            raise EvaluationError(f"baseline: {name!r} is none of the policies; {nearest(name, names)}")
        return name

    def _check_layouts(self) -> None:
        for scenario in self.scenarios:
            checked = [policy for policy in self.policies if policy.check is not None]
            setting = setting_of(compile_scenario(scenario, self.seats[scenario.scenario_id]), 0) if checked else None
            for policy in checked:
                assert policy.check is not None
                assert setting is not None
                policy.check(setting, self.transfer)

    @property
    def identity(self) -> dict[str, Any]:
        """What the units depend on; baseline and primary metrics are only ways to look at them."""
        return {
            "policies": [[policy.name, policy.spec, policy.identity] for policy in self.policies],
            "scenarios": [[each.scenario_id, each.content_hash[:16]] for each in self.scenarios],
            "seats": {name: list(seats) for name, seats in self.seats.items()},
            "mode": self.mode,
            "episodes": self.episodes,
            "seeds": self.seeds,
            "first_seed": self.first_seed,
            "versions": {name: v for name, v in results.versions().items() if name != "scipy"},
        }

    @property
    def settings_hash(self) -> str:
        """Of `identity`."""
        return digest(self.identity)

    @property
    def num_units(self) -> int:
        """Policies x scenarios x seeds."""
        return len(self.policies) * len(self.scenarios) * self.seeds

    def run(self, out: Path | None, progress: Progress | None = None, engine: Engine = HERE) -> Evaluation:
        """Play what `out` does not hold yet, put it together, write it."""
        self._check_engine(engine)
        with closing(Store(out, self.identity, EVALUATION, self)) as kept:
            carry_out(self, kept, len(kept), engine, progress, out)
            kept.finish()
            found = self._document(kept.head["created"], list(kept.units()))
            return Evaluation(found, () if out is None else tuple(results.write(out, found)))

    def _check_engine(self, engine: Engine) -> None:
        for policy in self.policies if not engine.here else ():
            if policy.name in self.objects:
                raise EvaluationError(
                    f"policy {policy.name}: a Python object plays in this process only; give it as module:function, "
                    "or leave the engine away"
                )

    job_kind = "evaluate"  #: see `engine.job.KINDS`

    def _describe(self, scenario_id: str) -> tuple[str, dict[str, Any]]:
        scenario = next(each for each in self.scenarios if each.scenario_id == scenario_id)
        return scenario.content_hash, scenario.to_dict()

    def _prepare(self, scenario_id: str, name: str) -> tuple[Measures, list[Any]]:
        """What a policy's seeds in a scenario have in common."""
        scenario = next(each for each in self.scenarios if each.scenario_id == scenario_id)
        policy = next(each for each in self.policies if each.name == name)
        return Measures(scenario), list(self._task(scenario, policy).lineups())

    def _place(self, index: int) -> tuple[Scenario, int, Policy]:
        """Of a job: for each scenario, for each seed, every policy."""
        rest, policy = divmod(index, len(self.policies))
        scenario, seed = divmod(rest, self.seeds)
        return self.scenarios[scenario], seed, self.policies[policy]

    def _task(self, scenario: Scenario, policy: Policy) -> Task:
        seats = self.seats[scenario.scenario_id]
        return Task(policy, scenario, seats, self.mode, self.episodes, self.first_seed)

    def job(self, index: int) -> Job:
        """A policy in a scenario on a seed."""
        scenario, seed, policy = self._place(index)
        spec = policy.spec if policy.check is None else absolute(policy.spec)  # a training run's has a check
        return job_of(self._task(scenario, policy), seed, *self._written(scenario.scenario_id), spec)

    def title(self, index: int) -> str:
        """What people call it."""
        scenario, seed, policy = self._place(index)
        return f"{policy.name} in {scenario.scenario_id}, seed {seed}"

    def groups(self, indices: Iterable[int], most: int) -> Iterator[list[int]]:
        """One by one: a unit takes as long as many calls of a worker."""
        yield from ([index] for index in indices)

    def here(self, indices: Sequence[int]) -> Iterator[Run]:
        """Play in this process."""
        for index in indices:
            scenario, seed, policy = self._place(index)
            task, (measures, lineups) = self._task(scenario, policy), self._ready(scenario.scenario_id, policy.name)
            yield task.unit(measures, lineups, seed)

    def _document(self, created: str, units: Sequence[Run]) -> dict[str, Any]:
        names, ids = [policy.name for policy in self.policies], [each.scenario_id for each in self.scenarios]
        by = {(unit["policy"], unit["scenario"], unit["seed"]): unit for unit in units}
        runs = [by[name, each, seed] for name in names for each in ids for seed in range(self.seeds)]
        return {
            "schema": SCHEMA,
            "created": created,
            "versions": results.versions(),
            "settings": {
                "mode": self.mode, "episodes": self.episodes, "seeds": self.seeds, "first_seed": self.first_seed,
                "baseline": self.baseline, "primary": self.primary, "transfer": self.transfer,
                "settings_hash": self.settings_hash,
            },
            "scenarios": [_described(each) for each in self.scenarios],
            "policies": [{"name": p.name, "spec": p.spec, "identity": p.identity} for p in self.policies],
            "seats": {name: list(seats) for name, seats in self.seats.items()},
            "runs": runs,
            "summary": results.summarise(runs, names, ids),
            "comparisons": results.compare(runs, names, ids, self.baseline, self.primary),
        }  # fmt: skip


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise EvaluationError(f"{name} must be a whole number in {low}..{high}, got {value!r}")
    return int(value)


def _load(scenarios: Source | Sequence[Source], overrides: Sequence[str]) -> list[Scenario]:
    many = isinstance(scenarios, Sequence) and not isinstance(scenarios, str)
    sources: list[Source] = list(scenarios) if many else [scenarios]  # type: ignore[arg-type, list-item]
    if not sources:
        raise EvaluationError("scenarios: none given; name at least one")
    loaded = [load_scenario(source, overrides) for source in sources]
    ids = [each.scenario_id for each in loaded]
    for name in ids:
        if ids.count(name) > 1:
            raise EvaluationError(f"scenarios: {name} is given twice; results tell them apart by scenario_id")
    return loaded


def _seats(scenario: Scenario, seats: str | Sequence[str]) -> tuple[str, ...]:
    try:
        chosen = select(scenario.agent_names, seats)
    except ValueError as error:
        text = str(error).replace("learners:", f"seats in {scenario.scenario_id}:", 1)
        raise EvaluationError(text) from error
    if not chosen:
        raise EvaluationError(f"seats in {scenario.scenario_id}: none chosen; name an agent, a pattern or all")
    return chosen


def _described(scenario: Scenario) -> dict[str, Any]:
    pairs = zip(scenario.agent_names, scenario.archetypes, strict=True)
    return {
        "scenario": scenario.scenario_id,
        "content_hash": scenario.content_hash,
        "description": scenario.description,
        "epochs": scenario.simulation.n_epochs,
        "steps_per_epoch": scenario.simulation.steps_per_epoch,
        "agents": [{"name": name, "archetype": archetype} for name, archetype in pairs],
    }
