"""The tables of a report, as HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from swarm_env import statistics
from swarm_env.report.estimate import defined, estimate
from swarm_env.report.evaluation import Evaluation, Record
from swarm_env.report.markup import folded, interval, listing, number, table
from swarm_env.report.series import Series

#: Metrics of an overseer's part in the decisions: shown where a policy of the evaluation has one.
OVERSIGHT = ("feedback_trigger_rate", "revisions_per_decision")
#: Metrics shown at once; all others are folded below them.
FIRST = (
    "toxicity_rate", "quality_gap", "net_social_welfare", "total_welfare", "acceptance_rate", "attack_success_rate",
    "overrefusal_rate", "safety_f1", "governance_cost", "ecosystem_threat_level", "ecosystem_collusion_risk",
    "n_frozen", "n_quarantined", "return", *OVERSIGHT,
)  # fmt: skip
ESTIMATES = "mean over seeds of the mean over epochs; 95 % bootstrap interval over seeds; – is undefined"


def _split(title: str, head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], texts: int) -> str:
    """Rows of (metric, cells): the first metrics at once, the others folded."""
    first = [cells for metric, cells in rows if metric in FIRST]
    more = [cells for metric, cells in rows if metric not in FIRST]
    if not first:
        first, more = more, []
    shown = table(title, head, first, texts)
    return shown + (
        folded(f"All others: {len(more)}", table(f"{title}, all others", head, more, texts)) if more else ""
    )


def _runs(series: Series) -> Sequence[str]:
    incomplete = [str(e.seed) for e in series.episodes if not e.complete]
    state = f"incomplete: seed {', '.join(incomplete[:8])}" if incomplete else "complete"
    seeds = series.seeds or [e.seed for e in series.episodes]
    span = ", ".join(map(str, seeds[:8])) + (f" and {len(seeds) - 8} more" if len(seeds) > 8 else "")
    return series.label, span, str(len(series.epochs)), state if series.episodes else "metrics only", str(series.path)


def of_runs(series: Sequence[Series]) -> str:
    """What was read, and the remarks on it."""
    shown = table("Recorded runs", ("run", "seeds", "epochs", "log", "file"), map(_runs, series), 5)
    notes = [f"{one.label}: {note}" for one in series for note in one.notes]
    return shown + (listing(notes) if notes else "")


def of_metrics(series: Sequence[Series]) -> str:
    """Summary with intervals."""
    rows = []
    for metric in dict.fromkeys(name for one in series for name in one.metrics):
        for one in series:
            if metric in one.metrics:
                e = estimate(one.by_seed(metric))
                cells = metric, one.label, str(e.n), number(e.mean), interval(e.low, e.high), number(e.sd)
                rows.append((metric, cells))
    if not rows:
        return ""
    head = ("metric", "run", "seeds", "mean per epoch", "95 % interval", "sd")
    return _split(f"Summary: {ESTIMATES}", head, rows, 2)


def of_differences(series: Sequence[Series]) -> str:
    """Each run against the first, on the seeds they share."""
    rows = []
    for one in series[1:]:
        first = series[0]
        shared = sorted(set(one.seeds) & set(first.seeds))
        if len(shared) < 2:
            continue
        for metric in (name for name in first.metrics if name in one.metrics):
            ours = dict(zip(one.seeds, one.by_seed(metric), strict=True))
            theirs = dict(zip(first.seeds, first.by_seed(metric), strict=True))
            differences = estimate_of([ours[seed] - theirs[seed] for seed in shared])
            rows.append((metric, (metric, one.label, *differences)))
    if not rows:
        return ""
    head = ("metric", "run", "seeds", "difference", "95 % interval", "effect size d")
    return _split(f"Paired differences to {series[0].label}, seed by seed", head, rows, 2)


def estimate_of(differences: Sequence[float]) -> tuple[str, ...]:
    """Cells of a paired difference."""
    import numpy as np

    values = np.array(differences, float)
    e = estimate(values)
    return str(e.n), number(e.mean), interval(e.low, e.high), number(statistics.effect_size(defined(values)))


def of_criteria(series: Sequence[Series], evaluations: Sequence[Evaluation]) -> str:
    """Success criteria: by seed for runs, by policy for evaluations."""
    rows: list[Sequence[str]] = []
    for one in series:
        names = dict.fromkeys(v.name for verdicts in one.verdicts.values() for v in verdicts)
        for name in names:
            across = [v for verdicts in one.verdicts.values() for v in verdicts if v.name == name]
            passed, count = sum(v.passed for v in across), len(across)
            value = number(math.fsum(v.value for v in across) / count)
            what = f"{across[0].meaning}, bound {number(across[0].bound)}"
            rows.append((name, one.label, what, value, f"{passed} of {count}", "pass" if passed == count else "FAIL"))
    for evaluation in evaluations:
        keyed = sorted(evaluation.runs, key=lambda r: (r["policy"], r["scenario"], r["mode"]))
        for (policy, scenario, mode), runs in groupby(keyed, key=lambda r: (r["policy"], r["scenario"], r["mode"])):
            every = [run["criteria"] for run in runs]
            for name in dict.fromkeys(name for verdicts in every for name in verdicts):
                verdicts = [v[name] for v in every if name in v]
                passed, count = sum(verdicts), len(verdicts)
                who = f"{policy} in {scenario}" + (f", {mode}" if mode else "")
                rows.append((name, who, "", "", f"{passed} of {count}", "pass" if passed == count else "FAIL"))
    if not rows:
        return ""
    return table("Success criteria", ("criterion", "run", "asks for", "mean value", "seeds passed", "verdict"), rows, 3)


def _scenario(row: Record) -> str:
    """An evaluation calls all its scenarios together "*"."""
    return "all" if row["scenario"] == "*" else str(row["scenario"])


def _evaluated(rows: Iterable[Record]) -> list[tuple[str, Sequence[str]]]:
    return [
        (r["metric"], (
            r["metric"], r["policy"], _scenario(r), number(r["n"]), number(r["mean"]), interval(r["low"], r["high"]),
            number(r["sd"]), number(r["iqm"]), interval(r["iqm_low"], r["iqm_high"]),
        ))
        for r in _known(rows)
    ]  # fmt: skip


def _known(rows: Iterable[Record]) -> list[Record]:
    """Without the metrics of OVERSIGHT that nothing in them has."""
    kept = list(rows)
    absent = set(OVERSIGHT) - {row["metric"] for row in kept if row["n"] > 0}
    return [row for row in kept if row["metric"] not in absent]


def of_evaluation(evaluation: Evaluation) -> str:
    """Its summary and its comparisons."""
    head: Sequence[str] = ("metric", "policy", "scenario", "n", "mean", "95 % interval", "sd", "IQM", "95 % of the IQM")
    shown = ""
    if evaluation.summary:
        shown = _split(f"Evaluation {evaluation.label}", head, _evaluated(evaluation.summary), 3)
    rows = [
        (r["metric"], (
            r["metric"], r["policy"], r["baseline"], _scenario(r), number(r["n"]), number(r["difference"]),
            interval(r["low"], r["high"]), number(r["effect_size"]), number(r["p"], ".3g"), number(r["p_holm"], ".3g"),
        ))
        for r in _known(evaluation.comparisons)
    ]  # fmt: skip
    if rows:
        head = (
            "metric", "policy", "baseline", "scenario", "n", "difference", "95 % interval", "effect size", "p",
            "p (Holm)",
        )  # fmt: skip
        shown += _split(f"Paired differences, {evaluation.label}", head, rows, 4)
    return shown + (listing([evaluation.about]) if evaluation.about else "")
