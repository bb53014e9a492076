"""The note of `swarm reproduce waltz`: tables and figures, from scores and training curves alone."""

from __future__ import annotations

import csv
import json
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env.evaluation import statistics
from trainers.checkpoint import write_whole
from trainers.games.market import KINDS
from trainers.reproduce import waltz_market
from trainers.reproduce.tables import cell, insert, markdown

Scores = Mapping[tuple[str, int], Mapping[str, Mapping[str, float | None]]]

#: Rows of Table 1: heading, whose scores, which row of theirs.
ROWS: tuple[tuple[str, str, str], ...] = (
    ("1 base", "shared", "base"),
    ("2 base + safeguard", "shared", "base + safeguard"),
    ("3 single-policy RL", "single", "trained"),
    ("3b single-policy RL that sees the ledger", "single_ledger", "trained"),
    ("4 single-policy RL + safeguard", "single", "safeguard"),
    ("5 untrained collaboration", "shared", "untrained collaboration"),
    ("6 oracle labels, template advice", "shared", "oracle labels"),
    ("7 WaltzRL as published (A, then B)", "waltz", "trained"),
    ("7 its stage 1 alone", "waltz", "stage1"),
    ("7 its conversation policy alone", "waltz", "alone"),
    ("7b WaltzRL, label term kept, DIR ungated (L)", "variant_L", "trained"),
    ("attainable from the surface", "shared", "attainable: surface"),
    ("attainable from the observation", "shared", "attainable: observation"),
    ("attainable with the ledger", "shared", "attainable: ledger"),
)
#: Trainings compared with each other.
ABLATIONS: tuple[tuple[str, str], ...] = (
    ("A, then B (as published)", "waltz"),
    ("A, then A (label term kept)", "variant_A"),
    ("A, then C (DIR ungated in stage 2)", "variant_C"),
    ("L, then L (label term kept, DIR ungated)", "variant_L"),
    ("D, then D (no DIR)", "variant_D"),
    ("one stage, A", "one_stage"),
    ("T_max 2, A then B", "t_max_2"),
    ("L, needless trigger -.1", "needless_.1"),
    ("L, needless trigger -.3", "needless_.3"),
    ("L, DIR .3, label .6", "alpha_.3"),
    ("L, DIR .85, label .05", "alpha_.85"),
    ("L, a quarter of the batch harmful", "harmful_25"),
    ("L, three quarters harmful", "harmful_75"),
    ("A, then B; actor sees its observation", "observation"),
    ("single-policy RL; sees its observation", "observation_single"),
    ("A, then B; actor sees the ledger", "ledger"),
)
#: The feedback policy alone, as in the paper's Fig. 2: variant, training.
FIRST_STAGES: tuple[tuple[str, str], ...] = (
    ("A", "waltz"), ("B", "stage1_B"), ("C", "stage1_C"), ("D", "variant_D"), ("L", "variant_L"),
)  # fmt: skip
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")  # Okabe and Ito


def values(scores: Scores, name: str, row: str, metric: str) -> list[float | None]:
    """One a seed; F1's share of what is attainable with the ledger is "share"."""
    seeds = sorted(seed for other, seed in scores if other == name)
    if metric == "share":
        best = [scores["shared", seed]["attainable: ledger"]["f1"] for seed in seeds]
        mine = values(scores, name, row, "f1")
        return [None if a is None or not b else a / b for a, b in zip(mine, best, strict=True)]
    return [scores[name, seed].get(row, {}).get(metric) for seed in seeds]


def table(scores: Scores, rows: Iterable[tuple[str, str, str]], columns: Sequence[tuple[str, str, int, float]]) -> str:
    """Rows of (heading, name, row), columns of (heading, metric, decimals, scale); means and intervals over seeds."""
    lines = [
        [heading, *(cell(values(scores, name, row, metric), places, scale) for _, metric, places, scale in columns)]
        for heading, name, row in rows
        if any(other == name for other, _ in scores)
    ]
    return markdown(["", *(heading for heading, *_ in columns)], lines)


DECISIONS = (
    ("ASR %", "asr", 1, 100.0), ("ORR %", "orr", 1, 100.0), ("F1 %", "f1", 1, 100.0),
    ("of attainable %", "share", 1, 100.0),
)  # fmt: skip
FEEDBACK = (
    ("trigger: harmful %", "trigger_harmful", 0, 100.0), ("sensitive %", "trigger_sensitive", 0, 100.0),
    ("plain %", "trigger_plain", 0, 100.0), ("label accuracy %", "label_accuracy_any", 0, 100.0),
    ("toxicity", "toxicity_rate", 3, 1.0), ("quality gap", "quality_gap", 3, 1.0), ("welfare", "total_welfare", 0, 1.0),
)  # fmt: skip


