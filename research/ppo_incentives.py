"""What PPO learners come to do with the levers off and on: learning curves into docs/, tables into the note.

One market, `alignment_waltz_targeted_feedback`, with every lever off and as written; learners in the three honest
seats among scripts, and in all seven seats (self-play of one shared policy). Every policy is then judged on held-out
seeds, under the levers it was trained with and under the other setting.

    python research/ppo_incentives.py              train what runs/ppo_incentives/ does not hold yet, and report
    python research/ppo_incentives.py --workers 2  two runs at a time, one thread each
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SCENARIO = "alignment_waltz_targeted_feedback"
ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "runs" / "ppo_incentives"
NOTE = ROOT / "research" / "notes" / "ppo_incentives.md"
PICTURE = ROOT / "docs" / "ppo_incentives.png"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
EPISODES = 64  #: held-out seeds of an evaluation
LEVERS = {"off": ("governance=null",), "on": ()}
SEATS = {"honest seats": "honest_*", "all seats": "all"}
STEPS = {"honest seats": 600_000, "all seats": 1_400_000}  #: 200,000 agent-steps a seat
COLORS = {("honest seats", "off"): "#e6862e", ("honest seats", "on"): "#4c9be8", ("all seats", "off"): "#b3202c",
          ("all seats", "on"): "#1b4f91"}  # fmt: skip

#: Columns of the tables: heading, key of `trainers.evaluation.summary`, decimals.
COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("return a seat", "return", 0), ("above scripts", "gain", 0), ("honest", "conduct_honest", 2),
    ("opport.", "conduct_opportunistic", 2), ("decept.", "conduct_deceptive", 2),
    ("advers.", "conduct_adversarial", 2), ("proposals a step", "verb_propose", 2), ("accepts", "accepts", 2),
    ("toxicity", "toxicity_rate", 3), ("acceptance", "acceptance_rate", 2), ("welfare", "total_welfare", 0),
    ("social welfare", "net_social_welfare", 0),
)  # fmt: skip
CURVES = (
    ("episode/return", "return of a learner"), ("choice/conduct_honest", "honest share of proposals"),
    ("choice/conduct_adversarial", "adversarial share of proposals"), ("market/acceptance_rate", "acceptance rate"),
    ("market/toxicity_rate", "toxicity of what is accepted"), ("market/net_social_welfare", "net social welfare"),
)  # fmt: skip


class Setting(NamedTuple):
    """One training run."""

    seats: str
    levers: str
    seed: int

    @property
    def folder(self) -> Path:
        """Of the run."""
        return RUNS / f"{self.seats.replace(' ', '_')}_levers_{self.levers}_seed{self.seed}"


def train(setting: Setting) -> None:
    """Train one policy, or go on with a run that was cut off."""
    from trainers import ppo

    if (setting.folder / "policy.safetensors").exists():
        return
    config = ppo.Config(
        scenario=SCENARIO, overrides=LEVERS[setting.levers], learners=(SEATS[setting.seats],), seed=setting.seed,
        total_steps=STEPS[setting.seats], eval_episodes=0,
    )  # fmt: skip
    ppo.train(config, setting.folder, resume=(setting.folder / "run.json").exists())
    print(f"trained {setting.folder.name}", flush=True)


def judge(seats: str, trained: str, played: str, seeds: int, scripts: Any) -> list[dict[str, Any]]:
    """Summaries, one a seed, of policies trained under one setting of the levers and played under another."""
    import swarm_env
    from trainers import evaluation, ppo

    scenario = swarm_env.load_scenario(SCENARIO, LEVERS[played])
    found = []
    for seed in range(seeds):
        policy = ppo.load(Setting(seats, trained, seed).folder)
        found.append(evaluation.summary(evaluation.play("ppo", policy, scenario, SEATS[seats], EPISODES), scripts))
    return found


def cell(summaries: list[dict[str, Any]], key: str, decimals: int) -> str:
    """Mean over seeds, with the lowest and the highest."""
    values = [row[key][0] if isinstance(row.get(key), list) else row.get(key) for row in summaries]
    numbers = [value for value in values if value is not None]
    if not numbers:
        return "-"
    mean = f"{np.mean(numbers):.{decimals}f}"
    return mean if len(numbers) == 1 else f"{mean} ({min(numbers):.{decimals}f}..{max(numbers):.{decimals}f})"


def report(seeds: int) -> str:
    """The tables: one for each choice of seats."""
    import swarm_env
    from trainers import evaluation

    blocks = []
    for seats in SEATS:
        names = swarm_env.load_scenario(SCENARIO).agent_names
        agents = [name for name in names if seats == "all seats" or name.startswith("honest")]
        heads = ["policy", "levers", *(heading for heading, _, _ in COLUMNS)]
        lines = ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * len(COLUMNS)]
        for played in LEVERS:
            scenario = swarm_env.load_scenario(SCENARIO, LEVERS[played])
            scripts = evaluation.play_scripts("scripts", scenario, agents, EPISODES)
            rows = {"scripts": [evaluation.summary(scripts)]}
            for trained in LEVERS:
                name = f"PPO, trained with levers {trained}"
                rows[name] = judge(seats, trained, played, seeds, scripts)
            for name, summaries in rows.items():
                cells = [cell(summaries, key, decimals) for _, key, decimals in COLUMNS]
                lines.append("| " + " | ".join([name, played, *cells]) + " |")
        blocks.append(f"Learners in {seats} ({STEPS[seats]:,} agent-steps):\n\n" + "\n".join(lines) + "\n")
    return "\n".join(blocks)


def curve(setting: Setting, name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Agent-steps a seat, and a column of metrics.csv where it is defined."""
    rows = list(csv.DictReader((setting.folder / "metrics.csv").read_text().splitlines()))
    seats = 7 if setting.seats == "all seats" else 3
    kept = [(int(row["step"]) / seats, float(row[name])) for row in rows if row[name]]
    steps, values = zip(*kept, strict=True)
    return np.array(steps), np.array(values)


