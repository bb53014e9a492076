"""`swarm reproduce macpo`: MACPO (arXiv 2410.07672), its baselines, ablations and what lies beyond, over seeds."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env import statistics
from swarm_env.engine.run import Engine
from trainers.checkpoint import write_whole
from trainers.reproduce import jobs, macpo_figures, macpo_population
from trainers.reproduce.jobs import Job
from trainers.reproduce.tables import cell, insert, markdown

ROOT = Path(__file__).resolve().parents[2]
NOTE = ROOT / "research" / "notes" / "macpo_results.md"
PICTURES = ROOT / "docs"

VOTE = "selection=majority"  #: beyond the paper: the student learns what most teachers agree with
#: Settings by name and what they change in configs/macpo.yaml. `published` changes nothing.
SETTINGS: dict[str, tuple[str, ...]] = {
    "published": (),
    "majority": (VOTE,),
    "no mutual positives": ("mutual=false",),
    "no hard negatives": ("hard_negatives=false",),
    "frozen teachers": ("iterate_teachers=false",),
    "K = 1": ("teachers.count=1",),
    "K = 2": ("teachers.count=2",),
    "reference previous": ("contrast.reference=previous",),
    "negatives refreshed": ("negatives=refreshed",),
    "teachers first": ("order=teachers_first",),
    "simultaneous": ("order=simultaneous",),
    "random": ("selection=random",),
    "all teachers": ("selection=all_teachers",),
    "other teachers": ("selection=other_teachers",),
    "balanced": ("contrast.balance=true",),
    "sampled answers": ("decoding=sample",),
    "majority starts": ("weak_labels=majority",),
    "majority throughout": (VOTE, "weak_labels=majority"),
}
#: What might hold later rounds, over LONG rounds.
LONG = 6
LATER: dict[str, tuple[str, ...]] = {
    "published, long": (),
    "majority, long": (VOTE,),
    "majority, frozen teachers": (VOTE, "iterate_teachers=false"),
    "majority, fresh contexts": (VOTE, "fresh_contexts=true"),
    "majority, replay": (VOTE, "contrast.replay=0.5"),
    "majority, smaller steps": (VOTE, "contrast.decay=0.5"),
    "majority, refreshed negatives": (VOTE, "negatives=refreshed"),
    "majority, balanced": (VOTE, "contrast.balance=true"),
}
PARTIAL: dict[str, tuple[str, ...]] = {
    "published, partial views": ("supervision.view=partial",),
    "majority, partial views": ("supervision.view=partial", VOTE),
}
SHOWN = ("published", "majority")  #: whose policies are all judged in the market at the end
QUICK = ("contexts=256", "held_out=256", "teachers.epochs=20", "teachers.negative_epochs=2", "num_envs=32")


def settings() -> dict[str, tuple[str, ...]]:
    """All of them, with what they change."""
    later = {name: (*changes, f"rounds={LONG}") for name, changes in LATER.items()}
    return SETTINGS | later | PARTIAL | macpo_population.SETTINGS


def folder_name(setting: str) -> str:
    """Of a setting's trainings."""
    return setting.replace(" = ", "").replace(", ", "__").replace(" ", "_")


def all_jobs(seeds: int, quick: bool) -> list[Job]:
    """Every training: all settings of a seed before the next seed, so that a part of the study is whole in itself."""
    out = []
    for seed in range(seeds):
        for name, changes in settings().items():
            episodes = (8 if quick else 64) if name in SHOWN else 0
            governs = name in SHOWN or name in macpo_population.SETTINGS
            each = (4 if quick else 32) if governs else 0
            judged = (f"eval_episodes={episodes}", f"round_episodes={each}")
            out.append(Job(folder_name(name), "macpo", (*judged, *(QUICK if quick else ()), *changes), seed))
    return out


