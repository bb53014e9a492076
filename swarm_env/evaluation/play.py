"""Whole episodes of one scenario, many at once, and a record of all that its metrics need."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env.compile import Compiled, compile_scenario
from swarm_env.core.archetypes import ARCHETYPES
from swarm_env.core.types import NUM_TRAITS, POST, PROPOSE, TASK, VERBS, VOTE, Scene, State, View
from swarm_env.deals import settled
from swarm_env.evaluation.govern import OVERSIGHT, Governor
from swarm_env.evaluation.protocol import Act, Governing, Make, Policy, PolicyError, Setting, one_line
from swarm_env.metrics import COLUMNS
from swarm_env.scenario import Scenario
from swarm_env.tally import COUNTS

#: Rows times agents of a batch at most: a step's tables then stay in the cache, and a record takes some ten megabytes.
BATCH = 512


@dataclass(frozen=True)
class Record:
    """E whole episodes of N agents, K epochs each."""

    deals: dict[str, NDArray[Any]]  # columns as `metrics.compute` takes them, (n,) each, by episode, then time
    start: NDArray[np.int64]  # (E+1,): the deals of episode e are start[e]..start[e+1]-1
    gained: NDArray[np.float64]  # (E, N) sum of rewards
    counts: dict[str, NDArray[np.int64]]  # tally.COUNTS: (E,) each
    penalties: NDArray[np.float64]  # (E, K) resources taken, by epoch
    reputation: NDArray[np.float64]  # (E, K, N), this and the next three as each epoch closes
    resources: NDArray[np.float64]  # (E, K, N)
    frozen: NDArray[np.bool_]  # (E, K, N)
    quarantined: NDArray[np.bool_]  # (E, K, N)
    caught: NDArray[np.bool_]  # (E, N) quarantined at some time
    oversight: dict[str, NDArray[np.float64]]  # OVERSIGHT: (E,) each


def compiled_for(scenario: Scenario, seats: tuple[str, ...], policy: Policy) -> Compiled:
    """The scenario with the policy in these seats.

    A policy that acts or governs has them as learners. An archetype plays in them with the settings that the scenario's
    first group of that type has, its defaults if there is none; names, contacts and all draws stay as they are.
    `scripts` changes nothing.
    """
    if policy.archetype is None:
        return compile_scenario(scenario, seats if policy.make is not None else ())
    compiled = compile_scenario(scenario)
    groups = [group.config for group in scenario.agents if group.type == policy.archetype]
    config = groups[0] if groups else ARCHETYPES[policy.archetype].Config()
    traits = [float(getattr(config, name)) for name in type(config).model_fields]
    table = compiled.scene.seats.copy()
    for i in (compiled.names.index(seat) for seat in seats):
        table["archetype"][0, i] = list(ARCHETYPES).index(policy.archetype)
        table["traits"][0, i] = traits + [0.0] * (NUM_TRAITS - len(traits))
    return dataclasses.replace(compiled, scene=Scene(compiled.scene.params, table, compiled.scene.edges))


def setting_of(compiled: Compiled, seed: int) -> Setting:
    """What a policy is told of what it will play."""
    return Setting(
        compiled.scenario.scenario_id,
        compiled.scenario.content_hash,
        compiled.learner_names,
        tuple(compiled.nvec.tolist()),
        compiled.feature_names,
        seed,
    )


def batch_size(scenario: Scenario) -> int:
    """Episodes played side by side."""
    return max(1, BATCH // scenario.num_agents)


def play(compiled: Compiled, policy: Policy, first_seed: int, episodes: int, draws: int) -> Record:
    """Episode e is the first of market seed first_seed + e.

    Args:
        compiled: see `compiled_for`.
        policy: who acts or answers for the learners, if there are any.
        first_seed: at least 0; with the episodes below 2**63.
        episodes: E, at least 1.
        draws: the policy's own seed, see `Setting.seed`.

    Raises:
        PolicyError: actions of another shape, not whole, out of range, or not allowed by the mask; answers likewise.
    """
    made = None if policy.make is None else _made(policy, policy.make, setting_of(compiled, draws))
    governor = Governor(policy, compiled, made.decide, episodes) if isinstance(made, Governing) else None
    state, view = compiled.allocate(episodes, infos=False, watched=True)
    state.rows["seed"] = first_seed + np.arange(episodes)
    compiled.reset(state, view, 0, episodes)
    actions = np.zeros((episodes, compiled.num_learners, len(compiled.nvec)), dtype=np.int64)
    watch = _Watch(compiled, episodes)
    for step in range(compiled.scenario.num_steps):
        if governor is not None:
            actions = governor.actions(state, view, step)
        elif made is not None:
            assert not isinstance(made, Governing)
            actions = _acted(policy, compiled, made, view, step)
        compiled.advance(state, view, actions, 0, episodes)
        watch.look(state, step)
    unseen = {name: np.full(episodes, np.nan) for name in OVERSIGHT}
    return watch.record(state, unseen if governor is None else governor.rates())


def _made(policy: Policy, make: Make, setting: Setting) -> Act | Governing:
    try:
        return make(setting)
    except (PolicyError, ImportError):
        raise
    except Exception as error:
        raise PolicyError(f"policy {policy.name} in {setting.scenario}: making it raised {one_line(error)}") from error


def _acted(policy: Policy, compiled: Compiled, act: Act, view: View, step: int) -> NDArray[np.int64]:
    """A policy's actions (E, L, heads)."""
    episodes, learners = view.observation.shape[:2]
    seen = view.observation.reshape(episodes * learners, -1).copy()
    mask = view.mask.reshape(episodes * learners, -1).copy()
    return _checked(policy, compiled, act, seen, mask, step).reshape(episodes, learners, -1)