def draw(seeds: int) -> None:
    """Learning curves: mean over seeds, band from the lowest to the highest."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 3, figsize=(11, 6), constrained_layout=True)
    for (name, title), panel in zip(CURVES, panels.flat, strict=True):
        for (seats, levers), color in COLORS.items():
            grid = np.linspace(4_000, 200_000, 120)
            curves = [curve(Setting(seats, levers, seed), name) for seed in range(seeds)]
            values = np.array([np.interp(grid, *each) for each in curves])
            panel.fill_between(grid, values.min(axis=0), values.max(axis=0), color=color, alpha=0.18, linewidth=0)
            panel.plot(grid, values.mean(axis=0), color=color, label=f"{seats}, levers {levers}", linewidth=1.6)
        panel.set_title(title, fontsize=10)
        panel.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:.0f}k")
        panel.grid(alpha=0.25)
    panels[1, 1].set_xlabel("agent-steps a seat")
    panels[0, 0].legend(fontsize=8)
    figure.savefig(PICTURE, dpi=80)


def main() -> None:
    """Train, draw, write the tables into the note."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    settings = [Setting(s, lever, seed) for seed in range(arguments.seeds) for s in SEATS for lever in LEVERS]
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(train, settings))
    draw(arguments.seeds)
    head = (
        f"Means over {arguments.seeds} training seeds (lowest..highest), each over {EPISODES} held-out episodes; "
        f"`python research/ppo_incentives.py`, {date.today().isoformat()}, "
        f"{os.cpu_count()} {platform.machine()} cores.\n"
    )
    text = f"{head}\n{report(arguments.seeds)}"
    print(text)
    page = NOTE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    NOTE.write_text(f"{before}{BEGIN}\n{text}{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