class Found:
    """Results of all seeds by setting.

    Args:
        every: jobs of the first seed in the order of the settings' names, then of the next.
    """

    def __init__(self, out: Path, seeds: int, quick: bool, names: Sequence[str], every: Sequence[Job]) -> None:
        self.out, self.seeds, self.quick = out, seeds, quick
        self.jobs: dict[str, list[Job]] = {name: [] for name in names}
        for name, job in zip(list(names) * seeds, every, strict=True):
            self.jobs[name].append(job)
        self.results = {name: [jobs.results(job, out) for job in each] for name, each in self.jobs.items()}

    def rounds(self, name: str, key: str) -> NDArray[np.float64]:
        """(seeds, T + 1) of a column of the rounds; NaN is undefined, as of a teacher that there is not."""
        return np.array([[np.nan if row.get(key) is None else row[key] for row in one["rounds"]]
                         for one in self.results[name]])  # fmt: skip

    def policy(self, name: str, policy: str, key: str) -> list[float | None]:
        """By seed: a number of one of a run's policies at the end."""
        return [next(row for row in one["policies"] if row["policy"] == policy).get(key) for one in self.results[name]]

    def teachers(self, name: str) -> NDArray[np.float64]:
        """(seeds, T + 1): mean accuracy of a setting's teachers."""
        count = sum(key.endswith("/blind") for key in self.results[name][0]["rounds"][0])
        every = np.stack([self.rounds(name, f"teacher_{k + 1}/accuracy") for k in range(count)])
        return np.asarray(every.mean(axis=0))

    def kept(self, name: str) -> NDArray[np.float64]:
        """(seeds,): accuracy of the student of the round that agrees most with the first teachers' majority."""
        best = self.rounds(name, "agreement_initial").argmax(axis=1)
        return np.asarray(self.rounds(name, "student/accuracy")[np.arange(self.seeds), best])


def main_table(found: Found) -> str:
    """Everyone at the end: label metrics on held-out proposals, PGR, and the market each governs."""
    rows = [(f"teacher {k}, start", "published", f"initial_teacher_{k}") for k in (1, 2, 3)]
    rows += [("teacher majority, start", "published", "majority"), ("naive weak-to-strong", "published", "naive"),
             ("confidence loss", "published", "confidence"), ("student of the majority's labels", "published",
             "majority_labels"), ("self-alignment (-MP)", "no mutual positives", "student")]  # fmt: skip
    rows += [(f"MACPO, {name}", name, "student") for name in SHOWN]
    rows += [(f"teacher {k}, after MACPO", "published", f"teacher_{k}") for k in (1, 2, 3)]
    rows += [("ceiling", "published", "ceiling"), ("scripts", "published", "scripts")]
    heads = [
        "policy",
        "accuracy %",
        "ASR %",
        "ORR %",
        "F1 %",
        "PGR",
        "toxicity",
        "quality gap",
        "acceptance",
        "welfare",
    ]
    first = [found.policy("published", f"initial_teacher_{k}", "accuracy") for k in (1, 2, 3)]
    weak = np.array(first, dtype=float).mean(axis=0)
    top = np.array(found.policy("published", "ceiling", "accuracy"), dtype=float)
    body = []
    for title, name, policy in rows:
        accuracy = np.array(found.policy(name, policy, "accuracy"), dtype=float)
        cells = [cell(found.policy(name, policy, key), 1, 100) for key in ("accuracy", "asr", "orr", "f1")]
        cells.append(cell(((accuracy - weak) / (top - weak)).tolist(), 2))
        for key, decimals in (("toxicity_rate", 3), ("quality_gap", 3), ("acceptance_rate", 2), ("total_welfare", 0)):
            cells.append(cell(found.policy(name, policy, key), decimals))
        body.append([title, *cells])
    return markdown(heads, body)


