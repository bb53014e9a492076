"""`swarm reproduce macpo_language`: MACPO among language models, its baselines and ablations, over seeds.

Trained and judged in the built-in language. The baseline of Burns et al. (confidence loss) is not among them: it is of
a binary decision, and a text has none.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from swarm_env.engine.run import Engine
from trainers.checkpoint import write_whole
from trainers.reproduce import jobs
from trainers.reproduce.jobs import Job
from trainers.reproduce.macpo import ROOT, Found, folder_name, rounds_table
from trainers.reproduce.tables import cell, insert, markdown

NOTE = ROOT / "research" / "notes" / "macpo_language_results.md"

OTHERS = "selection=other_teachers"  #: beyond the paper: the answer that the other teachers find the likeliest
#: Settings by name and what they change in configs/macpo_language.yaml. `default` changes nothing.
SETTINGS: dict[str, tuple[str, ...]] = {
    "default": (),
    "published weights": ("contrast.gamma=0.2", "contrast.beta=0.1"),
    "no mutual positives": ("mutual=false",),
    "no hard negatives": ("hard_negatives=false",),
    "frozen teachers": ("iterate_teachers=false",),
    "K = 1": ("teachers.count=1",),
    "DPO alone": ("contrast.gamma=0",),
    "majority": ("selection=majority",),
    "other teachers": (OTHERS,),
    "other teachers, no hard negatives": (OTHERS, "hard_negatives=false"),
    "other teachers, frozen teachers": (OTHERS, "iterate_teachers=false"),
    "labels of teacher 1": ("weak_labels=first",),
    "fresh contexts": ("fresh_contexts=true",),
}
#: Settings that are run among dual-use requests, too, whose verdict hangs on what the teachers alone see.
ASYMMETRIC = ("default", "majority", "other teachers", "no mutual positives")
SHOWN = ("default", "majority", "other teachers")  #: whose students are shown beside the baselines
QUICK = (
    "contexts=24", "held_out=24", "supervision.labels=16", "builtin.steps=20", "builtin.batch=16", "gate=0",
    "supervision.teacher={hidden: 16, layers: 1, heads: 2, intermediate: 32}", "teachers.epochs=1",
    "supervision.student={hidden: 16, layers: 1, heads: 2, intermediate: 32}", "student.epochs=1", "rounds=2",
)  # fmt: skip


def asymmetric(name: str) -> str:
    """What a setting is called where information is asymmetric."""
    return f"{name}, asymmetric"


def settings() -> dict[str, tuple[str, ...]]:
    """All of them, with what they change."""
    return SETTINGS | {asymmetric(name): (*SETTINGS[name], "builtin.dual_use=0.2") for name in ASYMMETRIC}


def all_jobs(seeds: int, quick: bool) -> list[Job]:
    """Every training: all settings of a seed before the next seed, so that a part of the study is whole in itself."""
    more = ("game=language", *(QUICK if quick else ()))
    return [
        Job(folder_name(name), "macpo", (*more, *changes), seed)
        for seed in range(seeds)
        for name, changes in settings().items()
    ]


def main_table(found: Found, named: Callable[[str], str] = str) -> str:
    """Everyone at the end, on held-out prompts.

    Args:
        named: what a setting is called in this world.
    """
    default = named("default")
    first = [(default, f"initial_teacher_{k}") for k in (1, 2, 3)]
    rows = [(f"teacher {k}, start", *each) for k, each in enumerate(first, 1)]
    rows += [("teacher majority, start", default, "majority"), ("naive weak-to-strong", default, "naive"),
             ("student of the majority's labels", default, "majority_labels"),
             ("self-alignment (-MP)", named("no mutual positives"), "student")]  # fmt: skip
    rows += [(f"MACPO, {name}", named(name), "student") for name in SHOWN]
    rows += [(f"teacher {k}, after MACPO", default, f"teacher_{k}") for k in (1, 2, 3)]
    rows += [("ceiling", default, "ceiling")]
    weak = np.array([found.policy(*each, "accuracy") for each in first], dtype=float).mean(axis=0)
    top = np.array(found.policy(default, "ceiling", "accuracy"), dtype=float)
    body = []
    for title, name, policy in rows:
        accuracy = np.array(found.policy(name, policy, "accuracy"), dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            recovered = np.where(top == weak, np.nan, (accuracy - weak) / (top - weak))
        cells = [cell(found.policy(name, policy, key), 1, 100) for key in ("accuracy", "asr", "orr", "f1")]
        cells += [cell(recovered.tolist(), 2), cell(found.policy(name, policy, "malformed"), 1, 100)]
        cells += [cell(found.policy(name, policy, "length"), 1), cell(found.policy(name, policy, "repetition"), 1, 100)]
        body.append([title, *cells])
    heads = ["policy", "accuracy %", "ASR %", "ORR %", "F1 %", "PGR", "malformed %", "tokens", "repetition %"]
    return markdown(heads, body)


def shape_table(found: Found, names: Sequence[str]) -> str:
    """What the student learnt from, and how it answers, in the first and the last round."""
    keys = {
        "positives right %": ("positives/accuracy", 100.0),
        "teachers disagree %": ("positives/disagreement", 100.0),
        "positives, tokens": ("positives/length", 1.0),
        "answers, tokens": ("answers/length", 1.0),
        "answers malformed %": ("answers/malformed", 100.0),
        "answers repeat %": ("answers/repetition", 100.0),
        "agreement %": ("agreement", 100.0),
    }
    body = [
        [f"{name}, {when}", *(cell(found.rounds(name, key)[:, t], 1, scale) for key, scale in keys.values())]
        for name in names
        for when, t in (("start", 0), ("end", -1))
    ]
    return markdown(["setting", *keys], body)


def report(found: Found) -> str:
    """All tables."""
    line = (
        f"`swarm reproduce macpo_language --seeds {found.seeds}{' --quick' if found.quick else ''}`, {date.today()}, "
        f"{os.cpu_count()} {platform.machine()} cores. Means over {found.seeds} seeds, [95 % bootstrap interval]; "
        f"\"less default\": paired differences in percentage points, p by the sign-flip test (never below "
        f"{2 / 2**found.seeds:.2f} with {found.seeds} seeds)."
    )  # fmt: skip
    parts = [
        line, "### Everyone at the end", main_table(found),
        "### Rounds, ablations, settings (student's accuracy in %)", rounds_table(found, list(SETTINGS), "default"),
        "### What was learnt from, and how students answer", shape_table(found, list(SETTINGS)),
        "### Asymmetric information: everyone at the end", main_table(found, asymmetric),
        "### Asymmetric information: rounds",
        rounds_table(found, [asymmetric(name) for name in ASYMMETRIC], asymmetric("default")),
    ]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts) + "\n"


def study(out: Path, seeds: int, engine: Engine, quick: bool) -> list[Path]:
    """Train what `out` does not hold, and write tables there; unless quick, into the note as well."""
    every = all_jobs(seeds, quick)
    jobs.run(every, out, engine)
    text = report(Found(out, seeds, quick, list(settings()), every))
    write_whole(out / "results.md", text.encode())
    if quick or not NOTE.exists():
        return [out / "results.md"]
    insert(NOTE, text)
    return [out / "results.md", NOTE]
