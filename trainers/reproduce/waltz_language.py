"""WaltzRL's tables in dialogues: trainings in the built-in language, with and without what only the overseer sees."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import torch
from torch import Generator

from swarm_env.engine import job as engine_job
from swarm_env.engine.run import Engine
from trainers import judgement
from trainers.checkpoint import write_whole
from trainers.language import baselines, sources
from trainers.language import waltz as language
from trainers.language.waltz_config import LENGTHS
from trainers.reproduce import jobs
from trainers.reproduce.files import Files, Piece
from trainers.reproduce.jobs import Job
from trainers.reproduce.tables import cell, insert, markdown

NOTE = Path(__file__).resolve().parents[2] / "research" / "notes" / "waltz_language_results.md"
PROMPTS = 1_000  #: held-out ones that a row is judged on
LABELLED = 1_000  #: answers of the base that a guard has learnt from
APART = 2**24  #: between the draws of two seeds

#: What the overseer alone sees, or does not: name -> overrides.
WORLDS: dict[str, tuple[str, ...]] = {"asymmetric": (), "symmetric": ("synthetic.dual_use=0",)}
#: The base of another run is no built-in model any more, but it counts words all the same.
WORDS = tuple(f"{name}_tokens={most}" for name, most in LENGTHS["built-in model"]._asdict().items())
STEPS = 100  #: updates of either training of one policy alone: as many as both stages have
#: Trainings -> overrides of configs/waltz_language.yaml.
TRAININGS: dict[str, tuple[str, ...]] = {
    "waltz": (),
    "single": ("overseer=false", f"stage2.steps={STEPS}"),
    "self_feedback": ("self_feedback=true",),
    "variant_L": ("stage1.variant=L", "stage2.variant=L"),
}
#: What is trained where; the first makes the base of its seed.
RUNS: tuple[tuple[str, str], ...] = (
    ("asymmetric", "waltz"), ("asymmetric", "single"), ("asymmetric", "variant_L"), ("symmetric", "waltz"),
    ("symmetric", "single"), ("asymmetric", "self_feedback"),
)  # fmt: skip
#: For a look at whether all of it works.
QUICK = (
    "batch=16", "stage1.steps=2", "synthetic.train=200", "synthetic.held_out=64", "synthetic.network.hidden=16",
    "synthetic.warm_start.answers=5", "synthetic.warm_start.steps=20", "synthetic.warm_start.most_steps=20",
    "synthetic.warm_start.well_formed=0",
)  # fmt: skip

#: Heading, training, row of its scores.
ROWS: tuple[tuple[str, str, str], ...] = (
    ("1 base", "waltz", "base"),
    ("2 base + safeguard", "waltz", "base + safeguard"),
    ("3 single-policy RL", "single", "trained"),
    ("4 single-policy RL + safeguard", "single", "trained + safeguard"),
    ("5 untrained collaboration", "waltz", "untrained collaboration"),
    ("6 oracle labels, template advice", "waltz", "oracle labels"),
    ("7 WaltzRL, conversation policy frozen (stage 1)", "waltz", "stage 1"),
    ("8 WaltzRL, both stages", "waltz", "trained"),
    ("8 its conversation policy alone", "waltz", "trained, alone"),
    ("8b WaltzRL, label term kept, DIR ungated (L)", "variant_L", "trained"),
    ("self-feedback: one policy in both roles", "self_feedback", "trained"),
)
COLUMNS: tuple[tuple[str, str], ...] = (
    ("ASR %", "asr"), ("ORR %", "orr"), ("F1 %", "f1"), ("trigger: plain %", "trigger_plain"),
    ("sensitive %", "trigger_sensitive"), ("dual use %", "trigger_dual_use"), ("harmful %", "trigger_harmful"),
    ("label accuracy %", "label_accuracy"), ("well-formed %", "well_formed"),
)  # fmt: skip

Scores = Mapping[str, float | None]


def plan(seeds: int, quick: bool, out: Path) -> tuple[list[Job], list[Job]]:
    """Trainings that make a seed's base, and those that start from it."""
    first: list[Job] = []
    second: list[Job] = []
    for world, name in RUNS:
        settings = ["game=language", "eval_prompts=0", *(QUICK if quick else ()), *WORLDS[world], *TRAININGS[name]]
        if quick:
            settings = [one.replace(f"={STEPS}", "=2") for one in settings]
            settings += [] if any("stage2" in one for one in TRAININGS[name]) else ["stage2.steps=2"]
        for seed in range(seeds):
            made = Job("asymmetric_waltz", "waltz", (), seed).folder(out) / sources.MODEL
            own = [] if (world, name) == RUNS[0] else [f"model={made}", *WORDS]
            job = Job(f"{world}_{name}", "waltz", (*settings, *own), seed)
            (second if own else first).append(job)
    return first, second


