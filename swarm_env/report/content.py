"""What the page draws in the browser: curves, points and episodes as plain data, numbers cut to six digits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env.analysis.plot import COLORS
from swarm_env.analysis.runs import mean, sd
from swarm_env.render.picture import P_STOPS, SPARE, STYLES
from swarm_env.report.episode import KINDS, STATUSES, Episode, digits
from swarm_env.report.estimate import estimate
from swarm_env.report.evaluation import Evaluation, Training
from swarm_env.report.series import Series

SAFETY, WELFARE = "toxicity_rate", "net_social_welfare"  #: axes of the Pareto plot
Data = dict[str, Any]


def plain(values: Iterable[float]) -> list[float | None]:
    """For JSON: undefined is null."""
    return [digits(float(value)) if math.isfinite(value) else None for value in values]


def page_data(
    series: Sequence[Series], evaluations: Sequence[Evaluation], trainings: Sequence[Training], room: int
) -> Data:
    """All of it; `room`: events that the player may hold."""
    shown, left_out = _episodes(series, room)
    archetypes = {a for one in series for e in one.episodes for a in e.archetypes}
    archetypes |= {role for e in evaluations for run in e.runs for role in run["roles"]}
    return {
        "colors": COLORS,
        "pColors": P_STOPS,
        "styles": _styles(sorted(archetypes)),
        "curves": [curve for one in series if (curve := _curves(one))] + [_training(one) for one in trainings],
        "pareto": [*_pareto_of_runs(series), *(plot for e in evaluations for plot in _pareto(e))],
        "returns": _returns(series) + [r for e in evaluations for r in _evaluated(e, "returns")],
        "roles": _roles(series) + [r for e in evaluations for r in _evaluated(e, "roles")],
        "payoffs": [p for one in series for p in _payoffs(one)],
        "episodes": shown,
        "leftOut": left_out,
        "statuses": STATUSES,
        "kinds": KINDS,
    }


def _styles(archetypes: Sequence[str]) -> Data:
    spare = zip([name for name in archetypes if name not in STYLES], cycle(SPARE), strict=False)
    return {name: STYLES[name] for name in archetypes if name in STYLES} | dict(spare)


def _curve(values: NDArray[np.float64]) -> Data:
    """Mean and sample sd over seeds of (S, E)."""
    return {"mean": plain(mean(values)), "sd": plain(sd(values))}


def _curves(series: Series) -> Data | None:
    if not series.seeds:
        return None
    metrics = {name: _curve(series.values(name)) for name in series.metrics}
    return {"label": series.label, "along": "epoch", "x": series.epochs, "n": len(series.seeds), "metrics": metrics}


def _training(training: Training) -> Data:
    nothing = [None] * len(training.steps)
    metrics = {name: {"mean": plain(values), "sd": nothing} for name, values in training.curves.items()}
    return {"label": training.label, "along": "step", "x": plain(training.steps), "n": 1, "metrics": metrics}


def _point(label: str, safety: Any, welfare: Any, seeds: list[list[float | None]]) -> Data:
    """Safety is 1 - toxicity: its interval is turned round."""
    return {
        "label": label,
        "x": plain((1 - safety.mean, 1 - safety.high, 1 - safety.low)),
        "y": plain((welfare.mean, welfare.low, welfare.high)),
        "seeds": seeds,
    }


def _pareto_of_runs(series: Sequence[Series]) -> list[Data]:
    points = []
    for one in series:
        if SAFETY in one.metrics and WELFARE in one.metrics and one.seeds:
            safety, welfare = one.by_seed(SAFETY), one.by_seed(WELFARE)
            seeds = [plain(pair) for pair in zip(1 - safety, welfare, strict=True)]
            points.append(_point(one.label, estimate(safety), estimate(welfare), seeds))
    points = [point for point in points if point["x"][0] is not None and point["y"][0] is not None]
    return [{"title": "recorded runs", "unit": "per epoch", "points": points}] if points else []


def _pareto(evaluation: Evaluation) -> list[Data]:
    """A plot for each scenario, a point for each policy (and mode)."""
    plots = []
    for scenario in dict.fromkeys(run["scenario"] for run in evaluation.runs):
        runs = [run for run in evaluation.runs if run["scenario"] == scenario]
        points = []
        for policy, mode in dict.fromkeys((run["policy"], run["mode"]) for run in runs):
            own = [run["metrics"] for run in runs if (run["policy"], run["mode"]) == (policy, mode)]
            safety, welfare = (np.array([m.get(name, math.nan) for m in own]) for name in (SAFETY, WELFARE))
            if np.isfinite(safety).any() and np.isfinite(welfare).any():
                seeds = [plain(pair) for pair in zip(1 - safety, welfare, strict=True)]
                label = policy + (f" ({mode})" if mode and len({run["mode"] for run in runs}) > 1 else "")
                points.append(_point(label, estimate(safety), estimate(welfare), seeds))
        if points:
            plots.append({"title": f"{evaluation.label}: {scenario}", "unit": "per episode", "points": points})
    return plots


def _whole(series: Series) -> list[Episode]:
    return [episode for episode in series.episodes if episode.complete]


def _returns(series: Sequence[Series]) -> list[Data]:
    """Returns of all agents of an archetype, over seeds."""
    found = []
    for one in series:
        by: dict[str, list[float]] = {}
        for episode in _whole(one):
            for name, archetype in zip(episode.names, episode.archetypes, strict=True):
                by.setdefault(archetype, []).append(episode.tally.earned.get(name, 0.0))
        found += [
            {"of": one.label, "scale": one.scenario_id, "name": name, "values": plain(values)}
            for name, values in by.items()
        ]
    return found


def _roles(series: Sequence[Series]) -> list[Data]:
    """Mean return of an agent by archetype, with its interval over seeds."""
    found = []
    for one in series:
        by: dict[str, list[float]] = {}
        for episode in _whole(one):
            for archetype in dict.fromkeys(episode.archetypes):
                own = [n for n, a in zip(episode.names, episode.archetypes, strict=True) if a == archetype]
                by.setdefault(archetype, []).append(
                    math.fsum(episode.tally.earned.get(name, 0.0) for name in own) / len(own)
                )
        found += [_role(one.label, one.scenario_id, archetype, values) for archetype, values in by.items()]
    return found


def _role(of: str, scale: str, name: str, values: Sequence[float]) -> Data:
    e = estimate(np.array(values, float))
    return {"of": of, "scale": scale, "name": name, "n": e.n, "value": plain((e.mean, e.low, e.high))}


def _evaluated(evaluation: Evaluation, part: str) -> list[Data]:
    """Returns by agent, or roles by archetype, of each policy."""
    found = []
    several = len({run["mode"] for run in evaluation.runs}) > 1
    for key in dict.fromkeys((run["policy"], run["scenario"], run["mode"]) for run in evaluation.runs):
        policy, scenario, mode = key
        runs = [r[part] for r in evaluation.runs if (r["policy"], r["scenario"], r["mode"]) == key]
        scale = f"{evaluation.label}: {scenario}"
        of = f"{evaluation.label}: {policy} in {scenario}" + (f", {mode}" if several and mode else "")
        for name in dict.fromkeys(name for run in runs for name in run):
            values = [run[name] for run in runs if name in run]
            if part == "roles":
                found.append(_role(of, scale, name, values))
            else:
                found.append({"of": of, "scale": scale, "name": name, "values": plain(values)})
    return found


def _payoffs(series: Series) -> list[Data]:
    """What an agent of each archetype earned in each epoch, mean and sd over seeds."""
    if not series.episodes:
        return []
    curves = []
    for archetype in dict.fromkeys(a for episode in series.episodes for a in episode.archetypes):
        epochs = max(len(episode.closes) for episode in series.episodes)
        table = np.full((len(series.episodes), epochs), np.nan)
        for s, episode in enumerate(series.episodes):
            own = [n for n, a in zip(episode.names, episode.archetypes, strict=True) if a == archetype]
            for e in range(len(episode.closes) if own else 0):
                table[s, e] = math.fsum(episode.payoffs.get((name, e), 0.0) for name in own) / len(own)
        curves.append({"of": series.label, "name": archetype, "x": list(range(epochs)), **_curve(table)})
    return curves


def _episodes(series: Sequence[Series], room: int) -> tuple[list[Data], list[str]]:
    from swarm_env.report.network import contacts

    shown: list[Data] = []
    left_out = []
    for one in series:
        for episode in one.episodes:
            label = f"{one.label}, seed {episode.seed}"
            if episode.num_events > room:
                left_out.append(f"{label} ({episode.num_events} events)")
                continue
            room -= episode.num_events
            shown.append(
                {
                    "label": label + ("" if episode.complete else " (incomplete)"),
                    "complete": episode.complete,
                    "agents": episode.names,
                    "archetypes": episode.archetypes,
                    "stepsPerEpoch": episode.steps_per_epoch,
                    "planned": episode.num_epochs * episode.steps_per_epoch,
                    "last": max(episode.last, 0),
                    "settled": _coded(episode.settled),
                    "costs": episode.costs,
                    "marks": episode.marks,
                    "held": episode.held,
                    "closes": episode.closes,
                    "network": contacts(episode),
                }
            )
    return shown, left_out


def _coded(settled: dict[str, list[Any]]) -> Data:
    """Conducts as numbers of a list of names."""
    names = list(dict.fromkeys(settled["conduct"]))
    return {**settled, "conduct": [names.index(name) for name in settled["conduct"]], "conducts": names}
