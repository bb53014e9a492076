"""What `swarm study` does and prints."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from swarm_env.engine.options import engine_of
from swarm_env.engine.store import require_fresh
from swarm_env.evaluation.screen import output, progress
from swarm_env.study.claims import REFUTED, SUPPORTED, Finding
from swarm_env.study.notes import write_note
from swarm_env.study.plan import EPISODES, KIND, SEEDS, Found, Study
from swarm_env.study.reading import interval, p_text, text

RUNS, NOTES = Path("runs"), Path("research/notes")  #: where numbers and notes go unless --out says otherwise
COLORS = {SUPPORTED: "green", REFUTED: "red"}
LEGEND = (
    "found: mean over seeds, of the difference where two arms are compared, [95 % bootstrap interval]; p: sign-flip "
    "test, Holm-corrected over the claims"
)


def main(arguments: argparse.Namespace) -> int:
    """`swarm study`; returns the exit code."""
    engine = engine_of(arguments)
    seeds = SEEDS if arguments.seeds is None else arguments.seeds
    episodes = EPISODES if arguments.episodes is None else arguments.episodes
    study = Study(arguments.file, seeds, episodes)
    name = f"study_{study.annotation.study}_{study.settings_hash}"
    work = Path(arguments.out) if arguments.out else RUNS / name
    notes = work if arguments.out else NOTES
    require_fresh(work, arguments.resume, KIND)
    with progress("playing", study.paired.num_units, arguments.quiet) as update:
        found = study.run(work, update, engine)
    file = Path(arguments.file)
    shown = os.path.relpath(file) if file.resolve().is_relative_to(Path.cwd()) else file.name
    written = write_note(notes, study.annotation, found, f"swarm study {shown} --seeds {seeds} --episodes {episodes}")
    console = output(arguments.quiet)
    console.print(_table(study, found))
    console.print(LEGEND, style="dim", highlight=False, soft_wrap=not console.is_terminal)
    for path in (*written, work / "results.json"):
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)
    return 0


def _table(study: Study, found: Found) -> Table:
    paired = study.paired
    title = f"{study.annotation.study}: {len(study.arms)} arms, {paired.seeds} seeds of {paired.episodes} episodes"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", padding=(0, 1))
    for column in ("claim", "metric", "arm", "found", "p Holm", "verdict"):
        table.add_column(column, no_wrap=column != "metric")
    for finding in found.findings:
        color = COLORS.get(finding.verdict)
        verdict = f"[{color}]{finding.verdict}[/{color}]" if color else finding.verdict
        table.add_row(finding.claim.id, *map(escape, _cells(finding)), verdict)
    return table


def _cells(finding: Finding) -> tuple[str, str, str, str]:
    claim = finding.claim
    if claim.condition is None:
        return claim.tested_by or "-", "-", "-", "-"
    arm = claim.condition.arm + (f" - {claim.condition.against}" if claim.condition.against else "")
    found = f"{text(finding.estimate)} {interval(finding._asdict())}".rstrip()
    epochs = "" if claim.condition.epochs == "all" else f" ({claim.condition.epochs})"
    return f"{claim.metric}{epochs}", arm, found, p_text(finding.p_holm)
