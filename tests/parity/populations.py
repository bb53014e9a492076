"""The scripted market on both sides: one scenario, played by SWARM and by swarm_env, as plain tables of dealings."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from swarm.scenarios import loader

from swarm_env.catalog import shipped
from swarm_env.compile import compile_scenario
from swarm_env.scenario import load_scenario

#: Payoffs, budgets and levers of this scenario; it has no security lever.
SETTINGS = "macpo_weak_to_strong"
#: Populations of types whose conduct and rules of play SWARM and we share.
POPULATIONS: tuple[dict[str, int], ...] = (
    {"honest": 4, "opportunistic": 2},
    {"honest": 3, "opportunistic": 2, "adversarial": 1},
    {"honest": 2, "opportunistic": 2, "adversarial": 2},
    {"honest": 5, "adversarial": 2},
    {"honest": 6},
    {"opportunistic": 5},
)
FREE = {"honest": 0.0, "opportunistic": 0.0, "deceptive": 0.0, "adversarial": 0.0}
DEALING = np.dtype(
    [("run", "i8"), ("epoch", "i8"), ("initiator", "i8"), ("counterparty", "i8"), ("p", "f8"), ("accepted", "?")]
)


def settings(population: dict[str, int]) -> dict[str, Any]:
    """The scenario both sides play, in SWARM's own format."""
    data: dict[str, Any] = yaml.safe_load(shipped()[SETTINGS].read_text())
    data["agents"] = [{"type": name, "count": count} for name, count in population.items()]
    for section in ("success_criteria", "outputs"):
        data.pop(section)
    return data


def types_of(population: dict[str, int]) -> list[str]:
    """Type of every agent, in the order in which both sides number them."""
    return [name for name, count in population.items() for _ in range(count)]


def play_swarm(population: dict[str, int], seeds: list[int]) -> np.ndarray:
    """SWARM's orchestrator, one run a seed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.yaml"
        path.write_text(yaml.safe_dump(settings(population)))
        runs = [_play_swarm_once(path, run, seed) for run, seed in enumerate(seeds)]
    return np.concatenate(runs)


def _play_swarm_once(path: Path, run: int, seed: int) -> np.ndarray:
    scenario = loader.load_scenario(path)
    scenario.orchestrator_config.seed = seed
    market, rows = loader.build_orchestrator(scenario), []
    number = {agent.agent_id: k for k, agent in enumerate(market.get_all_agents())}
    market.on_interaction_complete(
        lambda dealing, *payoffs: rows.append(
            (
                run,
                market.state.current_epoch,
                number[dealing.initiator],
                number[dealing.counterparty],
                dealing.p,
                dealing.accepted,
            )
        )
    )
    market.run()
    return np.array(rows, DEALING)


def play_ours(population: dict[str, int], num_runs: int, changes: dict[str, Any] | None = None) -> np.ndarray:
    """Our kernel, all runs at once: prices of conduct 0 and reputation worth nothing, as in SWARM.

    Proposals that nobody could answer are left out: SWARM never settles them.
    """
    data = settings(population) | {"conduct": {"effort": FREE, "extraction": FREE}}
    data["payoff"]["w_rep"] = 0.0
    scenario = load_scenario(data, changes or {})
    compiled = compile_scenario(scenario)
    state, view = compiled.allocate(num_runs)
    state.rows["seed"] = np.arange(1, num_runs + 1)
    compiled.reset(state, view, 0, num_runs)
    actions, tables = np.zeros((num_runs, 0, len(compiled.nvec)), dtype=np.int64), []
    for step in range(scenario.num_steps):
        compiled.advance(state, view, actions, 0, num_runs)
        deals = np.asarray(state.deals)
        run, initiator = np.nonzero(state.agents["settled"] & deals["answered"])
        table = np.zeros(len(run), DEALING)
        table["run"], table["initiator"] = run, initiator
        table["epoch"] = step // scenario.simulation.steps_per_epoch
        for name in ("counterparty", "p", "accepted"):
            table[name] = deals[name][run, initiator]
        tables.append(table)
    return np.concatenate(tables)
