"""Work for the tests of both engines: policies that misbehave once, or always, and the evaluation that meets them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCENARIO = "alignment_waltz_targeted_feedback"
SHORT = ("simulation.n_epochs=2", "simulation.steps_per_epoch=4")
SEEDS, EPISODES = 4, 2
APART = 2**20

#: Where MISCHIEF says how, the policy misbehaves on its third seed; unless it says "always", the first time only.
POLICIES = """
import os, signal, time
from pathlib import Path
from swarm_env.evaluation.policies import at_random

MISCHIEF = Path(__file__).parent / "mischief"

def coin(setting):
    how, always = ((MISCHIEF.read_text() if MISCHIEF.exists() else "") + " ").split(" ", 1)
    if how and setting.seed == 2 * 2**20:
        if not always.strip():
            MISCHIEF.unlink()
        (Path(__file__).parent / "done").open("a").write(how + "\\n")
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "raise":
            raise RuntimeError("no such luck")
        if how == "hang":
            time.sleep(600)
        if how == "full":
            raise OSError(28, "No space left on device")
    return at_random(setting)

def slow(setting):
    time.sleep(0.3)
    return at_random(setting)
"""


def prepare(folder: Path, mischief: str = "") -> None:
    """Lay the policies, and what they are to do, into a folder."""
    (folder / "engine_policies.py").write_text(POLICIES)
    if mischief:
        (folder / "mischief").write_text(mischief)


def line(out: str, *options: str, policy: str = "coin") -> list[str]:
    """The command line of the evaluation, after `swarm`."""
    overrides = [part for override in SHORT for part in ("--set", override)]
    policies = ["--policy", "scripts", "--policy", f"coin=engine_policies:{policy}"]
    sizes = ["--episodes", str(EPISODES), "--seeds", str(SEEDS)]
    return ["evaluate", *policies, "--scenario", SCENARIO, *sizes, *overrides, "--out", out, "--quiet", *options]


def environment(folder: Path) -> dict[str, str]:
    """Of a command in a process of its own."""
    path = os.pathsep.join((str(ROOT), str(folder)))
    return {**os.environ, "PYTHONPATH": path, "SOURCE_DATE_EPOCH": "1700000000", "OMP_NUM_THREADS": "1"}


def command(folder: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run `swarm` in a folder."""
    whole = [sys.executable, "-m", "swarm_env", *arguments]
    return subprocess.run(
        whole, cwd=folder, capture_output=True, text=True, env={**environment(folder), **more}, check=False
    )


def killed_when(folder: Path, arguments: list[str], units: int, out: str) -> int:
    """Run `swarm`, kill it (the driver alone) as soon as so many units are kept; returns its exit code."""
    whole = [sys.executable, "-m", "swarm_env", *arguments]
    devnull = subprocess.DEVNULL
    with subprocess.Popen(whole, cwd=folder, env=environment(folder), stdout=devnull, stderr=devnull) as process:
        journal = folder / out / "units.jsonl"
        while process.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") > units:
                process.send_signal(signal.SIGKILL)
                break
        return process.wait()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
