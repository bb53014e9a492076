"""Start-up times and memory, printed: `python benchmarks/startup.py [--repeats 7]`. Never a test: nothing can fail.

Needs swarm_env alone; where SWARM (swarm-safety) is installed as well, its command, imports and bridge are measured in
the same run, repeats interleaved. What steps cost is measured by `benchmarks/run.py`.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a script it sees its own folder alone

import swarm_env
from benchmarks import machine
from benchmarks.text_table import markdown
from benchmarks.timing import Measured, footprint, python, walls
from swarm_env.catalog import shipped
from swarm_env.compile import compile_scenario

WALTZ, MACPO = "alignment_waltz_targeted_feedback", "macpo_weak_to_strong"
HAS_SWARM = find_spec("swarm") is not None
KIB = 1024


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

    waltz = swarm_env.load_scenario(WALTZ)
    tables, view = compile_scenario(waltz, "all").allocate(1)
    rows = [
        (f"swarm_env, {WALTZ}, with all spaces, as traced", f"{footprint(one) / KIB:,.0f}"),
        (
            "of these its state, observations, masks and infos",
            f"{sum(part.nbytes for part in (*tables, *view)) / KIB:,.0f}",
        ),
    ]
    if HAS_SWARM:
        from swarm.bridges.pettingzoo.config import PettingZooConfig
        from swarm.bridges.pettingzoo.environment import SwarmParallelEnv

        def bridge() -> object:
            env = SwarmParallelEnv(PettingZooConfig(n_agents=waltz.num_agents, max_steps=waltz.num_steps))
            rng = random.Random(0)
            env.reset(seed=0)
            while env.agents:
                env.step({name: rng.randrange(4) for name in env.agents})
            return env

        title = "SWARM's bridge, as many agents and steps, after an episode"
        rows.append((title, f"{footprint(bridge) / KIB:,.0f}"))
    print("\nMemory of one environment\n")
    print(markdown(("", "KiB"), rows), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="of every measurement; the median counts")
    repeats = parser.parse_args().repeats
    print(machine.describe())
    print(f"medians of {repeats} interleaved repeats, with their range")
    commands(repeats)
    imports(repeats)
    memory()
    return 0


if __name__ == "__main__":
    sys.exit(main())
