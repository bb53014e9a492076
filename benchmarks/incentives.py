"""Unilateral deviations: what each conduct earns a step, under which levers, against whom. Writes docs/environment.md.

One agent (an honest seat) proposes in every step, to its contacts in turn, always with the same conduct, and accepts
all it is offered. The others either accept everything and do nothing else, or play their archetypes. Levers: all off,
each of the scenario's alone, as the scenario has them. Mean reward a step over an episode, 95 % half-width over seeds.

    python benchmarks/incentives.py            print the tables
    python benchmarks/incentives.py --write    put them into docs/environment.md
"""

from __future__ import annotations

import argparse
import platform
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swarm_env import LEVERS, Scenario, load_scenario
from swarm_env.compile import compile_scenario
from swarm_env.core.types import CONDUCTS, NOOP, PROPOSE

SCENARIOS = ("alignment_waltz_targeted_feedback", "macpo_weak_to_strong")
FOCAL = "honest_1"
PAGE = Path(__file__).resolve().parent.parent / "docs" / "environment.md"
BEGIN, END = "<!-- incentives: begin -->", "<!-- incentives: end -->"


def governance_settings(scenario: Scenario) -> dict[str, dict[str, object]]:
    """Setting -> governance section: off, each lever that the scenario turns on alone, and as written."""
    written = dict(scenario.to_dict().get("governance", {}))
    settings: dict[str, dict[str, object]] = {"levers off": {}}
    for name, lever in LEVERS.items():
        keys = {key: value for key, value in written.items() if key in lever.Config.model_fields}
        if name == "security" and keys:  # a quarantine lasts as long as the breaker's freeze
            keys |= {key: value for key, value in written.items() if key == "freeze_duration_epochs"}
        if keys:
            settings[name] = keys
    settings["as written"] = written
    return settings


def play(scenario: Scenario, conduct: int, accept_all: bool, seeds: int) -> NDArray[np.float64]:
    """Mean reward a step of the focal agent, by seed: (seeds,)."""
    compiled = compile_scenario(scenario, "all" if accept_all else FOCAL)
    state, view = compiled.allocate(seeds)
    state.rows["seed"] = np.arange(seeds)
    compiled.reset(state, view, 0, seeds)
    focal, row = compiled.names.index(FOCAL), compiled.learner_names.index(FOCAL)
    actions = np.zeros((seeds, compiled.num_learners, len(compiled.nvec)), dtype=np.int64)
    total = np.zeros(seeds)
    others = len(compiled.names) - 1
    for step in range(scenario.num_steps):
        shown = view.mask[:, :, 1 : 2 * compiled.inbox : 2]  # the accept bit of every slot, where it is legal
        actions[:, :, : compiled.inbox] = shown
        actions[:, :, compiled.inbox] = NOOP
        actions[:, row, compiled.inbox] = PROPOSE
        actions[:, row, compiled.inbox + 1] = step % min(others, compiled.peers)
        actions[:, row, compiled.inbox + 2] = conduct
        compiled.advance(state, view, actions, 0, seeds)
        total += state.agents["reward"][:, focal]
    return total / scenario.num_steps


def tables(seeds: int) -> str:
    """Markdown tables for all scenarios and counterparties."""
    parts = []
    for name in SCENARIOS:
        scenario = load_scenario(name)
        for accept_all in (True, False):
            against = "counterparties that accept everything" if accept_all else "the scripted population"
            parts += [f"`{name}`, against {against}:", "", _table(scenario, accept_all, seeds), ""]
    return "\n".join(parts)


def _table(scenario: Scenario, accept_all: bool, seeds: int) -> str:
    lines = ["| levers | " + " | ".join(CONDUCTS) + " | best |", "|---|" + "---:|" * len(CONDUCTS) + "---|"]
    plain = scenario.to_dict()
    for setting, governance in governance_settings(scenario).items():
        changed = load_scenario({**plain, "governance": governance})
        results = [play(changed, conduct, accept_all, seeds) for conduct in range(len(CONDUCTS))]
        cells = [f"{r.mean():.3f} ± {1.96 * r.std(ddof=1) / np.sqrt(seeds):.3f}" for r in results]
        best = CONDUCTS[int(np.argmax([r.mean() for r in results]))]
        lines.append(f"| {setting} | " + " | ".join(cells) + f" | {best} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=64)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/environment.md")
    arguments = parser.parse_args()
    head = (
        f"Mean reward a step over an episode ± 95 % half-width, {arguments.seeds} seeds; "
        f"`python benchmarks/incentives.py`, {date.today().isoformat()}, {platform.machine()}.\n"
    )
    text = f"{head}\n{tables(arguments.seeds)}"
    print(text)
    if arguments.write:
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
