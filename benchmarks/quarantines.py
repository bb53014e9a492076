"""Whom does security control quarantine? By archetype, with and without the laundering rule; printed as a table.

    python benchmarks/quarantines.py [--seeds 200]

See research/notes/security_false_positives.md.
"""

from __future__ import annotations

import argparse

import numpy as np

from swarm_env import load_scenario
from swarm_env.compile import compile_scenario

SCENARIOS = ("alignment_waltz_targeted_feedback", "security_evaluation")
SETTINGS = {
    "as written": [],
    "no laundering rule": ["governance.security_laundering_trust_gap=2"],
    "no security": ["governance.security_enabled=false"],
}


def measure(name: str, overrides: list[str], seeds: int) -> dict[str, tuple[float, float, float]]:
    """Archetype -> (share ever quarantined, share of steps frozen, mean final resources); plus the market's welfare."""
    scenario = load_scenario(name, overrides)
    compiled = compile_scenario(scenario)
    state, view = compiled.allocate(seeds)
    state.rows["seed"] = np.arange(seeds)
    compiled.reset(state, view, 0, seeds)
    actions = np.zeros((seeds, 0, len(compiled.nvec)), dtype=np.int64)
    ever = np.zeros((seeds, compiled.num_agents), dtype=bool)
    frozen = np.zeros((seeds, compiled.num_agents))
    for _ in range(scenario.num_steps):
        compiled.advance(state, view, actions, 0, seeds)
        epoch = state.rows["epoch"][:, None]
        ever |= state.agents["quarantined_until"] > 0
        frozen += epoch < np.maximum(state.agents["quarantined_until"], state.agents["frozen_until"])
    kinds, result = np.array(scenario.archetypes), {}
    for kind in dict.fromkeys(kinds.tolist()):
        of = kinds == kind
        resources = float(state.agents["resources"][:, of].mean())
        result[kind] = (float(ever[:, of].mean()), float(frozen[:, of].mean() / scenario.num_steps), resources)
    rows = state.rows
    toxicity = 1 - rows["p_accepted"].sum() / rows["accepted"].sum()
    result["market"] = (float(toxicity), float(rows["welfare"].mean()), float(rows["settled"].mean()))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    seeds = parser.parse_args().seeds
    print("| scenario | security | archetype | ever quarantined | steps frozen | final resources |")
    print("|---|---|---|---:|---:|---:|")
    markets = []
    for name in SCENARIOS:
        for setting, overrides in SETTINGS.items():
            result = measure(name, overrides, seeds)
            toxicity, welfare, settled = result.pop("market")
            markets.append(f"| {name} | {setting} | {toxicity:.3f} | {welfare:.1f} | {settled:.0f} |")
            for kind, (ever, frozen, resources) in result.items():
                print(f"| {name} | {setting} | {kind} | {ever:.0%} | {frozen:.0%} | {resources:.0f} |")
    print("\n| scenario | security | toxicity of accepted | welfare a run | interactions a run |")
    print("|---|---|---:|---:|---:|")
    print("\n".join(markets))


if __name__ == "__main__":
    main()