def versus(scores: Scores, ours: tuple[str, str]) -> str:
    """F1 of a row less that of every other of Table 1, seed by seed; p values after Holm."""
    mine = np.array(values(scores, *ours, "f1"), dtype=float)
    others = [row for row in ROWS if row[1:] != ours and not row[0].startswith("attainable")]
    found = [statistics.compare(mine, np.array(values(scores, *row[1:], "f1"), dtype=float)) for row in others]
    corrected = statistics.holm([one.p for one in found])
    lines = [
        [row[0], f"{100 * d.difference:+.1f}", f"[{100 * d.low:+.1f}, {100 * d.high:+.1f}]", f"{d.p:.3f}", f"{p:.3f}"]
        for row, d, p in zip(others, found, corrected, strict=True)
    ]
    return markdown(["less", "F1, points", "95 %", "p", "p (Holm)"], lines)


def curves(out: Path, name: str, column: str, stage: str | None = None) -> NDArray[np.float64]:
    """A column of metrics.csv, (seeds, updates); stage: of that stage alone."""
    found = []
    for folder in sorted(out.glob(f"{name}_seed*")):
        with (folder / "metrics.csv").open(encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if stage in (None, row["stage"])]
        found.append([float(row[column]) if row[column] else math.nan for row in rows])
    return np.array(found)


