"""WaltzRL and MACPO in the same markets: what their reproductions have trained governs both alignment scenarios.

It trains nothing: `swarm reproduce waltz` and `swarm reproduce macpo` come first, and their folders lie beside its own.
"""

from __future__ import annotations

import json
import platform
from datetime import date
from pathlib import Path

import swarm_env
from swarm_env.evaluation import FIRST_SEED
from trainers.checkpoint import RunError, write_whole
from trainers.reproduce import markets
from trainers.reproduce.tables import cell, insert, markdown

NOTE = Path(__file__).resolve().parents[2] / "research" / "notes" / "alignment_waltz_vs_macpo_results.md"
EPISODES = 64  #: held-out markets of a row and seed
FIRST = FIRST_SEED + 2**40  #: first market seed; neither study judges in these
APART = 2**20  #: market seeds between two seeds

SCENARIOS = ("alignment_waltz_targeted_feedback", "macpo_weak_to_strong")
#: Who answers every proposal -> the study, its training, and which of its policies; None: the scripts.
ANSWERS: dict[str, tuple[str, str, str] | None] = {
    "scripts": None,
    "WaltzRL: base": ("waltz", "waltz", "#base-conversation"),
    "WaltzRL: pair, as published": ("waltz", "waltz", ""),
    "WaltzRL: pair, variant L": ("waltz", "variant_L", ""),
    "single-policy RL": ("waltz", "single", ""),
    "single-policy RL that sees the ledger": ("waltz", "single_ledger", ""),
    "MACPO: a weak teacher": ("macpo", "published", "#initial_teacher_1"),
    "MACPO: naive weak-to-strong": ("macpo", "published", "#naive"),
    "MACPO: student, as published": ("macpo", "published", ""),
    "MACPO: student, majority": ("macpo", "majority", ""),
    "MACPO: ceiling": ("macpo", "published", "#ceiling"),
}


def specs(folder: Path, seed: int) -> dict[str, str]:
    """Name -> SPEC; folder: where both studies' folders are.

    Raises:
        RunError: a training that is not there.
    """
    out = {}
    for who, what in ANSWERS.items():
        if what is None:
            out[who] = "scripts"
            continue
        study, name, part = what
        run = folder / f"reproduce_{study}" / f"{name}_seed{seed}"
        if not (run / "evaluation.json").exists():
            raise RunError(f"{run}: no finished training there; run 'swarm reproduce {study}' first")
        out[who] = f"{run}{part}"
    return out


def study(out: Path, seeds: int, workers: int, quick: bool) -> list[Path]:
    """Judge what is not judged yet, and write the note; see `trainers.reproduce`."""
    every = [specs(out.parent, seed) for seed in range(seeds)]
    scores: dict[str, list[dict[str, markets.Row]]] = {name: [] for name in SCENARIOS}
    for seed, answers in enumerate(every):
        path = out / "scores" / f"seed{seed}.json"
        if not path.exists():
            first = FIRST + seed * APART
            episodes = 2 if quick else EPISODES
            found = {name: markets.judge(swarm_env.load_scenario(name), answers, episodes, first) for name in SCENARIOS}
            write_whole(path, (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
        held = json.loads(path.read_text(encoding="utf-8"))
        for name in SCENARIOS:
            scores[name].append(held[name])
    text = "\n".join(
        [
            f"`swarm reproduce compare --seeds {seeds}`, {date.today().isoformat()}, {platform.machine()}. Means over "
            f"{seeds} trainings, [95 % bootstrap interval]; {2 if quick else EPISODES} held-out episodes each.\n",
            *(f"#### `{name}`\n\n{_table(scores[name])}" for name in SCENARIOS),
        ]
    )
    target = out / "results.md" if quick or not NOTE.exists() else NOTE
    if target == NOTE:
        insert(NOTE, text)
    else:
        write_whole(target, text.encode())
    return [target]


def _table(scores: list[dict[str, markets.Row]]) -> str:
    lines = [[who, *(cell([one[who][m] for one in scores], p) for _, m, p in markets.COLUMNS)] for who in ANSWERS]
    return markdown(["who answers", *(heading for heading, _, _ in markets.COLUMNS)], lines)