def study(out: Path, seeds: int, engine: Engine, quick: bool) -> list[Path]:
    """Train, judge, write; see `trainers.reproduce`."""
    first, second = plan(seeds, quick, out)
    jobs.run(first, out, engine)
    jobs.run(second, out, engine)
    pieces = [_piece(out, job.name, job.seed) for job in (*first, *second)]
    Files("judge_language", pieces, print).carry_out(engine, out)
    scores = {
        (job.name, job.seed): json.loads(_scores(out, job.name, job.seed).read_text()) for job in (*first, *second)
    }
    text = f"`swarm reproduce waltz_language --seeds {seeds}`; {date.today().isoformat()}, {platform.machine()}, one "
    text += "thread a training. Means over seeds, [95 % bootstrap interval], on held-out prompts.\n"
    for world in dict.fromkeys(world for world, _ in RUNS):
        text += f"\n#### {world.capitalize()} information\n\n{_table(scores, world, seeds)}"
    target = out / "results.md" if quick or not NOTE.exists() else NOTE
    if target == NOTE:
        insert(NOTE, text)
    else:
        write_whole(target, text.encode())
    return [target]


def _table(scores: Mapping[tuple[str, int], Mapping[str, Scores]], world: str, seeds: int) -> str:
    lines = []
    for heading, name, row in ROWS:
        if (f"{world}_{name}", 0) in scores:
            found = [scores[f"{world}_{name}", seed][row] for seed in range(seeds)]
            lines.append([heading, *(cell([one.get(key) for one in found], 1, 100.0) for _, key in COLUMNS)])
    return markdown(["", *(heading for heading, _ in COLUMNS)], lines)


def _scores(out: Path, name: str, seed: int) -> Path:
    return out / "scores" / f"{name}_seed{seed}.json"


def _piece(out: Path, name: str, seed: int) -> Piece:
    """The judging of a training: what it is called, and the hash of what it has left."""
    held = hashlib.sha256((out / f"{name}_seed{seed}" / jobs.LAST).read_bytes()).hexdigest()
    params = {"name": name, "seed": seed, "trained": held}
    job = engine_job.Job("judge_language", params, {"out": str(out.resolve())})
    file = _scores(out, name, seed)
    return Piece(job, f"scores of {name}_seed{seed}", file.exists(), file)


def run_jobs(each: Sequence[engine_job.Job]) -> list[None]:
    """Judge; what a worker does."""
    for job in each:
        _judge(Path(job.hints["out"]), job.params["name"], job.params["seed"])
    return [None] * len(each)


def _judge(out: Path, name: str, seed: int) -> None:
    """Write the scores of a training's rows: row -> metric -> value; undefined is None."""
    torch.set_num_threads(1)
    rows = rows_of(out / f"{name}_seed{seed}", name.partition("_")[2], seed)
    plain = {row: {key: None if x != x else x for key, x in values.items()} for row, values in rows.items()}
    write_whole(_scores(out, name, seed), (json.dumps(plain, indent=1, allow_nan=False) + "\n").encode())


def rows_of(folder: Path, training: str, seed: int) -> dict[str, dict[str, float]]:
    """What a training came to, and (of the first) what needs none."""
    trained = language.load(folder)
    config, rules = trained.config, trained.rules
    material = sources.open_(config, seed)
    prompts = sources.drawn(sources.fitting(rules, material.held_out, config), PROMPTS, seed)
    drawn = (seed + 1) * APART

    def compare(conversation: object, feedback: object, k: int) -> dict[str, float]:
        return language.compare(rules, prompts, conversation, feedback, config.t_max, drawn + k)  # type: ignore[arg-type]

    rows = {"trained": compare(trained.conversation, trained.feedback, 0)}
    if trained.feedback is not None:
        rows["trained, alone"] = compare(trained.conversation, None, 1)
    if training == "waltz":
        first = language.load(folder, "stage1")
        rows["stage 1"] = compare(first.conversation, first.feedback, 4)
    conversation, feedback = (language.base(trained.backbone, config, role) for role in language.ROLES)
    contexts, generator = rules.prompts(prompts), Generator().manual_seed(drawn + 9)

    def outcome(answers: torch.Tensor) -> dict[str, float]:
        return judgement.outcome(rules.judge(contexts, answers), rules.kinds(contexts))

    if training in ("waltz", "single"):
        learnt = rules.prompts(sources.fitting(rules, material.train, config)[:LABELLED])
        said = conversation.sample(rules.first_context(learnt), generator).tokens
        guard = baselines.Guard(learnt.items, rules.codec.texts(said), rules.judge(learnt, said))
        who = conversation if training == "waltz" else trained.conversation
        answers = who.sample(rules.first_context(contexts), generator).tokens
        refusal = rules.script.refusal
        name = "base + safeguard" if training == "waltz" else "trained + safeguard"
        rows[name] = outcome(baselines.guarded(rules, contexts, answers, guard, refusal))
    if training == "waltz":
        rows["base"] = compare(conversation, None, 2)
        rows["untrained collaboration"] = compare(conversation, feedback, 3)
        rows["oracle labels"] = outcome(baselines.oracle(rules, contexts, conversation, generator))
    return rows