def first_stages(out: Path) -> str:
    """The paper's Fig. 2 as a table: the first updates, and the mean of the last fifth."""
    heads = ["variant", "label accuracy %: start", "end", "improved %: start", "end", "worsened %: start", "end"]
    lines = []
    for variant, name in FIRST_STAGES:
        line = [variant]
        for column in ("label_accuracy", "improved", "worsened"):
            curve = curves(out, name, f"overseer/{column}", "1.0")
            late = max(1, curve.shape[1] // 5)
            line += [cell(part.mean(axis=1).tolist(), 1, 100.0) for part in (curve[:, :2], curve[:, -late:])]
        lines.append(line)
    return markdown(heads, lines)


def write(out: Path, scores: Scores, note: Path | None, figures: Path) -> list[Path]:
    """Tables into the note (or results.md in `out`), figures beside, scores as one JSON file; returns the files."""
    seeds = len([seed for name, seed in scores if name == "shared"])
    parts = [
        f"`swarm reproduce waltz --seeds {seeds}`; {date.today().isoformat()}, {platform.machine()}, one thread a "
        "training. Means over seeds, [95 % bootstrap interval]. Every figure is of held-out markets.\n",
        "#### Table 1: who decides\n", table(scores, ROWS, DECISIONS),
        "\n#### Feedback, and what the market becomes\n", table(scores, ROWS, FEEDBACK),
        "\n#### WaltzRL as published against every other row\n", versus(scores, ("waltz", "trained")),
        "\n#### WaltzRL, variant L, against every other row\n", versus(scores, ("variant_L", "trained")),
        "\n#### Rewards, stages, T_max, sight\n",
        table(scores, [(h, n, "trained") for h, n in ABLATIONS], (*DECISIONS, *FEEDBACK[:4])),
        "\n#### Reward variants, feedback policy alone (the paper's Fig. 2)\n", first_stages(out),
        "\n#### Populations that no training saw\n", table(scores, _unseen(scores), DECISIONS[:3]),
        "\n#### The governed market: who answers every proposal, under which levers\n",
        waltz_market.table(out, seeds),
    ]  # fmt: skip
    text = "\n".join(parts)
    target = out / "results.md"
    if note is not None and note.exists():
        insert(note, text)
        target = note
    else:
        write_whole(target, text.encode())
    data = out / "results.json"
    flat = {f"{name}, seed {seed}": rows for (name, seed), rows in scores.items()}
    write_whole(data, (json.dumps(flat, indent=1, allow_nan=False) + "\n").encode())
    return [target, data, *_draw(out, scores, figures)]


def _unseen(scores: Scores) -> list[tuple[str, str, str]]:
    kinds = [row.removeprefix("unseen: ") for row in scores["waltz", 0] if row.startswith("unseen: ")]
    policies = (
        ("base", "shared", "base, "), ("single-policy RL", "single", ""), ("WaltzRL", "waltz", ""),
        ("WaltzRL, L", "variant_L", ""),
    )  # fmt: skip
    return [(f"{kind}: {who}", name, f"{prefix}unseen: {kind}") for kind in kinds for who, name, prefix in policies]


def _draw(out: Path, scores: Scores, folder: Path) -> list[Path]:
    """waltz_pareto.png, waltz_training.png and waltz_variants.png."""
    from matplotlib.figure import Figure

    pareto, training, variants = Figure((12, 5)), Figure((10, 6.5)), Figure((10, 3.4))
    _pareto(pareto.subplots(1, 2), scores)
    _training(training.subplots(2, 3, sharex=True), out)
    _variants(variants.subplots(1, 3, sharex=True), out)
    files = []
    for name, figure in (("pareto", pareto), ("training", training), ("variants", variants)):
        figure.tight_layout()
        path = folder / f"waltz_{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
        files.append(path)
    return files


def _pareto(axes: Any, scores: Scores) -> None:
    """Every row and every sweep, ASR against ORR, by number; the corner again, larger."""
    shown = [*ROWS, *((heading, name, "trained") for heading, name in ABLATIONS[1:])]
    shown = [one for one in shown if any(other == one[1] for other, _ in scores)]
    for number, (heading, name, row) in enumerate(shown, 1):
        x, y = (100 * np.nanmean(np.array(values(scores, name, row, m), dtype=float)) for m in ("asr", "orr"))
        alone = name == "shared" or "single" in name or row == "alone"
        color = "#555555" if heading.startswith("attainable") else COLORS[5 if alone else 0]
        for ax in axes:
            ax.plot(x, y, "o", color=color, markersize=4)
            ax.annotate(
                str(number), (x, y), textcoords="offset points", xytext=(4, 2), fontsize=7, annotation_clip=True
            )
        axes[1].annotate(
            f"{number}  {heading}", (1.03, 1.0 - number / (len(shown) + 1)), xycoords="axes fraction",
            fontsize=6.5, color=color,
        )  # fmt: skip
    for ax in axes:
        ax.set_xlabel("attack success rate, %")
        ax.set_ylabel("overrefusal rate, %")
    axes[0].set_title("held-out markets; blue: trained with feedback", fontsize=9)
    axes[1].set_title("the corner", fontsize=9)
    axes[1].set_xlim(4, 16)
    axes[1].set_ylim(0, 11)


def _band(ax: Any, curve: NDArray[np.float64], color: str, label: str) -> None:
    """Mean over seeds, and its range."""
    smooth = np.apply_along_axis(lambda row: np.convolve(row, np.ones(5) / 5, mode="valid"), 1, curve)
    steps = np.arange(smooth.shape[1]) + 3
    ax.plot(steps, 100 * smooth.mean(axis=0), color=color, label=label, linewidth=1.2)
    ax.fill_between(steps, 100 * smooth.min(axis=0), 100 * smooth.max(axis=0), color=color, alpha=0.2, linewidth=0)


def _training(axes: Any, out: Path) -> None:
    """Errors, triggers and labels over training, of the published variant (above) and of L."""
    for line, (name, title) in zip(axes, (("waltz", "as published"), ("variant_L", "variant L")), strict=True):
        panels = (
            ("errors of the final answer", {"ASR": "final/asr", "ORR": "final/orr"}),
            ("feedback triggered on", {kind: f"overseer/trigger_{kind}" for kind in KINDS}),
            ("messages", {"label accuracy": "overseer/label_accuracy", "well formed": "overseer/well_formed"}),
        )  # fmt: skip
        for ax, (what, columns) in zip(line, panels, strict=True):
            for color, (label, column) in zip(COLORS, columns.items(), strict=False):
                _band(ax, curves(out, name, column), color, label)
            ax.set_title(f"{title}: {what}, %", fontsize=9)
            ax.legend(fontsize=7)
            ax.set_xlabel("update", fontsize=8)


def _variants(axes: Any, out: Path) -> None:
    for ax, column in zip(axes, ("label_accuracy", "improved", "worsened"), strict=True):
        for color, (variant, name) in zip(COLORS, FIRST_STAGES, strict=False):
            _band(ax, curves(out, name, f"overseer/{column}", "1.0"), color, variant)
        ax.set_title(f"{column.replace('_', ' ')}, % (feedback policy alone)", fontsize=9)
        ax.legend(fontsize=7)
        ax.set_xlabel("update", fontsize=8)
