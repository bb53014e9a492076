"""What `make bench` measures, in groups: the members of a group take turns, so that ratios within it are fair."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ROWS = (1, 32, 1024, 4096, 8192)
AGENTS = (7, 50, 200, 1000)
SPREAD_ROWS = (1024, 4096, 8192)
LARGE = (1_000, 10_000, 100_000)  #: agents of large markets, one environment each
EPOCHS = 102  #: of the long episode


@dataclass(frozen=True)
class Measurement:
    """One contender.

    Attributes:
        id: unique, "group/name".
        label: how tables call it.
        run: "module.function" under benchmarks.
        args: of that function, besides the seconds of a repeat.
        agents: in one environment; 0 where the unit is not agent-steps.
        quick: part of a quick run.
    """

    id: str
    label: str
    run: str
    args: dict[str, Any] = field(default_factory=dict)
    agents: int = 7
    quick: bool = False

    @property
    def group(self) -> str:
        """What it takes turns with."""
        return self.id.partition("/")[0]


def ours(id: str, rows: int, agents: int = 7, rules: str = "all", quick: bool = False, **more: Any) -> Measurement:
    """The vectorised environment."""
    kind = "all rules" if rules == "all" else "shipped scenario"
    label = f"vector_env, {kind}, {agents} agents, {rows:,} row{'s' if rows > 1 else ''}"
    label += f", {more['threads']} threads" if more.get("threads", 1) > 1 else ""
    label += ", one learner among scripted agents" if "learners" in more else ""
    label += ", tuned" if more.get("tuned") else ""
    label += ", complete graph" if more.get("complete") else ""
    args = {"rules": rules, "agents": agents, "rows": rows, **more}
    return Measurement(id, label, "market_runs.batch", args, agents, quick)


def _market() -> list[Measurement]:
    def parallel(name: str, rules: str, infos: bool) -> Measurement:
        label = (
            f"ParallelEnv, {'all rules' if rules == 'all' else 'shipped scenario'}, infos {'on' if infos else 'off'}"
        )
        args = {"rules": rules, "agents": 7, "infos": infos}
        return Measurement(f"market/{name}", label, "market_runs.parallel", args, 7, True)

    return [
        parallel("parallel", "shipped", True),
        parallel("parallel_no_infos", "shipped", False),
        parallel("parallel_all", "all", True),
        parallel("parallel_all_no_infos", "all", False),
        Measurement(
            "market/bridge", "SWARM's PettingZoo bridge, as many steps", "swarm_runs.bridge",
            {"agents": 7, "steps": 240}, 7, True,
        ),
        Measurement(
            "market/bridge_default", "SWARM's PettingZoo bridge, its defaults", "swarm_runs.bridge",
            {"agents": 5, "steps": 50, "episodes": 20}, 5,
        ),
        Measurement("market/orchestrator", "SWARM's orchestrator, shipped scenario", "swarm_runs.orchestrator"),
        Measurement("market/rps", "PettingZoo rps_v2", "peer_runs.rps", {}, 2),
        ours("market/batch", 4096, quick=True),
        ours("market/tuned", 4096, tuned=True),
        ours("market/tuned_64", 64, tuned=True),
        ours("market/batch_64", 64),
        ours("market/batch_shipped", 4096, rules="shipped"),
        ours("market/batch_scripted", 4096, rules="shipped", learners="honest_1"),
    ]  # fmt: skip


def _spread(agents: int) -> list[Measurement]:
    group = f"spread{agents}"
    found = [ours(f"{group}/ours_{rows}", rows, agents) for rows in SPREAD_ROWS]
    found += [
        Measurement(
            f"{group}/vmas_{rows}", f"VMAS simple_spread, {agents} agents, {rows:,} rows", "peer_runs.vmas",
            {"agents": agents, "rows": rows}, agents,
        )
        for rows in SPREAD_ROWS
    ]  # fmt: skip
    jax = Measurement(
        f"{group}/jaxmarl_4096", f"JaxMARL MPE_simple_spread_v3, {agents} agents, 4,096 rows", "peer_runs.jaxmarl",
        {"agents": agents, "rows": 4096}, agents,
    )  # fmt: skip
    mpe = Measurement(
        f"{group}/mpe2", f"MPE2 simple_spread_v3, {agents} agents", "peer_runs.mpe2", {"agents": agents}, agents
    )
    return [*found, jax, mpe]


def _grid(agents: int) -> list[Measurement]:
    group = f"grid{agents}"
    found = [
        ours(f"{group}/{rows}x{threads}", rows, agents, threads=threads)
        for rows in ROWS
        for threads in (1, 2)
        if threads <= rows
    ]
    if agents > 7:
        found.append(ours(f"{group}/complete", 1, agents, complete=True))
        found.append(ours(f"{group}/scripted", 32, agents, learners="honest_1"))
    return found


def _learning() -> list[Measurement]:
    rows = {"rows": 64}
    return [
        ours("learning/batch", 64),
        Measurement("learning/vecenv", "SB3 VecEnv (adapters.sb3), 64 rows", "learning_runs.vecenv", rows),
        Measurement("learning/supersuit", "SuperSuit's SB3 VecEnv, 64 copies", "learning_runs.supersuit", rows),
        *(
            Measurement(f"learning/{name}", f"{title} end to end, 64 rows", "learning_runs.ppo", rows | settings)
            for name, title, settings in (
                ("ppo", "SB3 PPO with adapters.sb3_policy", {}),
                ("maskable", "MaskablePPO with adapters.sb3_policy", {"maskable": True}),
                ("ppo_stock", "SB3 PPO with its MlpPolicy", {"stock": True}),
                ("maskable_stock", "MaskablePPO with its MlpPolicy", {"maskable": True, "stock": True}),
            )
        ),
    ]


def _large() -> list[Measurement]:
    """One market of many agents beside many of a few."""
    return [ours("large/7", 4096), *(ours(f"large/{agents}", 1, agents) for agents in LARGE)]


def _limits() -> list[Measurement]:
    episode = {"rules": "all", "agents": 7, "rows": 256, "num_epochs": EPOCHS}
    return [
        ours("limits/batch", 4096),
        Measurement("limits/triad", "memory: triad, one thread", "limit_runs.triad", {}, 0, True),
        Measurement(
            "limits/show", "writing observations and masks alone", "limit_runs.show", {"rows": 4096, "agents": 7}
        ),
        Measurement("limits/epochs", "a long episode, epoch by epoch", "market_runs.epochs", episode),
        Measurement("limits/phases", "phases of a step", "phase_runs.phases", {"rows": 64, "agents": 7}),
    ]


PLAN: tuple[Measurement, ...] = (
    *_market(), *_spread(3), *_spread(8), *_learning(), *_limits(), *_large(),
    *(each for agents in AGENTS for each in _grid(agents)),
)  # fmt: skip
