"""Compare the scripted market with SWARM's on six populations; exit 1 where a statistic leaves its band.

    python -m tests.parity.check_market [--seeds 60] [--runs 512] [--processes 2]

Payoffs, budgets and levers are those of macpo_weak_to_strong; with us conduct has no price and reputation pays
nothing, as in SWARM. SWARM's seeds are spaced by 1,000, because its agents' streams are seed + index and adjacent
seeds share them. Both sides' interactions go through the same few lines: a mean over epochs, then over runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np

from benchmarks.text_table import markdown
from tests.parity.populations import POPULATIONS, play_ours, play_swarm, settings, types_of

QUALITY, ACCEPTANCE, SHARE, VOLUME = 0.01, 0.03, 0.05, 0.12  # bands; the last is relative


class Statistic(NamedTuple):
    """Mean over runs, and standard deviation between them."""

    name: str
    mean: float
    sd: float
    band: float  # absolute


def statistics(dealings: np.ndarray, types: list[str], num_epochs: int) -> Iterator[Statistic]:
    """What is compared, of one side; an epoch without the interactions in question counts for nothing."""
    kind, p, accepted = np.array(types)[dealings["initiator"]], dealings["p"], dealings["accepted"]
    num_runs = int(dealings["run"].max()) + 1
    epoch = dealings["run"] * num_epochs + dealings["epoch"]

    def count(weight: Any) -> np.ndarray:
        return np.bincount(epoch, weight, num_runs * num_epochs).reshape(num_runs, num_epochs)

    def over(name: str, epochs: np.ndarray, band: float, relative: bool = False) -> Statistic:
        runs = np.nanmean(epochs, axis=1)
        mean = float(np.nanmean(runs))
        return Statistic(name, mean, float(np.nanstd(runs, ddof=1)), band * mean if relative else band)

    everything = np.ones(len(dealings))
    with np.errstate(invalid="ignore"):
        yield over("toxicity_rate", count(accepted * (1 - p)) / count(accepted), QUALITY)
        yield over("toxicity_rate_all", count(1 - p) / count(everything), QUALITY)
        yield over("acceptance_rate", count(accepted) / count(everything), ACCEPTANCE)
        yield over("interactions per epoch", count(everything), VOLUME, relative=True)
        for name in dict.fromkeys(types):
            mine = kind == name
            yield over(f"share by {name}", count(mine) / count(everything), SHARE)
            by_run = np.bincount(dealings["run"], mine * p) / np.bincount(dealings["run"], mine)
            yield over(f"mean p by {name}", by_run[:, None], QUALITY)


def compare(population: dict[str, int], theirs: np.ndarray, ours: np.ndarray) -> bool:
    """Print one population's table; whether all is within the bands."""
    types, num_epochs = types_of(population), settings(population)["simulation"]["n_epochs"]
    rows, passed = [], True
    for mine, other in zip(*(statistics(side, types, num_epochs) for side in (ours, theirs)), strict=True):
        apart = mine.mean - other.mean
        within = abs(apart) <= other.band
        passed = passed and within
        cells = [f"{s.mean:.4f} ({s.sd:.4f})" for s in (mine, other)]
        rows.append((mine.name, *cells, f"{apart:+.4f}", f"{other.band:.3f}", "ok" if within else "BEYOND"))
    print("\n" + ", ".join(f"{name} {count}" for name, count in population.items()) + "\n")
    print(markdown(("mean over epochs (sd of runs)", "ours", "SWARM", "difference", "band", ""), rows), flush=True)
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=60, help="runs of SWARM a population")
    parser.add_argument("--runs", type=int, default=512, help="runs of ours a population")
    parser.add_argument("--processes", type=int, default=2, help="processes for SWARM's runs, about .4 s each")
    options = parser.parse_args()
    seeds = [1000 * (k + 1) for k in range(options.seeds)]
    print(f"{options.runs} runs of ours, {options.seeds} of SWARM's (seeds 1000, 2000, ...) a population")
    with get_context("spawn").Pool(options.processes) as pool:
        played = pool.imap(partial(play_swarm, seeds=seeds), POPULATIONS)
        passed = [compare(who, theirs, play_ours(who, options.runs)) for who, theirs in zip(POPULATIONS, played)]  # noqa: B905
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
