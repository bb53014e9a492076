"""WaltzRL and MACPO in the same markets: what their reproductions have trained governs both alignment scenarios.

It trains nothing: `swarm reproduce waltz` and `swarm reproduce macpo` come first, and their folders lie beside its own.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import swarm_env
from swarm_env.engine.job import Job
from swarm_env.engine.run import Engine
from swarm_env.evaluation import FIRST_SEED
from swarm_env.evaluation.trained import absolute
from trainers.checkpoint import RunError, write_whole
from trainers.reproduce import markets
from trainers.reproduce.files import Files, Piece
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


def _piece(out: Path, seed: int, answers: dict[str, str], episodes: int) -> Piece:
    """The judging of one seed's trainings."""
    file = out / "scores" / f"seed{seed}.json"
    whole = {who: absolute(spec) for who, spec in answers.items()}
    params = {"seed": seed, "episodes": episodes, "answers": list(answers)}
    job = Job("compare", params, {"answers": whole, "file": str(file.resolve())})
    return Piece(job, f"seed {seed}", file.exists(), file)


def run_jobs(jobs: Sequence[Job]) -> list[None]:
    """Judge; what a worker does."""
    for job in jobs:
        answers, episodes, first = job.hints["answers"], job.params["episodes"], FIRST + job.params["seed"] * APART
        found = {name: markets.judge(swarm_env.load_scenario(name), answers, episodes, first) for name in SCENARIOS}
        write_whole(Path(job.hints["file"]), (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
    return [None] * len(jobs)


def study(out: Path, seeds: int, engine: Engine, quick: bool) -> list[Path]:
    """Judge what is not judged yet, and write the note; see `trainers.reproduce`."""
    pieces = [_piece(out, seed, specs(out.parent, seed), 2 if quick else EPISODES) for seed in range(seeds)]
    work = Files("compare", pieces, print)
    work.carry_out(engine, out)
    scores: dict[str, list[dict[str, markets.Row]]] = {name: [] for name in SCENARIOS}
    for piece in pieces:
        held = json.loads(piece.file.read_text(encoding="utf-8"))
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
