"""What the environment must reach, and whether it did: every bar is a line, measured or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.figures import Figures
from benchmarks.plan import SPREAD_ROWS

FLAT = 1.25  #: a late epoch may take so many times an early one; the rest is noise and a market that has changed
IDLE = 0.95  #: share of a core that one-thread work gets on a machine that counts as idle


class Bar(NamedTuple):
    """A bar.

    Attributes:
        text: what is demanded.
        target: the number to reach; to stay at or below if `at_most`.
        value: takes Figures, gives the number, or None where something it needs was not measured.
        unit: of the number.
        note: what the reader should know about how it was taken.
        at_most: whether the number must stay below the target.
        idle: group that must have had the machine to itself; "" where that does not matter.
    """

    text: str
    target: float
    value: Callable[[Figures], float | None]
    unit: str
    note: str = ""
    at_most: bool = False
    idle: str = ""

    def busy(self, figures: Figures) -> bool:
        """Whether neighbours took so much of the machine that this cannot be judged."""
        share = figures.share(self.idle) if self.idle else None
        return share is not None and share < IDLE

    def met(self, figures: Figures) -> bool | None:
        """Whether it is reached; None if it cannot be told."""
        value = self.value(figures)
        if value is None or self.busy(figures):
            return None
        return value <= self.target if self.at_most else value >= self.target


def _vmas(figures: Figures) -> float | None:
    """The smallest of our leads over VMAS at equal rows and agents."""
    leads = [figures.ratio(f"spread{n}/ours_{rows}", f"spread{n}/vmas_{rows}") for n in (3, 8) for rows in SPREAD_ROWS]
    known = [lead for lead in leads if lead is not None]
    return min(known) if known else None


def _per(id: str, agents: int) -> Callable[[Figures], float | None]:
    def value(figures: Figures) -> float | None:
        rate = figures.rate(id)
        return None if rate is None else rate / agents

    return value


def epochs_around(middle: int) -> list[str]:
    """The epochs whose mean stands for one: five, or the first alone."""
    return [str(epoch) for epoch in range(middle - 2, middle + 3)] if middle > 2 else [str(middle)]


def _growth(figures: Figures) -> float | None:
    early, late = (figures.part("limits/epochs", epochs_around(epoch)) for epoch in (10, 98))
    return None if early is None or late is None else late / early


BARS: tuple[Bar, ...] = (
    Bar(
        "vector env, 7 agents, 4,096 rows, all rules and observations", 10e6, lambda f: f.rate("market/batch"),
        "agent-steps/s", "goal 25 M",
    ),
    Bar(
        "the same against SWARM's PettingZoo bridge", 500, lambda f: f.ratio("market/batch", "market/bridge"), "times",
        "agent-steps, 7 agents both",
    ),
    Bar(
        "the vector env's bar with tuned=True", 10e6, lambda f: f.rate("market/tuned"), "agent-steps/s",
        "code made for the batch's shape",
    ),
    Bar(
        "that against SWARM's PettingZoo bridge", 500, lambda f: f.ratio("market/tuned", "market/bridge"), "times",
        "agent-steps, 7 agents both",
    ),
    Bar(
        "two threads against one, 7 agents, 4,096 rows", 1.7,
        lambda f: f.ratio("grid7/4096x2", "grid7/4096x1", "wall"), "times", "wall time", idle="grid7",
    ),
    Bar("threads unless the user says otherwise", 1, lambda f: f.results["defaults"]["num_threads"], "", "", True),
    Bar(
        "ahead of VMAS at equal rows and agents", 1, _vmas, "times",
        "the smallest lead over 3 and 8 agents, 1,024 to 8,192 rows",
    ),
    Bar("1,000 agents in one environment", 1e6, lambda f: f.rate("grid1000/1x1"), "agent-steps/s", "all rules"),
    Bar(
        "100,000 agents in one environment: cost of an agent-step against 7 agents, 4,096 rows", 3,
        lambda f: f.ratio("large/7", "large/100000"), "times", "all rules, 16 contacts an agent", True,
    ),
    Bar(
        "dict ParallelEnv, 7 agents", 30e3, _per("market/parallel", 7), "env-steps/s", "shipped scenario, infos on",
    ),
    Bar("SB3 VecEnv, 64 rows", 5e6, lambda f: f.rate("learning/vecenv"), "agent-steps/s", "7 a row, all rules"),
    Bar("SB3 PPO end to end", 60e3, lambda f: f.rate("learning/ppo"), "agent-steps/s", "64 rows of 7; our policy"),
    Bar(
        "a step late in a long episode (epochs 96-100) against early (8-12)", FLAT, _growth, "times",
        "flat: no lever rescans an unbounded history", True,
    ),
)  # fmt: skip