def rounds_table(found: Found, names: Sequence[str], against: str | None) -> str:
    """Student's accuracy by round, PGR and teachers at the end, the kept student; the difference to another setting."""
    last = found.rounds(names[0], "student/accuracy").shape[1]
    heads = ["setting", *(f"round {t}" for t in range(last)), "PGR at the end", "teachers, start", "teachers, end",
             "kept", *([f"less {against}"] if against else [])]  # fmt: skip
    body = []
    for name in names:
        accuracy, teachers = found.rounds(name, "student/accuracy"), found.teachers(name)
        row = [name, *(cell(accuracy[:, t], 1, 100) for t in range(last)), cell(found.rounds(name, "pgr")[:, -1], 2)]
        row += [cell(teachers[:, 0], 1, 100), cell(teachers[:, -1], 1, 100), cell(found.kept(name), 1, 100)]
        if against:
            row.append(_difference(accuracy[:, -1], found.rounds(against, "student/accuracy")[:, -1]))
        body.append(row)
    return markdown(heads, body)


def _difference(values: Any, others: Any) -> str:
    """Mean of the paired differences in percentage points, with its interval and the sign-flip test's p."""
    found = statistics.compare(100 * values, 100 * others)
    if found.n < 2 or found.low == found.high == 0.0:
        return "-"
    return f"{found.difference:+.1f} [{found.low:+.1f}, {found.high:+.1f}], p {found.p:.2f}"


def shape_table(found: Found, names: Sequence[str]) -> str:
    """What the student learnt from, and how it answers, in the first and the last round; blind spots."""
    keys = {"positives right %": ("positives/accuracy", 1, 100.0), "their diversity": ("positives/diversity", 2, 1.0),
            "teachers disagree": ("positives/disagreement", 2, 1.0), "answers: commonest": ("answers/repeated", 2, 1.0),
            "unfounded reasons": ("answers/unfounded", 2, 1.0), "agreement": ("agreement", 2, 1.0)}  # fmt: skip
    keys |= {f"teacher {k} in its blind spot %": (f"teacher_{k}/blind", 1, 100.0) for k in (1, 2, 3)}
    body = []
    for name in names:
        for when, t in (("start", 0), ("end", -1)):
            cells = [cell(found.rounds(name, key)[:, t], *rest) for key, *rest in keys.values()]  # type: ignore[arg-type]
            body.append([f"{name}, {when}", *cells])
    return markdown(["setting", *keys], body)


def report(found: Found) -> str:
    """All tables."""
    ablations = list(SETTINGS)
    line = (
        f"`swarm reproduce macpo --seeds {found.seeds}{' --quick' if found.quick else ''}`, {date.today()}, "
        f"{os.cpu_count()} {platform.machine()} cores. Means over {found.seeds} seeds, [95 % bootstrap interval]; "
        f"\"less published\": paired differences in percentage points, p by the sign-flip test (never below "
        f"{2 / 2**found.seeds:.2f} with {found.seeds} seeds)."
    )  # fmt: skip
    parts = [
        line, "### Everyone at the end", main_table(found),
        "### Rounds, ablations, settings (student's accuracy in %)", rounds_table(found, ablations, "published"),
        "### What was learnt from", shape_table(found, [*SHOWN, "no mutual positives", "K = 1"]),
        f"### What holds later rounds ({LONG} rounds)", rounds_table(found, list(LATER), "majority, long"),
        "### Teachers of partial view", rounds_table(found, list(PARTIAL), None),
        "### Populations that shift (`macpo_weak_to_strong`)", macpo_population.table(found),
    ]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts) + "\n"


def study(out: Path, seeds: int, engine: Engine, quick: bool) -> list[Path]:
    """Train what `out` does not hold, write tables and figures there; unless quick, into the note and docs/ as well."""
    jobs.run(all_jobs(seeds, quick), out, engine)
    found = Found(out, seeds, quick, list(settings()), all_jobs(seeds, quick))
    text = report(found)
    paths = [out / "results.md", *macpo_figures.draw(found, out)]
    write_whole(paths[0], text.encode())
    if not quick and NOTE.exists():
        insert(NOTE, text)
        paths += [NOTE, *macpo_figures.draw(found, PICTURES)]
    return paths
