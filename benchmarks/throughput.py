"""Speed and size, printed: `python benchmarks/throughput.py [--repeats 7]`. Never a test: nothing here can fail.

Needs swarm_env alone; where SWARM (swarm-safety) is installed as well, its own environment, command and imports are
measured in the same run, repeats interleaved.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a script it sees its own folder alone

import swarm_env
from benchmarks import machine, market_runs
from benchmarks.text_table import markdown
from benchmarks.timing import Measured, footprint, python, rates, walls
from swarm_env.catalog import shipped

WALTZ, MACPO = "alignment_waltz_targeted_feedback", "macpo_weak_to_strong"
HAS_SWARM = find_spec("swarm") is not None
KIB, MIB = 1024, 1024**2
BATCHES = (1, 32, 1024)


def environments(repeats: int) -> None:
    """Every shipped scenario through the PettingZoo API, all agents learners."""
    contenders = {name: market_runs.environment_steps(name, 4800) for name in shipped()}
    contenders[f"{WALTZ}, infos=False"] = market_runs.environment_steps(WALTZ, 4800, infos=False)
    rows = []
    for name, measured in rates(contenders, repeats).items():
        agents = swarm_env.load_scenario(name.partition(",")[0]).num_agents
        rows.append((name, str(agents), *measured.show(), f"{measured.median * agents:,.0f}"))
    print("\nParallelEnv: dict observations, random legal actions, reset included\n")
    print(markdown(("scenario", "agents", "env-steps/s", "range", "per CPU second", "agent-steps/s"), rows), flush=True)


def kernel(repeats: int) -> None:
    """The batch kernel, which vectorised training drives."""
    contenders: dict[str, Callable[[], int]] = {}
    for scenario in (WALTZ, MACPO):
        for batch in BATCHES:
            contenders[f"{scenario}, B = {batch}"] = market_runs.kernel_steps(scenario, batch)
    rows = [(name, *measured.show()) for name, measured in rates(contenders, repeats).items()]
    print("\nBatch kernel: observations and masks written for all agents\n")
    print(markdown(("scenario", "agent-steps/s", "range", "per CPU second"), rows), flush=True)


def against_swarm(repeats: int) -> None:
    """Our environment beside SWARM's own PettingZoo bridge."""
    from benchmarks.swarm_runs import bridge_steps

    waltz = swarm_env.load_scenario(WALTZ)
    contenders = {
        f"swarm_env, {WALTZ}": (waltz.num_agents, market_runs.environment_steps(WALTZ, 4800)),
        "the same with infos=False": (waltz.num_agents, market_runs.environment_steps(WALTZ, 4800, infos=False)),
        "SWARM's bridge, as many agents and steps": (
            waltz.num_agents, bridge_steps(waltz.num_agents, waltz.num_steps, 4)
        ),
        "SWARM's bridge, its defaults (50 steps)": (5, bridge_steps(5, 50, 20)),
    }  # fmt: skip
    measured = rates({name: play for name, (_, play) in contenders.items()}, repeats)
    ours = next(iter(measured.values())).median * waltz.num_agents
    rows = []
    for name, (agents, _) in contenders.items():
        agent_steps = measured[name].median * agents
        ratio = "" if agent_steps == ours else f"{ours / agent_steps:.2f} times"
        rows.append((name, str(agents), *measured[name].show(), f"{agent_steps:,.0f}", ratio))
    columns = ("environment", "agents", "env-steps/s", "range", "per CPU second", "agent-steps/s", "ours is faster by")
    print("\nPettingZoo environments: random actions drawn beforehand, reset included\n")
    print(markdown(columns, rows), flush=True)


def commands(repeats: int) -> None:
    """Wall time of `swarm run`, files written, code compiled before."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "logs").mkdir()  # SWARM writes its log only into a folder that is there
        runs: dict[str, list[str]] = {}
        for scenario in (WALTZ, MACPO):
            path = str(shipped()[scenario])
            runs[f"swarm_env run {scenario}"] = [sys.executable, "-m", "swarm_env", "run", path]
            if HAS_SWARM:
                runs[f"SWARM run {scenario}"] = [sys.executable, "-m", "swarm", "run", path]
        measured = walls(runs, repeats, folder)
    _print_seconds("`run` of a shipped scenario, from start to exit", measured)


def imports(repeats: int) -> None:
    """Wall time of a fresh interpreter that imports, and of one that does nothing."""
    runs = {
        "python (nothing imported)": "pass",
        "swarm_env": "import swarm_env",
        "swarm_env.load_scenario": "import swarm_env; swarm_env.load_scenario",
        "swarm_env.parallel_env": "import swarm_env; swarm_env.parallel_env",
    }
    if HAS_SWARM:
        runs["swarm (SWARM)"] = "import swarm"
        runs["swarm.scenarios.loader (SWARM)"] = "import swarm.scenarios.loader"
        runs["swarm.bridges.pettingzoo.environment (SWARM)"] = "import swarm.bridges.pettingzoo.environment"
    with tempfile.TemporaryDirectory() as folder:
        measured = walls({name: python(code) for name, code in runs.items()}, repeats, folder)
    _print_seconds("Imports, interpreter start included", measured)


def _print_seconds(title: str, measured: dict[str, Measured]) -> None:
    rows = [(name, *seconds.show(2)) for name, seconds in measured.items()]
    print(f"\n{title}\n")
    print(markdown(("", "seconds", "range", "CPU seconds"), rows), flush=True)


def memory() -> None:
    """What one more environment takes beyond the interpreter and the modules."""

    def one() -> object:
        env = swarm_env.parallel_env(WALTZ)
        return env, env.reset(seed=0)

    rows = [
        (f"swarm_env, {WALTZ}, with all spaces, as traced", f"{footprint(one) / KIB:,.0f}"),
        ("of these its state, observations, masks and infos", f"{market_runs.state_bytes(WALTZ) / KIB:,.0f}"),
    ]
    if HAS_SWARM:
        from benchmarks.swarm_runs import bridge_after_an_episode

        waltz = swarm_env.load_scenario(WALTZ)
        after = footprint(bridge_after_an_episode(waltz.num_agents, waltz.num_steps))
        rows.append(("SWARM's bridge, as many agents and steps, after an episode", f"{after / KIB:,.0f}"))
    print("\nMemory of one environment\n")
    print(markdown(("", "KiB"), rows), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="of every measurement; the median counts")
    repeats = parser.parse_args().repeats
    print(machine.describe())
    print(f"medians of {repeats} interleaved repeats, with their range")
    environments(repeats)
    kernel(repeats)
    if HAS_SWARM:
        against_swarm(repeats)
    commands(repeats)
    imports(repeats)
    memory()
    return 0


if __name__ == "__main__":
    sys.exit(main())