def _checked(
    policy: Policy, compiled: Compiled, act: Act, seen: NDArray[np.float32], mask: NDArray[np.int8], step: int
) -> NDArray[np.int64]:
    """A policy's actions (n, heads), every one of them a choice that its mask allows."""
    where = f"policy {policy.name} in {compiled.scenario.scenario_id}, step {step}"
    legal, rows = mask.copy(), len(mask)
    heads, nvec = len(compiled.nvec), compiled.nvec
    try:
        given = np.asarray(act(seen, mask))
    except (PolicyError, ImportError):
        raise
    except Exception as error:
        raise PolicyError(f"{where}: it raised {one_line(error)}") from error
    if given.shape != (rows, heads):
        raise PolicyError(f"{where}: actions have shape {given.shape}; they must be ({rows}, {heads}) whole numbers")
    if given.dtype.kind not in "biuf":
        raise PolicyError(f"{where}: actions are of type {given.dtype}; they must be whole numbers")
    whole = np.isfinite(given) & (given == np.floor(given))
    fine = whole & (given >= 0) & (given < nvec)
    chosen = np.where(fine, given, 0).astype(np.int64)
    if fine.all():
        starts = np.concatenate(([0], np.cumsum(nvec)[:-1]))
        allowed = np.take_along_axis(legal, starts + chosen, axis=1) > 0
        empty = np.add.reduceat(legal > 0, starts, axis=1) == 0  # nothing to choose from: nothing is read either
        fine = allowed | empty
        if fine.all():
            return chosen
    row, head = (int(k) for k in np.argwhere(~fine)[0])
    agent = compiled.learner_names[row % compiled.num_learners]
    start = int(nvec[:head].sum())
    options = np.flatnonzero(legal[row, start : start + int(nvec[head])]).tolist()
    value = given[row, head].item()
    raise PolicyError(f"{where}: {agent} (row {row}) chose {value} in action head {head}; its mask allows {options}")


class _Watch:
    """Collects a `Record` step by step."""

    def __init__(self, compiled: Compiled, episodes: int) -> None:
        simulation = compiled.scenario.simulation
        self.per_epoch = simulation.steps_per_epoch
        shape = (episodes, simulation.n_epochs, compiled.num_agents)
        self.deals: list[NDArray[Any]] = []
        self.steps: list[int] = []
        self.counts = {column: np.zeros(episodes, dtype=np.int64) for column in COUNTS}
        self.penalties = np.zeros(shape[:2])
        self.reputation, self.resources = np.zeros(shape), np.zeros(shape)
        self.frozen, self.quarantined = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
        self.caught = np.zeros((episodes, shape[2]), dtype=np.bool_)

    def look(self, state: State, step: int) -> None:
        """What this step, counted from 0, has done."""
        self.deals.append(settled(state, rows=True))
        outcomes, epoch = np.asarray(state.outcomes), step // self.per_epoch
        verb, bounced = outcomes["verb"], outcomes["bounced"]
        self.penalties[:, epoch] += outcomes["penalty"].sum(axis=1)
        by_verb = np.stack([np.count_nonzero(verb == k, axis=1) for k in range(len(VERBS))])
        lost = np.count_nonzero(bounced & (verb == PROPOSE), axis=1)
        counts = self.counts
        counts["proposals"] += by_verb[PROPOSE] - lost
        counts["bounces"] += lost
        for column, number in (("posts", POST), ("votes", VOTE), ("tasks", TASK)):
            counts[column] += by_verb[number]
        for column, field in (("failed_audits", "audited"), ("violations", "violation"), ("freezes", "froze")):
            counts[column] += np.count_nonzero(outcomes[field], axis=1)
        if (step + 1) % self.per_epoch == 0:
            self._close(outcomes, epoch)

    def _close(self, outcomes: NDArray[Any], epoch: int) -> None:
        self.reputation[:, epoch], self.resources[:, epoch] = outcomes["close_reputation"], outcomes["close_resources"]
        self.frozen[:, epoch], self.quarantined[:, epoch] = outcomes["close_frozen"], outcomes["close_quarantined"]
        self.counts["quarantines"] += np.count_nonzero(outcomes["quarantined"], axis=1)
        self.counts["releases"] += np.count_nonzero(outcomes["released"], axis=1)
        self.caught |= outcomes["quarantined"]

    def record(self, state: State, oversight: dict[str, NDArray[np.float64]]) -> Record:
        """All of it, deals sorted by episode."""
        deals = np.concatenate(self.deals)
        step = np.repeat(np.arange(len(self.deals)), [len(part) for part in self.deals])
        order = np.argsort(deals["row"], kind="stable")
        deals, step = deals[order], step[order]
        kept = {name: np.ascontiguousarray(deals[name]) for name in deals.dtype.names or () if name in COLUMNS}
        kept["step"], kept["epoch"] = step, step // self.per_epoch
        start = np.searchsorted(deals["row"], np.arange(len(self.penalties) + 1))
        return Record(
            kept, start, np.asarray(state.agents["gained"]).copy(), self.counts, self.penalties, self.reputation,
            self.resources, self.frozen, self.quarantined, self.caught, oversight,
        )  # fmt: skip
